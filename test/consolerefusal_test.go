package test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
)

// consoleChanges are all forms that change something.
func consoleChanges() []string {
	return []string{
		"/console/providers/add", "/console/providers/edit", "/console/providers/options", "/console/providers/delete",
		"/console/providers/test", "/console/applications/add", "/console/applications/edit",
		"/console/applications/secret",
		"/console/applications/key", "/console/applications/delete", "/console/users/forbid", "/console/users/allow",
		"/console/users/end-sessions", "/console/users/delete", "/console/certs/add", "/console/certs/delete",
	}
}

func TestConsoleWantsASignIn(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := newAdmin(t, s)
	reply := a.do(http.MethodGet, "/console/users?value=x", nil, nil)
	assert.Equal(t, http.StatusSeeOther, reply.status)
	assert.Equal(t, "/console/sign-in?next=%2Fconsole%2Fusers%3Fvalue%3Dx", reply.header.Get("Location"))
	for _, path := range consoleChanges() {
		reply := a.post(path, "id", consoleProviderID)
		assert.Equal(t, http.StatusForbidden, reply.status, path)
		assert.Contains(t, reply.body, `<a href="/console/sign-in?next=`, path)
	}
	wrong := a.post("/console/sign-in", "organization", "built-in", "username", "admin", "password", "guess")
	assert.Equal(t, http.StatusForbidden, wrong.status)
	assert.Contains(t, wrong.body, `role="alert"`)
	unknown := a.post("/console/sign-in", "organization", "none", "username", "nobody", "password", "guess")
	assert.Equal(t, http.StatusForbidden, unknown.status, "who exists is not told")
	assert.Equal(t, http.StatusUnprocessableEntity, a.post("/console/sign-in", "organization", "").status)
	in := a.post("/console/sign-in", "organization", "built-in ", "username", "admin\t", "password",
		s.FirstStart.AdminPassword, "next", "//evil.example/")
	signedIn := in.header.Get("Location")
	assert.Equal(t, "/console/sign-in?next=%2Fconsole&signedIn=1", signedIn)
	assert.Equal(t, "/console", a.do(http.MethodGet, signedIn, nil, nil).header.Get("Location"))
	assert.Contains(t, newAdmin(t, s).get(signedIn), "The browser has not kept the session")

	page := a.done("/console/sign-out")
	assert.Contains(t, page, "You are signed out")
	assert.Equal(t, http.StatusSeeOther, a.do(http.MethodGet, "/console", nil, nil).status)
}

// Whoever is signed out in the middle of a form signs in in another tab, and sends what was entered once more.
func TestConsoleKeepsWhatWasEntered(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	const edit = "/console/applications/edit"
	entered := a.edited(edit, consoleApplicationID, "displayName", "My “own” <name> 🏮", "enableSignUp", "on",
		"tokenFormat", "JWT", "expireInHours", "12", "refreshExpireInHours", "24", "cert", "cert-built-in",
		"providers", harness.Provider)
	a.done("/console/sign-out")
	page := a.post(edit, entered...).body
	assert.Contains(t, page, "You are signed out")
	assert.Contains(t, page, `<a href="/console/sign-in?next=%2fconsole%2fapplications%2fedit%3fid%3dadmin%252F`)
	assert.NotContains(t, page, "/console/preferences", "another language would lose it")
	assert.NotContains(t, s.Value(t, "SELECT display_name FROM application WHERE name='"+harness.Application+"'"), "own")

	a.signIn("built-in", "admin", s.FirstStart.AdminPassword)
	require.Contains(t, page, `<form method="post" action="`+edit+`">`)
	kept := []string{}
	hidden := regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	for _, field := range hidden.FindAllStringSubmatch(page, -1) {
		kept = append(kept, html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	assert.ElementsMatch(t, entered, kept)
	assert.Contains(t, a.done(edit, kept...), "<h1>My “own” &lt;name&gt; 🏮</h1>")
}

// A secret stands in no page: it is to be entered once more, as the one that is stored would stay without a word.
func TestConsoleAsksForSecretsAgain(t *testing.T) {
	t.Parallel()
	const entered = "5ec4e75ec4e75ec4e75ec4e75ec4e7ff"
	page := newAdmin(t, startConsole(t)).post("/console/providers/edit", "id", consoleProviderID, "displayName", "Shop",
		"clientSecret", entered).body
	assert.Contains(t, page, `name="displayName" value="Shop"`)
	assert.NotContains(t, page, entered)
	assert.Contains(t, page, `<input id="clientSecret" name="clientSecret" `)
	assert.Contains(t, page, "Please enter this once more")
	assert.NotContains(t, page, "pushToken", "nothing was entered there")
}

func TestConsoleRefusesMembers(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := newAdmin(t, s)
	reply := a.post("/console/sign-in", "organization", harness.Organization, "username", "member",
		"password", memberPassword)
	assert.Equal(t, http.StatusForbidden, reply.status)
	assert.Empty(t, reply.header.Get("Set-Cookie"))

	// One who has signed in elsewhere has a cookie, and no more rights.
	session := s.Call(t, http.MethodPost, "/api/login", "", map[string]string{
		"type": "login", "application": harness.Application, "organization": harness.Organization, "username": "member",
		"password": memberPassword,
	})
	cookie := map[string]string{"Cookie": session.Header.Get("Set-Cookie")}
	require.NotEmpty(t, cookie["Cookie"], session.Body)
	for _, path := range consolePaths(harness.Organization + "/member") {
		if path != "/console/sign-in" {
			assert.Equal(t, http.StatusForbidden, a.do(http.MethodGet, path, nil, cookie).status, path)
		}
	}
	for _, path := range consoleChanges() {
		reply := a.do(http.MethodPost, path, url.Values{"id": {consoleProviderID}}, cookie)
		assert.Equal(t, http.StatusForbidden, reply.status, path)
	}

	// There is a way out for them: signed out, they may sign in as an admin.
	s.Apply(t, harness.Rows{"users": {{"owner": harness.Organization, "name": "member", "isForbidden": true}}})
	refused := a.do(http.MethodGet, "/console", nil, cookie)
	assert.Equal(t, http.StatusForbidden, refused.status)
	assert.Contains(t, refused.body, `action="/console/sign-out"`)
	assert.Equal(t, http.StatusSeeOther, a.do(http.MethodPost, "/console/sign-out", nil, cookie).status)
	assert.Equal(t, http.StatusSeeOther, a.do(http.MethodGet, "/console", nil, cookie).status)
	assert.NotContains(t, a.do(http.MethodGet, "/console/none", nil, nil).body, "/console/sign-out")
}

func TestConsoleRefusesOtherSites(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	form := url.Values{"id": {harness.Organization + "/member"}, "username": {"x"}}
	for _, path := range append(consoleChanges(), "/console/sign-in", "/console/sign-out", "/console/preferences") {
		for name, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
			reply := a.do(http.MethodPost, path, form, map[string]string{name: value})
			assert.Equal(t, http.StatusForbidden, reply.status, "%s %s", path, name)
		}
	}
	a.get("/console/users/view?id=" + harness.Organization + "/member")
	reply := newAdmin(t, s).do(http.MethodPost, "/console/sign-in", form, map[string]string{"Origin": "https://evil.example"})
	assert.Equal(t, http.StatusForbidden, reply.status, "nobody is signed in as somebody else")
}

// An organization's admin sees and changes what is the organization's, and nothing else.
func TestConsoleOfAnOrganization(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := newAdmin(t, s)
	a.signIn(harness.Organization, "chief", chiefPassword)
	for _, path := range []string{
		"/console/users/view?id=" + foreignName + "/stranger", "/console/users/export?id=" + foreignName + "/stranger",
		"/console/applications/view?id=admin/app-foreign", "/console/applications/edit?id=admin/app-foreign",
		"/console/providers/view?id=" + foreignName + "/wx-foreign",
		"/console/certs/download?id=" + foreignName + "/cert-foreign",
		"/console/users/view?id=built-in/admin",
	} {
		status := a.do(http.MethodGet, path, nil, nil).status
		assert.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, status, path)
	}
	for _, change := range [][]string{
		{"/console/users/forbid", foreignName + "/stranger"}, {"/console/users/delete", foreignName + "/stranger"},
		{"/console/users/end-sessions", foreignName + "/stranger"}, {"/console/applications/secret", "admin/app-foreign"},
		{"/console/applications/key", "admin/app-foreign"}, {"/console/applications/delete", "admin/app-foreign"},
		{"/console/providers/delete", foreignName + "/wx-foreign"}, {"/console/providers/delete", consoleProviderID},
		{"/console/providers/edit", consoleProviderID}, {"/console/providers/options", consoleProviderID},
		{"/console/providers/test", foreignName + "/wx-foreign"},
		{"/console/certs/delete", foreignName + "/cert-foreign"},
		{"/console/certs/delete", "admin/cert-built-in"},
	} {
		status := a.post(change[0], "id", change[1], "algorithm", "RS256").status
		assert.Contains(t, []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict}, status, change[0])
	}
	for _, path := range []string{
		"/console", "/console/users", "/console/applications", "/console/providers", "/console/certs", "/console/records",
		"/console/log", "/console/users?organization=" + foreignName, "/console/log?organization=" + foreignName,
	} {
		reply := a.do(http.MethodGet, path, nil, nil)
		for _, foreign := range []string{"stranger", "app-foreign", "wx-foreign", "cert-foreign"} {
			assert.NotContains(t, reply.body, foreign, path)
		}
	}
	page := a.done("/console/providers/add", "clientId", "wxabcdef0123456789", "clientSecret", "s", "displayName", "Own",
		"name", "wx-own", "application", consoleApplicationID, "checkAvatar", "", "onReview", "", "onUnchecked", "")
	assert.Contains(t, page, harness.Organization+"/wx-own")
	const rotate = "/console/applications/key"
	a.done(rotate, a.edited(rotate, consoleApplicationID, "algorithm", "ES256")...)
}

func TestConsoleHeaders(t *testing.T) {
	t.Parallel()
	a := signInGlobal(t, startConsole(t))
	for _, path := range []string{"/console", "/console/none", "/console/users/view?id=a/b", "/console/sign-in"} {
		reply := a.do(http.MethodGet, path, nil, nil)
		policy := reply.header.Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'; style-src 'self'; script-src 'self'", path)
		assert.NotContains(t, policy, "unsafe", path)
		assert.Contains(t, policy, "frame-ancestors 'none'", path)
		assert.Equal(t, "no-store", reply.header.Get("Cache-Control"), path)
		assert.Contains(t, reply.header.Get("Content-Type"), "text/html", path)
		assert.NotContains(t, reply.body, " style=", path)
		assert.NotContains(t, reply.body, " onclick=", path)
	}
	missing := a.do(http.MethodGet, "/console/none", nil, nil)
	assert.Equal(t, http.StatusNotFound, missing.status)
	assert.Contains(t, missing.body, missing.header.Get("X-Request-Id"))
	assert.Equal(t, http.StatusMethodNotAllowed, a.post("/console/users").status)
	assert.Equal(t, http.StatusBadRequest, a.do(http.MethodPost, "/console/users/forbid", nil,
		map[string]string{"Content-Type": "application/json"}).status)
	css := a.do(http.MethodGet, "/console/static/console.css", nil, nil)
	assert.Contains(t, css.header.Get("Content-Type"), "text/css")
	assert.Equal(t, http.StatusNotFound, a.do(http.MethodGet, "/console/static/words", nil, nil).status)

	preferred := a.post("/console/preferences", "language", "zh-CN", "theme", "dark", "back", "/console/certs")
	assert.Equal(t, "/console/certs", preferred.header.Get("Location"))
	assert.Contains(t, a.get("/console/certs"), `<html lang="zh-CN" data-theme="dark">`)
}

// Whatever users call themselves is shown as text.
func TestConsoleShowsNamesAsText(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	s.Apply(t, harness.Rows{"users": {{
		"owner": harness.Organization, "name": "evil", "displayName": hostileName, "avatar": "javascript:alert(1)",
		"phone": `"><script>`,
	}, {
		"owner": harness.Organization, "name": "evil2", "displayName": "x",
		"avatar": `https://a.example/"onerror="alert(1)`,
	}}})
	a := signInGlobal(t, s)
	for _, path := range []string{
		"/console/users", "/console/users/view?id=shop/evil", "/console/users/delete?id=shop/evil",
		"/console/users?value=" + url.QueryEscape(hostileName), "/console/records?user=" + url.QueryEscape(hostileName),
		"/console/log?user=" + url.QueryEscape(hostileName), "/console/users/view?id=shop/evil2",
	} {
		page := a.get(path)
		assert.NotContains(t, page, "<script>", path)
		assert.NotContains(t, page, "<img src=x", path)
		assert.NotContains(t, page, "javascript:", path)
		assert.NotContains(t, page, `"onerror=`, path)
	}
}

// Beside a Casdoor, its rows are its own pages' to change.
func TestConsoleBesideACasdoor(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Deps: func(deps *controllers.Deps) {
		deps.Authority, deps.Upstream = nil, &url.URL{Scheme: "http", Host: "casdoor.invalid"}
	}})
	a := newAdmin(t, s)
	a.signIn("built-in", "admin", s.FirstStart.AdminPassword)
	for _, path := range []string{"/console", "/console/users", "/console/log", "/console/records"} {
		a.get(path)
	}
	page := a.get("/console/providers/view?id=" + consoleProviderID)
	assert.Contains(t, page, s.URL+"/providers/admin/"+harness.Provider)
	assert.Equal(t, http.StatusOK, a.post("/console/providers/test", "id", consoleProviderID).status)
	a.done("/console/providers/options", a.edited("/console/providers/options", consoleProviderID, "checkAvatar", "",
		"onReview", "accept", "onUnchecked", "")...)
	for _, path := range consoleChanges() {
		if path == "/console/providers/test" || path == "/console/providers/options" {
			continue
		}
		assert.Equal(t, http.StatusNotFound, a.post(path, "id", consoleProviderID).status, path)
	}
}

func TestNoConsoleWithoutAStore(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Deps: func(deps *controllers.Deps) { deps.Authority, deps.Console = nil, nil }})
	for _, path := range []string{"/console", "/console/sign-in", "/console/static/console.css"} {
		assert.Contains(t, s.Call(t, http.MethodGet, path, "", nil).Body, `"status":"error"`, path)
	}
}
