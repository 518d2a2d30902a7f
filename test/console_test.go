package test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// admin is somebody's browser at the console, which does not follow redirects and knows no JavaScript.
type admin struct {
	t      *testing.T
	url    string
	client *http.Client

	language string // of Accept-Language
}

// reply is a page that the browser has got.
type consoleReply struct {
	status int
	header http.Header
	body   string
}

func newAdmin(t *testing.T, s *harness.Server) *admin {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &admin{t: t, url: s.URL, client: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (a *admin) do(method, path string, form url.Values, header map[string]string) consoleReply {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(form.Encode()))
	require.NoError(a.t, err)
	r.Header.Set("Accept-Language", a.language)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", a.url)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := a.client.Do(r)
	require.NoError(a.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(a.t, err)
	return consoleReply{answer.StatusCode, answer.Header, string(body)}
}

// get reads a page that must be there.
func (a *admin) get(path string) string {
	a.t.Helper()
	reply := a.do(http.MethodGet, path, nil, nil)
	require.Equal(a.t, http.StatusOK, reply.status, "%s: %s", path, reply.body)
	return reply.body
}

// post sends a form.
func (a *admin) post(path string, pairs ...string) consoleReply {
	a.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return a.do(http.MethodPost, path, form, nil)
}

var shownVersion = regexp.MustCompile(`name="version" value="([^"]+)"`)

// edited returns the fields of a form of a row that is there, with the version that it shows now.
func (a *admin) edited(path, id string, pairs ...string) []string {
	a.t.Helper()
	version := shownVersion.FindStringSubmatch(a.get(path + "?id=" + id))
	require.Len(a.t, version, 2, path)
	return append([]string{"id", id, "version", version[1]}, pairs...)
}

// done sends a form that must be obeyed, and reads the page that it leads to.
func (a *admin) done(path string, pairs ...string) string {
	a.t.Helper()
	reply := a.post(path, pairs...)
	require.Equal(a.t, http.StatusSeeOther, reply.status, "%s: %s", path, reply.body)
	return a.get(reply.header.Get("Location"))
}

// kept requires that neither the question whether to delete a row is asked nor its answer obeyed, and returns why.
func (a *admin) kept(path, id string) string {
	a.t.Helper()
	assert.Equal(a.t, http.StatusConflict, a.post(path, "id", id).status, path)
	unasked := a.do(http.MethodGet, path+"?id="+id, nil, nil)
	assert.Equal(a.t, http.StatusConflict, unasked.status, path)
	assert.NotContains(a.t, unasked.body, `class="danger"`, "what is refused is not asked")
	return unasked.body
}

// signIn signs in, which must work.
func (a *admin) signIn(organization, name, password string) {
	a.t.Helper()
	reply := a.post("/console/sign-in", "organization", organization, "username", name, "password", password)
	require.Equal(a.t, http.StatusSeeOther, reply.status, reply.body)
}

// signInGlobal signs the first administrator in.
func signInGlobal(t *testing.T, s *harness.Server) *admin {
	t.Helper()
	a := newAdmin(t, s)
	a.signIn("built-in", "admin", s.FirstStart.AdminPassword)
	return a
}

const (
	chiefPassword  = "chief-password-1"
	memberPassword = "member-password-1"
	foreignName    = "elsewhere"
)

// consoleRows add an admin and a member of the shop, and another organization.
func consoleRows() harness.Rows {
	return harness.Rows{
		"organizations": {{"owner": "admin", "name": foreignName, "displayName": "Elsewhere"}},
		"applications": {harness.Row{
			"owner": "admin", "name": "app-foreign", "organization": foreignName, "cert": "cert-built-in",
			"clientId": "foreignclient", "enableSignUp": true,
		}},
		"providers": {{
			"owner": foreignName, "name": "wx-foreign", "category": "OAuth", "type": "WeChatMiniProgram",
			"clientId": "wxforeign00000000", "clientSecret": "foreign-secret",
		}},
		"certs": {{"owner": foreignName, "name": "cert-foreign", "cryptoAlgorithm": "ES256"}},
		"users": {
			{"owner": harness.Organization, "name": "chief", "isAdmin": true, "password": chiefPassword,
				"displayName": "Chief", "signupApplication": harness.Application},
			{"owner": harness.Organization, "name": "member", "password": memberPassword, "displayName": "Member"},
			{"owner": foreignName, "name": "stranger", "displayName": "Stranger"},
		},
	}
}

func startConsole(t *testing.T) *harness.Server {
	t.Helper()
	return harness.Start(t, harness.Options{
		Rows: consoleRows(), Application: harness.Row{"enablePassword": true},
	})
}

// consoleProviderID is the id of the harness's provider, and so on.
const (
	consoleProviderID    = "admin/" + harness.Provider
	consoleApplicationID = "admin/" + harness.Application
)

// consolePaths are all pages that show something.
func consolePaths(user string) []string {
	return []string{
		"/console", "/console/", "/console?span=day", "/console?span=month", "/console/sign-in", "/console/providers",
		"/console/providers/add",
		"/console/providers/view?id=" + consoleProviderID, "/console/providers/edit?id=" + consoleProviderID,
		"/console/providers/options?id=" + consoleProviderID, "/console/providers/delete?id=" + foreignName + "/wx-foreign",
		"/console/applications", "/console/applications/add", "/console/applications/view?id=" + consoleApplicationID,
		"/console/applications/edit?id=" + consoleApplicationID,
		"/console/applications/secret?id=" + consoleApplicationID,
		"/console/applications/key?id=" + consoleApplicationID, "/console/applications/delete?id=admin/app-foreign",
		"/console/users", "/console/users/view?id=" + user, "/console/users/forbid?id=" + user,
		"/console/users/allow?id=" + user, "/console/users/end-sessions?id=" + user, "/console/users/delete?id=" + user,
		"/console/log", "/console/certs", "/console/certs/add",
		"/console/certs/delete?id=" + foreignName + "/cert-foreign",
		"/console/records",
	}
}

// A text whose key is unknown is shown as the key.
var bareKey = regexp.MustCompile(`>\s*[a-z]+[A-Za-z]*\.[a-zA-Z.]+\s*<`)

func TestConsolePages(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	s.SignIn(t, "oAlice")
	for _, language := range []string{"en", "zh-CN"} {
		a := signInGlobal(t, s)
		a.language = language
		for _, path := range consolePaths(harness.Organization + "/wechat-oAlice") {
			page := a.get(path)
			assert.Contains(t, page, `<html lang="`+language+`"`, path)
			assert.Contains(t, page, "</html>", path)
			assert.NotRegexp(t, bareKey, page, path)
			assert.NotContains(t, page, harness.AppSecret, path)
			assert.NotContains(t, page, harness.ClientSecret, path)
			assert.NotContains(t, page, "PRIVATE KEY", path)
			assert.NotContains(t, page, "%!", path)
			assert.NotContains(t, page, "ZgotmplZ", path)
		}
	}
}

// globalCaller may do everything.
func globalCaller() *object.Caller {
	return &object.Caller{Role: object.Global, Organization: "built-in", Name: "admin"}
}
