package controllers_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
)

const (
	loginPath    = "/api/login"
	bossPassword = "boss 🐼 123"
)

// withPasswords is a server on which the admin has a password.
func withPasswords(t *testing.T, o harness.Options) *harness.Server {
	t.Helper()
	o.Application = harness.Row{"enablePassword": true}
	s := harness.Start(t, o)
	s.Apply(t, harness.Rows{"users": {{
		"owner": harness.Organization, "name": harness.AdminName, "password": bossPassword, "isAdmin": true,
		"email": "boss@example.com", "signupApplication": harness.Application,
	}}})
	return s
}

func loginBody(user, password string) string {
	return `{"application":"app-shop","organization":"shop","username":"` + user + `","password":"` + password +
		`","type":"login","autoSignin":true,"faceId":[]}`
}

func login(s *harness.Server, user, password string, header map[string]string) *httptest.ResponseRecorder {
	return scenario{path: loginPath, body: loginBody(user, password), header: header}.send(s.Handler)
}

// session returns the cookie of the session that an answer begins, as a request has it.
func session(t *testing.T, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	return cookieOf(t, w, "minidoor_session")
}

// cookieOf returns the cookie of that name that the answer to a sign-in sets, as a request has it.
func cookieOf(t *testing.T, w *httptest.ResponseRecorder, name string) map[string]string {
	t.Helper()
	cookies := w.Result().Cookies()
	i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return strings.TrimPrefix(c.Name, "__Host-") == name })
	require.GreaterOrEqual(t, i, 0, w.Body.String())
	require.NotEmpty(t, cookies[i].Value)
	return map[string]string{"Cookie": cookies[i].Name + "=" + cookies[i].Value}
}

// signedIn reports whether the cookie may do what an admin may.
func signedIn(s *harness.Server, cookie map[string]string) bool {
	w := scenario{method: "GET", path: "/api/get-providers?owner=shop", header: cookie}.send(s.Handler)
	return strings.Contains(w.Body.String(), `"status":"ok"`)
}

// The answers are those of Casdoor to the letter.
func TestLogin(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{})
	w := login(s, "boss", "nope", nil)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.JSONEq(t, `{"status": "error", "msg": "password or code is incorrect, you have 4 remaining chances",
		"sub": "", "name": "", "data": null, "data2": null, "data3": null}`, w.Body.String())
	assert.Empty(t, w.Result().Cookies())
	assert.Contains(t, s.Log.String(), "password or code is incorrect", "whoever watches for guessing reads the log")

	w = login(s, "boss", bossPassword, nil)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.JSONEq(t, `{"status": "ok", "msg": "", "sub": "", "name": "", "data": "shop/boss",
		"data2": null, "data3": null}`, w.Body.String())
	assert.True(t, signedIn(s, session(t, w)))
	cookie := w.Header().Get("Set-Cookie")
	assert.Regexp(t, `^minidoor_session=[A-Z2-7]{26}; Path=/; HttpOnly; SameSite=Lax$`, cookie)
	assert.True(t, signedIn(s, session(t, login(s, " Boss@Example.com ", bossPassword, nil))))
	method := strings.Replace(loginBody("boss", bossPassword), "{", `{"signinMethod":"Password",`, 1)
	assert.True(t, signedIn(s, session(t, scenario{path: loginPath, body: method}.send(s.Handler))))
	assert.Contains(t, login(s, "boss", "nope", nil).Body.String(), "4 remaining", "the right one gave them back")
	assert.Contains(t, login(s, "boss", strings.Repeat("x", 255), nil).Body.String(), "3 remaining", "as long as may be")
	assert.False(t, signedIn(s, nil))
	assert.False(t, signedIn(s, map[string]string{"Cookie": "minidoor_session=AAAAAAAAAAAAAAAAAAAAAAAAAA"}))
	assert.NotContains(t, s.Log.String(), bossPassword)
	assert.NotContains(t, s.Log.String(), strings.Split(cookie, ";")[0][len("minidoor_session="):])
	assert.Regexp(t, `^minidoor_browser=[A-Z2-7]{26}\.[\w-]{43}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax$`,
		w.Header().Values("Set-Cookie")[1])
}

func TestLoginBehindTLS(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{Deps: func(d *controllers.Deps) { d.Origin = "https://id.example.com" }})
	w := login(s, "boss", bossPassword, nil)
	assert.Regexp(t, `^__Host-minidoor_session=[A-Z2-7]{26}; Path=/; HttpOnly; Secure; SameSite=Lax$`,
		w.Header().Get("Set-Cookie"))
	cookie := session(t, w)
	assert.True(t, signedIn(s, cookie))
	cookie["Cookie"] = strings.TrimPrefix(cookie["Cookie"], "__Host-") // as others could have set it
	assert.False(t, signedIn(s, cookie))
}

// Who has set up a second factor, in a Casdoor, does not get in by the password alone.
func TestLoginOfSecondFactor(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{})
	s.Exec(t, "UPDATE user SET preferred_mfa_type='app' WHERE name='boss'")
	w := login(s, "boss", bossPassword, nil)
	assert.Contains(t, w.Body.String(), "second factor")
	assert.Empty(t, w.Result().Cookies())
	w = scenario{method: "POST", path: "/console/sign-in", body: url.Values{
		"organization": {harness.Organization}, "username": {"boss"}, "password": {bossPassword},
	}.Encode(), header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}.send(s.Handler)
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Empty(t, w.Result().Cookies())
	assert.Contains(t, s.Log.String(), "second factor")
}

// From where one may sign in with a password, Casdoor's settings say.
func TestLoginByNetwork(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := withPasswords(t, harness.Options{Now: clock.Now, Deps: func(d *controllers.Deps) {
		d.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} // whom httptest takes for the client
	}})
	enters := func(address string) bool {
		w := login(s, "boss", bossPassword, map[string]string{"X-Forwarded-For": address})
		return len(w.Result().Cookies()) > 0
	}
	for _, c := range []struct{ row, table string }{
		{"boss", "user"}, {harness.Organization, "organization"}, {harness.Application, "application"},
	} {
		set := func(list string) {
			s.Exec(t, "UPDATE "+c.table+" SET ip_whitelist='"+list+"' WHERE name='"+c.row+"'")
			clock.Advance(10 * time.Second) // settings are seen by then
		}
		set("203.0.113.0/24, 2001:db8::/32")
		assert.True(t, enters("203.0.113.9"), c.table)
		assert.True(t, enters("2001:db8::1"), c.table)
		assert.True(t, enters("127.0.0.1"), c.table)
		assert.False(t, enters("198.51.100.9"), c.table)
		set("nonsense")
		assert.False(t, enters("203.0.113.9"), c.table)
		set("")
		assert.True(t, enters("198.51.100.9"), c.table)
	}
}

// What Casdoor's route does beside is refused, and so is what no client of Casdoor sends.
func TestLoginRefuses(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{})
	right := loginBody("boss", bossPassword)
	replaced := func(part, with string) string { return strings.Replace(right, part, with, 1) }
	refused := func(name, body, message string) scenario {
		return scenario{name: name, path: loginPath, body: body, status: 200,
			has: []string{`"status":"error"`, message}, reply: map[string]string{"Set-Cookie": ""}}
	}
	runAll(t, s.Handler, []scenario{
		refused("code", replaced(`"type":"login"`, `"type":"code"`), "Unknown response type"),
		refused("no type", replaced(`"type":"login",`, ``), "Unknown response type"),
		refused("code by mail", replaced(`"type":"login"`, `"type":"login","signinMethod":"Verification code"`),
			"login method"),
		refused("no application", replaced("app-shop", ""), "application is missing"),
		refused("unknown application", replaced("app-shop", "app-x"), "The application: app-x does not exist"),
		refused("another organization's", replaced("app-shop", "app-built-in"),
			"The application: app-built-in does not exist"),
		refused("no password", replaced(bossPassword, ""), "Password cannot be empty"),
		refused("long password", replaced(bossPassword, strings.Repeat("x", 256)), "longer than 255"),
		refused("NUL", replaced("boss", `boss\u0000`), "control characters"),
		refused("number", replaced(`"boss"`, `7`), "not a JSON object"),
		refused("twice", replaced(`"type"`, `"username":"boss","type"`), "more than once"),
		refused("form", "username=boss&password=x&type=login", "JSON object"),
		{name: "GET", method: "GET", path: loginPath, status: 405},
	})
	s.Apply(t, harness.Rows{"applications": {{
		"owner": "admin", "name": harness.Application, "organization": harness.Organization, "enablePassword": false,
	}}})
	assert.Contains(t, login(s, "boss", bossPassword, nil).Body.String(), "login with password is not enabled")
}

// A session that was there before the sign-in, for whoever made it, does not become the signed-in one.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{})
	made := map[string]string{"Cookie": "minidoor_session=MADEUPMADEUPMADEUPMADEUPMA"}
	first := session(t, login(s, "boss", bossPassword, made))
	assert.NotEqual(t, made, first)
	assert.False(t, signedIn(s, made))
	second := session(t, login(s, "boss", bossPassword, first))
	assert.NotEqual(t, first, second)
	assert.False(t, signedIn(s, first), "the old session has ended")
	assert.True(t, signedIn(s, second))
}

func TestLogoutEndsSession(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{})
	for _, method := range []string{"GET", "POST"} {
		cookie := session(t, login(s, "boss", bossPassword, nil))
		other := session(t, login(s, "boss", bossPassword, nil))
		w := scenario{method: method, path: "/api/logout", header: cookie}.send(s.Handler)
		assert.Contains(t, w.Body.String(), `"data":"shop/boss"`)
		assert.Contains(t, w.Header().Get("Set-Cookie"), "minidoor_session=; Path=/; Max-Age=0")
		assert.False(t, signedIn(s, cookie))
		assert.True(t, signedIn(s, other))
		w = scenario{method: method, path: "/api/logout", header: cookie}.send(s.Handler)
		assert.Contains(t, w.Body.String(), `"data":""`, "it has ended already, and nobody is named")
	}
	scenario{method: "GET", path: "/api/logout?id_token_hint=%zz", status: 200,
		has: []string{casdoor("the query is malformed")}}.run(t, s.Handler)
}

// Another site's page cannot use the browser's session. Whoever shows something else is not bothered.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{Deps: func(d *controllers.Deps) { d.Origin = "https://id.example.com" }})
	cookie := session(t, login(s, "boss", bossPassword, nil))["Cookie"]
	const change = "/api/update-provider?id=shop/none"
	request := func(name string, status int, header map[string]string) scenario {
		return scenario{name: name, path: change, body: `{}`, status: status, header: header}
	}
	logout := func(name string, method string, header map[string]string) scenario {
		return scenario{name: name, method: method, path: "/api/logout", status: 200, header: header,
			has: []string{"Another site"}, reply: map[string]string{"Set-Cookie": ""}}
	}
	type h = map[string]string
	asPicture := h{"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "image"}
	foreign := scenario{has: []string{"Another site"}}
	runAll(t, s.Handler, []scenario{
		request("no header", 200, h{"Cookie": cookie}).with(`"status":"ok"`),
		request("own origin", 200, h{"Cookie": cookie, "Origin": "https://id.example.com"}).with(`"status":"ok"`),
		request("same host", 200, h{"Cookie": cookie, "Origin": "http://example.com"}).with(`"status":"ok"`),
		request("same origin", 200, h{"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}).with(`"status":"ok"`),
		request("other origin", 200, h{"Cookie": cookie, "Origin": "https://evil.example"}).with(foreign.has...),
		request("null origin", 200, h{"Cookie": cookie, "Origin": "null"}).with(foreign.has...),
		request("other site", 200, h{"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}).with(foreign.has...),
		request("sub-domain", 200, h{"Cookie": cookie, "Sec-Fetch-Site": "same-site"}).with(foreign.has...),
		request("form", 200, h{"Cookie": cookie, "Sec-Fetch-Site": "cross-site", "Content-Type": formType}).with(foreign.has...),
		request("JSON as text", 200, h{"Cookie": cookie, "Origin": "https://evil.example", "Content-Type": "text/plain"}).
			with(foreign.has...),
		request("JSON", 200, h{"Cookie": cookie, "Origin": "https://evil.example", "Content-Type": jsonType}).
			with(foreign.has...),
		request("with a client secret that is empty", 200, h{"Cookie": cookie, "Origin": "https://evil.example"}).
			at(change + "&clientSecret=").with(foreign.has...),
		request("client", 200, h{"Origin": "https://evil.example"}).
			at(change + "&clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret).with(`"status":"ok"`),
		request("bearer", 200, h{"Origin": "https://evil.example", "Authorization": "Bearer x"}).with("the token is invalid"),
		request("login of somebody else", 200, h{"Origin": "https://evil.example"}).at(loginPath).with(foreign.has...),
		logout("logout", "POST", h{"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}),
		logout("logout by a link", "GET", h{"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}),
		logout("logout everywhere by a link", "GET", h{"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}).at("/api/sso-logout"),
		logout("logout by a picture on our page", "GET", asPicture).with("as a part of it"),
		logout("logout everywhere by a picture on our page", "GET", asPicture).at("/api/sso-logout").with("as a part of it"),
	})
	assert.True(t, signedIn(s, h{"Cookie": cookie}))
	for _, dest := range []string{"document", "empty"} { // by a link on our page, and by a script
		cookie := session(t, login(s, "boss", bossPassword, nil))["Cookie"]
		runAll(t, s.Handler, []scenario{{name: "logout as " + dest, method: "GET", path: "/api/logout", status: 200,
			header: h{"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": dest}, has: []string{`"ok"`}}})
		assert.False(t, signedIn(s, h{"Cookie": cookie}))
	}
}

func (c scenario) with(has ...string) scenario {
	c.has = has
	return c
}

func (c scenario) at(path string) scenario {
	c.path = path
	return c
}

// Who sends many wrong passwords is turned away before they are looked at, whomever they are for.
func TestPasswordsPerIP(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{Limits: controllers.LimitsConfig{FailedPerIP: 3}})
	for _, user := range []string{"a", "b", "c"} {
		assert.Equal(t, http.StatusOK, login(s, user, "x", nil).Code)
	}
	w := login(s, "boss", bossPassword, nil)
	assert.Equal(t, http.StatusTooManyRequests, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
}

// Whoever makes a name wait does not make the browser wait that its user has signed in with, at either door.
func TestKnownBrowser(t *testing.T) {
	t.Parallel()
	s := withPasswords(t, harness.Options{})
	known := cookieOf(t, login(s, "boss", bossPassword, nil), "minidoor_browser")
	for range 5 {
		login(s, "boss", "wrong", nil)
	}
	const wait = "please wait for 15 minutes"
	assert.Contains(t, login(s, "boss", bossPassword, nil).Body.String(), wait)
	assert.Contains(t, login(s, "boss", bossPassword, map[string]string{"Cookie": "minidoor_browser=x"}).Body.String(), wait)
	assert.True(t, signedIn(s, session(t, login(s, "boss", bossPassword, known))))
	assert.False(t, signedIn(s, known), "it opens nothing")

	atConsole := func(cookie string) int {
		return scenario{path: "/console/sign-in", body: url.Values{
			"organization": {harness.Organization}, "username": {"boss"}, "password": {bossPassword},
		}.Encode(), header: map[string]string{"Content-Type": formType, "Cookie": cookie}}.send(s.Handler).Code
	}
	assert.Equal(t, http.StatusForbidden, atConsole(""))
	assert.Equal(t, http.StatusSeeOther, atConsole(known["Cookie"]))
}

// To learn that nobody has a name takes as long as a wrong password does. The least of a few times, in turn, tells it
// from noise.
func TestNamesAreNotToldByTime(t *testing.T) {
	s := withPasswords(t, harness.Options{})
	took := func(user string) time.Duration {
		start := time.Now()
		assert.Contains(t, login(s, user, "wrong", nil).Body.String(), "remaining chances")
		return time.Since(start)
	}
	known, unknown := time.Hour, time.Hour
	for range 4 {
		known, unknown = min(known, took("boss")), min(unknown, took("nobody"))
	}
	t.Logf("known name %s, unknown name %s", known, unknown)
	assert.Greater(t, unknown, known/4, "without the work for nobody's password it is a fiftieth")
}
