package test

import (
	"fmt"
	"image/color"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// appOrigin is where a single-page app comes from.
const appOrigin = "https://app.example.com"

// readers are whom a browser lets read an answer: its Access-Control-Allow-Origin and -Credentials, and Vary.
type readers [3]string

func noPage() readers { return readers{} }

func anyPage() readers { return readers{"*"} }

func theApp() readers { return readers{appOrigin, "true", "Origin"} }

func readersOf(h http.Header) (who readers) {
	for i, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Vary"} {
		if values := h.Values(name); len(values) > 0 {
			who[i] = values[0]
		}
	}
	return who
}

// pageRequest is what a page of an app asks.
type pageRequest struct {
	method, path, bearer string
	body                 any
	status               int
}

// send sends the request from a page of that origin; empty: from no page.
func (p pageRequest) send(t *testing.T, s *harness.Server, origin string) harness.Reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), p.method, s.URL+p.path, nil)
	require.NoError(t, err)
	require.NoError(t, harness.SetBody(r, p.body))
	if p.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+p.bearer)
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	return s.Do(t, r)
}

// preflight asks what a browser asks before.
func (p pageRequest) preflight(t *testing.T, s *harness.Server) harness.Reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.URL+p.path, nil)
	require.NoError(t, err)
	r.Header.Set("Origin", appOrigin)
	r.Header.Set("Access-Control-Request-Method", p.method)
	r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
	return s.Do(t, r)
}

// check wants an answer that its readers may read, and no page's headers in one that no page has asked for.
func (p pageRequest) check(t *testing.T, s *harness.Server, want readers) {
	t.Helper()
	name := p.method + " " + p.path
	reply := p.send(t, s, appOrigin)
	assert.Equal(t, p.status, reply.Status, "%s: %s", name, reply.Body)
	assert.Equal(t, want, readersOf(reply.Header), name)
	assert.Len(t, reply.Header.Values("Access-Control-Allow-Origin"), 1, name)
	assert.Equal(t, noPage(), readersOf(p.send(t, s, "").Header), name)
}

// checkAsked is check, and wants the browser to be let send the request.
func (p pageRequest) checkAsked(t *testing.T, s *harness.Server) {
	t.Helper()
	p.check(t, s, anyPage())
	asked := p.preflight(t, s)
	assert.Equal(t, http.StatusNoContent, asked.Status, "%s: %s", p.path, asked.Body)
	assert.Equal(t, anyPage(), readersOf(asked.Header), p.path)
	assert.Equal(t, "GET, POST", asked.Header.Get("Access-Control-Allow-Methods"), p.path)
	assert.Equal(t, "Authorization, Content-Type, X-Request-Id", asked.Header.Get("Access-Control-Allow-Headers"), p.path)
}

// miniProgramRequests are those that a server answers however it is run.
func miniProgramRequests(token string) []pageRequest {
	nickname := map[string]string{"nickName": "小明"}
	return []pageRequest{
		{"POST", harness.PathProfile, token, nickname, 200},
		{"POST", harness.PathProfile, "nope", nickname, 401},
		{"POST", harness.PathProfile, token, harness.Text{ContentType: "application/json", Body: "{"}, 400},
		{"GET", harness.PathProfile, token, nil, 405},
		{"GET", "/api/mini-program/none", token, nil, 404},
		{"GET", "/api/mini-program/health", "", nil, 200},
	}
}

// A single-page app reads what a server of its own answers, errors too. Cookies do not go along.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oPage").AccessToken
	badClient := harness.SignInForm("x")
	badClient.Set("client_id", "nope")
	for _, request := range append(miniProgramRequests(token), []pageRequest{
		{"POST", harness.PathToken, "", badClient, 401},
		{"POST", harness.PathToken, "", harness.SignInForm("spent"), 400},
		{"POST", harness.PathRefresh, "", refreshForm("nope"), 400},
		{"GET", "/api/userinfo", token, nil, 200},
		{"GET", harness.PathAccount, token, nil, 200},
		{"GET", harness.PathAccount, "", nil, 200},
		{"POST", harness.PathUpdateUser, token, map[string]string{"displayName": "小明"}, 200},
		{"GET", "/.well-known/openid-configuration", "", nil, 200},
		{"GET", "/.well-known/app-shop/jwks", "", nil, 200},
		{"GET", "/api/none", "", nil, 404},
		{"POST", "/api/logout", token, nil, 200},
	}...) {
		request.checkAsked(t, s)
	}
	for _, path := range []string{"/console", "/console/sign-in", "/console/none"} {
		console := pageRequest{method: "GET", path: path}
		assert.Equal(t, noPage(), readersOf(console.send(t, s, appOrigin).Header), path)
		asked := console.preflight(t, s)
		assert.GreaterOrEqual(t, asked.Status, 400, path)
		assert.Equal(t, noPage(), readersOf(asked.Header), path)
	}
}

// A page is told when to come again, and may have asked before whether it may ask.
func TestPagesThatAskTooOften(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Limits: controllers.LimitsConfig{PerIP: 1}})
	ask := pageRequest{method: "GET", path: "/.well-known/jwks"}
	for _, status := range []int{http.StatusOK, http.StatusTooManyRequests} {
		assert.Equal(t, http.StatusNoContent, ask.preflight(t, s).Status)
		reply := ask.send(t, s, appOrigin)
		assert.Equal(t, status, reply.Status, reply.Body)
		assert.Equal(t, anyPage(), readersOf(reply.Header))
		assert.Equal(t, "Retry-After, X-Request-Id", reply.Header.Get("Access-Control-Expose-Headers"))
	}
}

// A cache may keep a picture that it was asked for by no page.
func TestPagesThatDrawAvatars(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oDrawn").AccessToken
	require.Equal(t, http.StatusOK, upload(t, s, token, picturePart(pngOf(t, painted(color.Black)))).Status)
	reply := fetch(t, s, avatarOf(t, s, token))
	assert.Equal(t, http.StatusOK, reply.Status)
	assert.Equal(t, anyPage(), readersOf(reply.Header))
}

// Behind a gateway an app goes on that Casdoor has let in, with cookies or without. What Casdoor says stays as it is.
func TestPagesBehindGateway(t *testing.T) {
	t.Parallel()
	s, casdoor := harness.StartGateway(t, testdb.Kinds()[0].Casdoor(t), harness.Options{})
	token := s.SignIn(t, "oPage").AccessToken
	for _, request := range miniProgramRequests(token) {
		request.checkAsked(t, s)
	}
	update := pageRequest{"POST", harness.PathUpdateUser, token, map[string]string{"displayName": "小明"}, 200}
	update.check(t, s, theApp())
	pageRequest{"POST", harness.PathToken, "", harness.SignInForm("spent"), 400}.check(t, s, theApp())

	let := func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Access-Control-Allow-Origin", "https://casdoors.example.com")
	}
	casdoor.Inject(harness.PathUpdateUser, let, 1)
	casdoor.Inject(harness.PathAccount, let, 1)
	account := pageRequest{"GET", harness.PathAccount, token, nil, 502}
	for _, reply := range []harness.Reply{update.preflight(t, s), account.send(t, s, appOrigin)} {
		assert.Equal(t, []string{"https://casdoors.example.com"}, reply.Header.Values("Access-Control-Allow-Origin"))
		assert.Equal(t, readers{"https://casdoors.example.com"}, readersOf(reply.Header))
	}
	casdoor.Inject(harness.PathAccount, fakewechat.Reset(), -1)
	account.check(t, s, theApp())
}

func TestPagesBeforeRemoteCasdoor(t *testing.T) {
	t.Parallel()
	alone := startRemote(t, remoteOptions{})
	before := startRemote(t, remoteOptions{deps: func(d *controllers.Deps, casdoor string) {
		d.Upstream, _ = url.Parse(casdoor)
	}})
	for s, want := range map[*remoteServer]readers{alone: anyPage(), before: theApp()} {
		token := s.SignIn(t, "oPage").AccessToken
		for _, request := range miniProgramRequests(token) {
			request.checkAsked(t, s.Server)
		}
		update := map[string]string{"displayName": "小明"}
		pageRequest{"POST", harness.PathUpdateUser, token, update, 200}.check(t, s.Server, want)
	}
}

// pageScript is a single-page app, which returns what of each answer it may read: status, request id, and one word.
const pageScript = `(async (server, client_id, code) => {
  const read = async (path, options) => {
    const reply = await fetch(server + path, options).catch(() => null)
    return reply && [reply.status, reply.headers.has("X-Request-Id"), await reply.json()]
  }
  const seen = (answer) => answer ? answer.slice(0, 2).concat(answer[2].name || answer[2].msg || "") : "nothing"
  const sign = new URLSearchParams({tag: "wechat_miniprogram", client_id, code})
  const tokens = await read("/api/login/oauth/access_token", {method: "POST", body: sign})
  const headers = (token) => ({"Authorization": "Bearer " + token, "Content-Type": "application/json"})
  const rename = (token) => read("/api/mini-program/profile",
    {method: "POST", headers: headers(token), body: JSON.stringify({nickName: "Page"})})
  const token = tokens[2].access_token
  return JSON.stringify([tokens, await read("/api/get-account", {headers: headers(token)}), await rename(token),
    await rename("nope"), await read("/api/get-users?owner=shop"),
    await read("/api/get-users?owner=shop", {credentials: "include"})].map(seen))
})`

// In Chromium an app of another origin signs in and goes on with its token, and reads why it is refused. That an admin
// is signed in to the same host in the same browser is of no use to it.
func TestPageInBrowser(t *testing.T) {
	t.Parallel()
	needProgram(t, "chromium")
	s := startConsole(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(app.Close)
	p := openPage(t, startBrowser(t), s.URL, "/console/sign-in", visit{language: "en", width: 1440})
	evaluate := func(script string) string {
		return get(p, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	}
	evaluate(`fetch("/api/login", {method: "POST", body: JSON.stringify({type: "login", application: "app-shop",
		organization: "shop", username: "chief", password: "` + chiefPassword + `"})}).then((r) => r.text())`)
	own := evaluate(`fetch("/api/get-users?owner=shop").then((r) => r.text())`)
	require.Contains(t, own, `"name":"member"`, "the cookie is good")

	p.do(chromedp.Navigate(app.URL))
	got := evaluate(fmt.Sprintf("%s(%q, %q, %q)", pageScript, s.URL, harness.ClientID, s.NewCode("oBrowser")))
	assert.JSONEq(t, `[[200, true, ""], [200, true, "wechat-oBrowser"], [200, true, "wechat-oBrowser"],
		[401, true, "the token is invalid"], [200, true, "Unauthorized operation"], "nothing"]`, got)
}
