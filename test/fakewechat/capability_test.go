package fakewechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/testclock"
)

const aesKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" // bytes 0 to 31

// newActive returns a server that o1 has just signed in to, and an access token.
func newActive(t *testing.T, c *testclock.Clock) (*Server, string) {
	t.Helper()
	s := New(Options{AppID: appID, AppSecret: appSecret, Now: c.Now})
	require.Zero(t, login(t, s, s.NewCode(User{OpenID: "o1"})).Code)
	return s, "?access_token=" + stable(t, s).Token
}

func TestPhone(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, token := newActive(t, c)
	ask := func(code, openID string) answer {
		return call(t, s, http.MethodPost, PathPhone+token, fmt.Sprintf(`{"code":%q,"openid":%q}`, code, openID))
	}
	code := s.NewPhoneCode("o1", Phone{"86", "13800138000"})
	assert.Len(t, code, 64)
	assert.Equal(t, 40003, ask(code, "o2").Code, "another user's")
	got := ask(code, "o1")
	assert.Zero(t, got.Code)
	want := phoneInfo{"13800138000", "13800138000", "86", watermark{c.Now().Unix(), appID}}
	assert.Equal(t, want, got.Phone)
	assert.Equal(t, 40029, ask(code, "o1").Code, "spent")
	assert.Equal(t, "+11234", ask(s.NewPhoneCode("o1", Phone{"1", "1234"}), "").Phone.Number)

	old := s.NewPhoneCode("o1", Phone{"86", "13800138000"})
	c.Advance(5 * time.Minute)
	assert.Equal(t, 40029, ask(old, "o1").Code)
	assert.Equal(t, 40029, ask(s.NewCode(User{OpenID: "o1"}), "o1").Code, "a sign-in's code is none")
}

func TestCallsWantTokenAndBody(t *testing.T) {
	t.Parallel()
	s, token := newActive(t, newClock())
	for _, path := range []string{PathPhone, PathCheckText, PathCheckMedia} {
		assert.Equal(t, 41001, call(t, s, http.MethodPost, path, "{}").Code, path)
		assert.Equal(t, 40001, call(t, s, http.MethodPost, path+"?access_token=x", "{}").Code, path)
		assert.Equal(t, 43002, call(t, s, http.MethodGet, path+token, "").Code, path)
		assert.Equal(t, 44002, call(t, s, http.MethodPost, path+token, "").Code, path)
		assert.Equal(t, 47001, call(t, s, http.MethodPost, path+token, "{").Code, path)
	}
	assert.Equal(t, 41001, call(t, s, http.MethodPost, PathCheckImage, "").Code)
	assert.Equal(t, 41005, call(t, s, http.MethodPost, PathCheckImage+token, "").Code)
}

func TestCheckText(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, token := newActive(t, c)
	s.Judge("bad", Verdict{"risky", 20003})
	s.Judge("odd", Verdict{"review", 21000})
	ask := func(text, openID string, version, scene int) answer {
		return call(t, s, http.MethodPost, PathCheckText+token, fmt.Sprintf(
			`{"content":%q,"openid":%q,"version":%d,"scene":%d}`, text, openID, version, scene))
	}
	for text, want := range map[string]Verdict{
		"fine": {"pass", 100}, "a bad one": {"risky", 20003}, "odd": {"review", 21000}, "odd and bad": {"risky", 20003},
	} {
		got := ask(text, "o1", 2, 1)
		assert.Zero(t, got.Code)
		assert.Equal(t, want, got.Result, text)
		assert.NotEmpty(t, got.TraceID)
	}
	assert.Equal(t, 40097, ask("fine", "o1", 1, 1).Code)
	assert.Equal(t, 40129, ask("fine", "o1", 2, 5).Code)
	assert.Equal(t, 40003, ask("fine", "nobody", 2, 1).Code)
	assert.Equal(t, 44002, ask("", "o1", 2, 1).Code)
	assert.Equal(t, 47001, ask(strings.Repeat("微", 2501), "o1", 2, 1).Code)
	c.Advance(2*time.Hour + time.Second)
	token = "?access_token=" + stable(t, s).Token
	assert.Equal(t, 61010, ask("fine", "o1", 2, 1).Code)
}

func TestCheckImage(t *testing.T) {
	t.Parallel()
	s, token := newActive(t, newClock())
	s.Judge("bad", Verdict{"risky", 20002})
	for file, want := range map[string]int{
		"\x89PNG\r\n\x1a\n":                 0,
		"\xff\xd8\xff bad":                  87014,
		"<svg>":                             40005,
		"":                                  41005,
		"GIF8" + strings.Repeat("x", 1<<20): 40006,
	} {
		var b bytes.Buffer
		form := multipart.NewWriter(&b)
		part, err := form.CreateFormFile("media", "image.png")
		require.NoError(t, err)
		_, err = part.Write([]byte(file))
		require.NoError(t, err)
		require.NoError(t, form.Close())
		r := httptest.NewRequest(http.MethodPost, PathCheckImage+token, &b)
		r.Header.Set("Content-Type", form.FormDataContentType())
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var got answer
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		assert.Equal(t, want, got.Code, "%.20q", file)
	}
}

func TestCheckMedia(t *testing.T) {
	t.Parallel()
	s, token := newActive(t, newClock())
	s.Judge("bad", Verdict{"risky", 20002})
	ask := func(url string, kind int) answer {
		return call(t, s, http.MethodPost, PathCheckMedia+token, fmt.Sprintf(
			`{"media_url":%q,"media_type":%d,"openid":"o1","version":2,"scene":1}`, url, kind))
	}
	assert.Equal(t, 40004, ask("https://a/b", 3).Code)
	assert.Equal(t, 47001, ask("", 2).Code)
	got := ask("https://a/bad.png", 2)
	assert.Zero(t, got.Code)
	want := MediaCheck{got.TraceID, "o1", "https://a/bad.png", Verdict{"risky", 20002}}
	assert.Equal(t, []MediaCheck{want}, s.MediaChecks())
}

func TestEncrypt(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, _ := newActive(t, c)
	assert.Zero(t, s.Encrypt("nobody", nil))
	e := s.Encrypt("o1", map[string]any{"nickName": "Band"})
	assert.JSONEq(t, `{"nickName":"Band"}`, e.RawData)
	assert.Len(t, e.Signature, 40)

	decode := func(text string) []byte {
		b, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		return b
	}
	block, err := aes.NewCipher(decode(s.SessionKey("o1")))
	require.NoError(t, err)
	plain := decode(e.Data)
	cipher.NewCBCDecrypter(block, decode(e.IV)).CryptBlocks(plain, plain)
	plain = plain[:len(plain)-int(plain[len(plain)-1])]
	want := fmt.Sprintf(`{"nickName":"Band","watermark":{"timestamp":%d,"appid":%q}}`, c.Now().Unix(), appID)
	assert.JSONEq(t, want, string(plain))
}

func TestNewPush(t *testing.T) {
	t.Parallel()
	s, _ := newActive(t, newClock())
	e := s.NewEvent("user_authorization_revoke", "o1")
	e["RevokeInfo"] = "6"
	for _, xml := range []bool{false, true} {
		settings := PushSettings{Token: "AAAAA", EncodingAESKey: aesKey, XML: xml}
		plain := s.NewPush(settings, e)
		want := signPush("AAAAA", plain.Query.Get("timestamp"), plain.Query.Get("nonce"))
		assert.Equal(t, want, plain.Query.Get("signature"))
		assert.Contains(t, string(plain.Body), "user_authorization_revoke")
		assert.Equal(t, xml, strings.HasPrefix(string(plain.Body), "<xml>"))
		assert.Equal(t, xml, plain.ContentType == "text/xml")

		settings.Mode = PushCompatible
		both := s.NewPush(settings, e)
		assert.Contains(t, string(both.Body), "user_authorization_revoke")
		assert.Contains(t, string(both.Body), "Encrypt")

		settings.Mode = PushSafe
		safe := s.NewPush(settings, e)
		assert.NotContains(t, string(safe.Body), "user_authorization_revoke")
		assert.Equal(t, "o1", safe.Query.Get("openid"))
		assert.NotEqual(t, safe.Query.Get("signature"), safe.Query.Get("msg_signature"))
	}
	assert.Regexp(t, `^[0-9]+$`, s.NewVerification("AAAAA").Get("echostr"))
}

func TestPushSignature(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "f464b24fc39322e44b38aa78f5edd27bd1441696", signPush("AAAAA", "1714036504", "1514711492"))
}

func TestNewMediaEvent(t *testing.T) {
	t.Parallel()
	s, _ := newActive(t, newClock())
	e := s.NewMediaEvent(MediaCheck{TraceID: "t1", Verdict: Verdict{"risky", 20002}})
	assert.Contains(t, string(e.encode(false)), `"result":{"label":20002,"suggest":"risky"}`)
	assert.Contains(t, string(e.encode(false)), `"detail":[{`)
	assert.Contains(t, string(e.encode(true)), `<result><label>20002</label><suggest><![CDATA[risky]]></suggest></result>`)
}
