package controllers_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
)

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	const nothing = `{"status":"error","msg":"There is nothing at this path","data":null,"data2":null}`
	var scenarios []scenario
	for path, c := range map[string]struct {
		allow string
		has   string
		wrong []string
	}{
		harness.PathToken:      {"POST", oauth("invalid_request"), []string{"GET", "HEAD", "PUT", "OPTIONS", "PURGE"}},
		harness.PathRefresh:    {"POST", oauth("invalid_request"), []string{"GET", "DELETE"}},
		harness.PathIntrospect: {"POST", oauth("invalid_request"), []string{"GET", "PATCH"}},
		harness.PathUpdateUser: {"POST", casdoor("This path takes POST only"), []string{"GET", "PUT"}},
		harness.PathProfile:    {"POST", casdoor("This path takes POST only"), []string{"GET", "PUT"}},
		harness.PathAvatar:     {"POST", casdoor("This path takes POST only"), []string{"GET", "PUT"}},
		harness.PathResource:   {"POST", casdoor("This path takes POST only"), []string{"GET"}},
		harness.PathAccount:    {"GET", casdoor("This path takes GET only"), []string{"POST", "DELETE"}},
		"/api/get-user":        {"GET", casdoor("This path takes GET only"), []string{"POST"}},
		"/api/user":            {"GET", casdoor("This path takes GET only"), []string{"POST"}},
		"/api/userinfo":        {"GET, POST", casdoor("This path takes GET, POST only"), []string{"PUT"}},
		"/api/logout":          {"GET, POST", casdoor("This path takes GET, POST only"), []string{"DELETE"}},
		"/api/health":          {"GET", casdoor("This path takes GET only"), []string{"POST"}},
		"/.well-known/jwks":    {"GET", casdoor("This path takes GET only"), []string{"POST"}},

		"/.well-known/app-shop/jwks":                {"GET", casdoor("This path takes GET only"), []string{"POST", "PUT"}},
		"/.well-known/nope/openid-configuration":    {"GET", casdoor("This path takes GET only"), []string{"POST"}},
		"/.well-known/oauth-authorization-server":   {"GET", casdoor("This path takes GET only"), []string{"DELETE"}},
		"/.well-known/a%20b/openid-configuration":   {"GET", casdoor("This path takes GET only"), []string{"PURGE"}},
		"/.well-known/:name/openid-configuration":   {"GET", casdoor("This path takes GET only"), []string{"PURGE"}},
		"/.well-known/x/oauth-authorization-server": {"GET", casdoor("This path takes GET only"), []string{"OPTIONS"}},
	} {
		for _, method := range c.wrong {
			scenarios = append(scenarios, scenario{
				name: method + " " + path, method: method, path: path, status: http.StatusMethodNotAllowed,
				has: []string{c.has}, reply: map[string]string{"Allow": c.allow, "Cache-Control": "no-store"},
			})
		}
	}
	for _, path := range []string{
		"/", "/api", "/api/", "/api/nope", "/api/get-account/", "/api/get-account/x", "//api/get-account",
		"/API/get-account",
		"/api/get-account.json", "/api/login/oauth", "/api/login/oauth/authorize", "/demo", "/demo/config",
		"/favicon.ico",
		"/../etc/passwd", "/api/mini-program/nope", "/static/x", "/%00", "/api/%2e%2e/api/get-account",
		"/.well-known", "/.well-known/", "/.well-known/jwks/", "/.well-known/app-shop", "/.well-known//jwks", "/.well-known/./jwks",
		"/.well-known/../jwks", "/.well-known/%2e%2e/jwks", "/.well-known/app%2Fshop/jwks", "/.well-known/app-shop/jwks.json",
		"/.well-known/app-shop/jwks/", "/.well-known/app-shop/webfinger", "/.well-known/webfinger", "/well-known/app-shop/jwks",
	} {
		for _, method := range []string{"GET", "POST", "PURGE"} {
			scenarios = append(scenarios, scenario{
				name: method + " " + path, method: method, path: path, status: http.StatusNotFound,
				has:   []string{nothing},
				reply: map[string]string{"Allow": "", "Cache-Control": "no-store"},
			})
		}
	}
	runAll(t, s.Handler, scenarios)
}

// casdoor-java-sdk takes no text from a 404, and fails with: argument "content" is null.
func TestCallsThatAreNotServed(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	var scenarios []scenario
	for method, paths := range map[string][]string{
		"GET": {"/api/get-roles", "/api/get-globle-certs"},
		"POST": {
			"/api/add-role", "/api/send-sms", "/api/enforce", "/api/batch-enforce", "/api/update-permission",
			"/api/pay-order", "/api/set-preferred-mfa",
		},
	} {
		for _, path := range paths {
			scenarios = append(scenarios, scenario{
				name: path, method: method, path: path + "?owner=shop", status: http.StatusOK,
				has: []string{`{"status":"error","msg":"minidoor does not serve ` + path + `","data":null,"data2":null}`},
			})
		}
	}
	runAll(t, s.Handler, scenarios)
}

// beego would take the method from a field of that name.
func TestMethodFieldIsNone(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	runAll(t, s.Handler, []scenario{
		{name: "query", path: harness.PathToken + "?_method=GET", status: 400, has: []string{"grant_type is missing"}},
		{name: "form", body: "_method=PUT", status: 400, has: []string{"grant_type is missing"}},
		{name: "GET with POST in the query", method: "GET", path: harness.PathToken + "?_method=POST", status: 405},
	})
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	reply := s.Call(t, http.MethodHead, "/api/health", "", nil)
	assert.Equal(t, http.StatusOK, reply.Status)
	assert.Empty(t, reply.Body)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oHeader").AccessToken
	for name, c := range map[string]scenario{
		"token":     {body: signIn(s.NewCode("oHeader")), status: 200},
		"error":     {status: 400},
		"account":   {method: "GET", path: harness.PathAccount, header: bearer(token), status: 200},
		"nobody":    {method: "GET", path: harness.PathAccount, status: 200},
		"userinfo":  {method: "GET", path: "/api/userinfo", header: bearer(token), status: 200},
		"health":    {method: "GET", path: "/api/health", status: 200},
		"jwks":      {method: "GET", path: "/.well-known/jwks", status: 200},
		"discovery": {method: "GET", path: "/.well-known/openid-configuration", status: 200},
		"own jwks":  {method: "GET", path: "/.well-known/app-shop/jwks", status: 200},
		"nothing":   {method: "GET", path: "/nope", status: 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.reply = map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Server": "", "Set-Cookie": "", "X-Powered-By": "",
			}
			c.run(t, s.Handler)
		})
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	seen := map[string]bool{}
	for _, c := range []struct {
		name, sent string
		kept       bool
	}{
		{"none", "", false},
		{"sane", "abc-DEF_1.2", true},
		{"64 bytes", strings.Repeat("x", 64), true},
		{"65 bytes", strings.Repeat("x", 65), false},
		{"space", "a b", false},
		{"line break", "a\nb", false},
		{"quote", `a"b`, false},
		{"other script", "请求", false},
	} {
		w := scenario{header: map[string]string{"X-Request-Id": c.sent}}.send(s.Handler)
		id := w.Header().Get("X-Request-Id")
		require.NotEmpty(t, id, c.name)
		assert.Equal(t, c.kept, id == c.sent, c.name)
		assert.False(t, seen[id], c.name)
		seen[id] = true
		assert.NotEmpty(t, s.Log.Lines(`"request_id":"`+id+`"`), "%s: reply and log go together", c.name)
	}
}

// The log says what was answered, also where Casdoor's SDKs want 200.
func TestLoggedStatus(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	otherSite := map[string]string{"Sec-Fetch-Site": "cross-site"}
	for _, c := range []scenario{
		{method: "GET", path: "/api/get-account", status: 200},
		{path: harness.PathUpdateUser, status: 200},
		{path: "/api/login", header: otherSite, status: 200},
		{path: harness.PathProfile, status: 401},
		{path: harness.PathToken, status: 400},
		{method: "GET", path: "/api/metrics", status: 401},
		{path: "/console/sign-in", header: otherSite, status: 403},
	} {
		w := c.send(s.Handler)
		assert.Equal(t, c.status, w.Code, c.path)
		id, status := w.Header().Get("X-Request-Id"), strconv.Itoa(w.Code)
		assert.Len(t, s.Log.Lines(`"request_id":"`+id+`"`, `"status":`+status+`,`), 1, c.path)
	}
}

// A server without a service panics at whatever needs one.
func TestPanic(t *testing.T) {
	t.Parallel()
	log := &harness.Log{}
	handler := controllers.New(controllers.Deps{Logger: controllers.NewLogger(log, 0, "json")})
	runAll(t, handler, []scenario{
		{name: "token", body: signIn("c"), status: 500,
			has:    []string{oauth("server_error") + `Something is wrong here"}`},
			hasNot: []string{"nil", "runtime", "goroutine"}},
		{name: "account", path: harness.PathUpdateUser, header: bearer("x.y.z"), status: 500,
			has: []string{casdoor("Something is wrong here")}, hasNot: []string{"nil", "runtime", "goroutine"}},
		{name: "own route", path: harness.PathProfile, header: bearer("x.y.z"), status: 500,
			has: []string{casdoor("Something is wrong here")}},
	})
	assert.Len(t, log.Lines(`"level":"ERROR"`, `"msg":"panic"`, "nil pointer", "goroutine", `"request_id":"`), 3)
}

func TestPanicHidesItsValue(t *testing.T) {
	t.Parallel()
	log := &harness.Log{}
	demo := &controllers.Demo{NewCode: func(string) string { panic("a secret, perhaps") }}
	handler := controllers.New(controllers.Deps{Logger: controllers.NewLogger(log, 0, "json"), Demo: demo})
	scenario{method: "GET", path: "/demo/code?user=x", status: 500, has: []string{casdoor("Something is wrong here")}}.run(t,
		handler)
	assert.Len(t, log.Lines(`"msg":"panic"`, "panic with a string", "goroutine"), 1)
	assert.Empty(t, log.Lines("a secret, perhaps"))
}

// Whoever reads the log on a terminal sees what a client has sent, and has nothing done by it.
func TestLogMovesNoCursor(t *testing.T) {
	t.Parallel()
	log := &harness.Log{}
	handler := controllers.New(controllers.Deps{Logger: controllers.NewLogger(log, 0, "json")})
	const sent = "/api/mini-program/push/%1b[A%C2%9B2K%7F%E2%80%AE%E2%81%A6小明"
	scenario{method: "POST", path: sent, status: 500}.run(t, handler)
	assert.Len(t, log.Lines(`"path":"/api/mini-program/push/\u001b[A\u009b2K\u007f\u202e\u2066小明"`), 1)
}

// The last proxy that we trust says where a request came from.
func TestForwardedFor(t *testing.T) {
	t.Parallel()
	proxies := func(d *controllers.Deps) {
		d.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	trusting, wary := harness.Start(t, harness.Options{Deps: proxies}), harness.Start(t, harness.Options{})
	for name, c := range map[string]struct {
		server       *harness.Server
		remote, sent string
		want         string
	}{
		"no proxy":             {trusting, "203.0.113.1:5", "", "203.0.113.1"},
		"stranger lies":        {trusting, "203.0.113.1:5", "198.51.100.1", "203.0.113.1"},
		"proxy":                {trusting, "10.1.2.3:5", "198.51.100.1", "198.51.100.1"},
		"proxy over IPv6":      {trusting, "[::1]:5", "2001:db8::1", "2001:db8::1"},
		"mapped proxy":         {trusting, "[::ffff:10.1.2.3]:5", "198.51.100.1", "198.51.100.1"},
		"proxy says nothing":   {trusting, "10.1.2.3:5", "", "10.1.2.3"},
		"two proxies":          {trusting, "10.1.2.3:5", "198.51.100.1, 10.9.9.9", "198.51.100.1"},
		"proxies alone":        {trusting, "10.1.2.3:5", "10.9.9.9", "10.9.9.9"},
		"client lies to proxy": {trusting, "10.1.2.3:5", "127.0.0.1, 198.51.100.1", "198.51.100.1"},
		"port":                 {trusting, "10.1.2.3:5", "198.51.100.1:5678, 10.9.9.9:1", "198.51.100.1"},
		"port of IPv6":         {trusting, "10.1.2.3:5", "[2001:db8::1]:5678", "2001:db8::1"},
		"zone":                 {trusting, "10.1.2.3:5", "2001:db8::1%" + strings.Repeat("x", 1000), "2001:db8::1"},
		"brackets":             {trusting, "10.1.2.3:5", "[2001:db8::1]", "2001:db8::1"},
		"nonsense":             {trusting, "10.1.2.3:5", "nonsense", "10.1.2.3"},
		"nonsense before":      {trusting, "10.1.2.3:5", "nonsense, 10.9.9.9", "10.9.9.9"},
		"nobody is trusted":    {wary, "10.1.2.3:5", "198.51.100.1", "10.1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			openID := "oIP" + strings.Map(func(r rune) rune {
				if r == ' ' {
					return -1
				}
				return r
			}, name)
			r := httptest.NewRequest("POST", harness.PathToken+"?"+signIn(c.server.NewCode(openID)), nil)
			r.RemoteAddr = c.remote
			if c.sent != "" {
				r.Header.Set("X-Forwarded-For", c.sent)
			}
			w := httptest.NewRecorder()
			c.server.Handler.ServeHTTP(w, r)
			token := harness.Reply{Status: w.Code, Body: w.Body.String()}.Tokens(t).AccessToken
			account := c.server.Account(t, token)
			assert.Equal(t, c.want, account["createdIp"])
			assert.Equal(t, c.want, account["lastSigninIp"])
		})
	}
}

// Without configuration the issuer is how the request names us; a proxy that we trust may say https.
func TestOrigin(t *testing.T) {
	t.Parallel()
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	plain := harness.Start(t, harness.Options{Deps: func(d *controllers.Deps) { d.TrustedProxies = loopback }})
	configured := harness.Start(t, harness.Options{Deps: func(d *controllers.Deps) {
		d.Origin, d.TrustedProxies = "https://id.example.com", loopback
	}})
	for name, c := range map[string]struct {
		server        *harness.Server
		remote, proto string
		want          string
	}{
		"as the request says":   {plain, "203.0.113.1:5", "", "http://here.test:8000"},
		"proxy says https":      {plain, "127.0.0.1:5", "https", "https://here.test:8000"},
		"proxy says nonsense":   {plain, "127.0.0.1:5", "gopher", "http://here.test:8000"},
		"stranger says https":   {plain, "203.0.113.1:5", "https", "http://here.test:8000"},
		"configured":            {configured, "203.0.113.1:5", "", "https://id.example.com"},
		"configured, and proxy": {configured, "127.0.0.1:5", "http", "https://id.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := func(method, path string) harness.Reply {
				r := httptest.NewRequest(method, path, nil)
				r.Host, r.RemoteAddr = "here.test:8000", c.remote
				r.Header.Set("X-Forwarded-Proto", c.proto)
				w := httptest.NewRecorder()
				c.server.Handler.ServeHTTP(w, r)
				return harness.Reply{Status: w.Code, Body: w.Body.String()}
			}
			discovery := call("GET", "/.well-known/openid-configuration").Map(t)
			assert.Equal(t, c.want, discovery["issuer"])
			assert.Equal(t, c.want+harness.PathToken, discovery["token_endpoint"])
			assert.Equal(t, c.want+"/.well-known/jwks", discovery["jwks_uri"])
			tokens := call("POST", harness.PathToken+"?"+signIn(c.server.NewCode("oOrigin"))).Tokens(t)
			assert.Equal(t, c.want, claimsOf(t, tokens.AccessToken)["iss"])
		})
	}
}
