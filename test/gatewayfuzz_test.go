package test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/beego/beego/v2/server/web"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/test/harness"
)

// tagReader reads the tag of a token request as Casdoor does (controllers/token.go there), on the same framework.
type tagReader struct {
	web.Controller
}

const readAsSignIn = "Read-As-Sign-In"

// Post says whether the request is a sign-in.
func (c *tagReader) Post() {
	tag := c.Ctx.Input.Query("tag")
	var body struct {
		Tag string `json:"tag"`
	}
	if json.Unmarshal(c.Ctx.Input.RequestBody, &body) == nil && tag == "" {
		tag = body.Tag
	}
	if tag == idp.TagWeChatMiniProgram {
		c.Ctx.Output.Header(readAsSignIn, "true")
	}
	_ = c.Ctx.Output.Body(nil)
}

func startTagReader(t testing.TB) *url.URL {
	t.Helper()
	cfg := &web.Config{
		RunMode: web.PROD, RouterCaseSensitive: true, CopyRequestBody: true,
		MaxMemory: 64 << 20, MaxUploadSize: 64 << 20,
	}
	app := web.NewHttpServerWithCfg(cfg)
	app.Router(harness.PathToken, &tagReader{})
	app.Handlers.Init()
	server := httptest.NewServer(app.Handlers)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	return address
}

// FuzzGatewaySignIn sends token requests of any form to a gateway: none that Casdoor would take for a mini program's
// sign-in reaches it. Its own sign-in gives the SessionKey away.
func FuzzGatewaySignIn(f *testing.F) {
	const form, sign = "application/x-www-form-urlencoded", "tag=wechat_miniprogram&client_id=a&code=b"
	const jsonBody = `{"tag":"wechat_miniprogram"}`
	multipart := "--x\r\nContent-Disposition: form-data; name=\"tag\"\r\n\r\nwechat_miniprogram\r\n--x--\r\n"
	for _, path := range []string{
		harness.PathToken, harness.PathToken + "/", "/" + harness.PathToken, "/api/./login/x/../oauth//access_token",
		harness.PathToken + ".json", harness.PathToken + ".html/", harness.PathToken + ".xml.json",
	} {
		f.Add(path, "", form, "", "", sign)
	}
	f.Add(harness.PathToken, sign, "", "", "", "")
	f.Add(harness.PathToken, "", "application/json", "", "", `{"TAG":"wechat_miniprogram","tag":null}`)
	f.Add(harness.PathToken, "", form, "", "", jsonBody)
	f.Add(harness.PathToken, "", form, "", "", "{=1&"+sign)
	f.Add(harness.PathToken, "tag=", "", "", "", ` {"tag":"other","Tag":"wechat_miniprogram"}`)
	f.Add(harness.PathToken, "", "multipart/form-data; boundary=x", "", "", multipart)
	f.Add(harness.PathToken, "", "Multipart/Form-Data; boundary=\"x\"; a", "", "", multipart)
	f.Add(harness.PathToken, "", "Multipart/Form-Data; boundary=x", "", "", jsonBody)
	f.Add(harness.PathToken, "", "multipart/form-data; boundary=x", "", "close, content-type", jsonBody)
	f.Add(harness.PathToken, "", form, "gzip", "", string(gzipped(f, sign)))
	f.Add(harness.PathToken, "", form, "gzip", "Content-Encoding", strings.Repeat("x", 4096)+sign)

	casdoor := startTagReader(f)
	s := harness.Start(f, harness.Options{Deps: func(d *controllers.Deps) { d.Authority, d.Upstream = nil, casdoor }})
	f.Fuzz(func(t *testing.T, path, query, contentType, encoding, connection, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		r.URL = &url.URL{Path: path, RawQuery: query}
		r.Header.Set("Content-Type", contentType)
		for name, value := range map[string]string{"Content-Encoding": encoding, "Connection": connection} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		assert.Empty(t, w.Header().Get(readAsSignIn))
	})
}

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// The stand-in takes for a sign-in what Casdoor does: else the test above would show nothing.
func TestTagReader(t *testing.T) {
	t.Parallel()
	address := startTagReader(t).String()
	for name, send := range map[string]func() (*http.Response, error){
		"form": func() (*http.Response, error) {
			return http.PostForm(address+harness.PathToken+".json/", url.Values{"tag": {idp.TagWeChatMiniProgram}})
		},
		"JSON": func() (*http.Response, error) {
			return http.Post(address+harness.PathToken, "text/plain", strings.NewReader(`{"tag":"wechat_miniprogram"}`))
		},
		"gzip": func() (*http.Response, error) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				address+"//api/x/../login/oauth/access_token", bytes.NewReader(gzipped(t, "tag=wechat_miniprogram")))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Content-Encoding", "gzip")
			return http.DefaultClient.Do(r)
		},
	} {
		reply, err := send()
		require.NoError(t, err, name)
		_ = reply.Body.Close()
		assert.Equal(t, "true", reply.Header.Get(readAsSignIn), name)
	}
}
