package test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

func TestConsoleProvider(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	add := []string{
		"clientId", "wxabcdef0123456789\t", "clientSecret", "SECRET-of-the-new-one", "displayName", "二号", "name", "wx-two",
		"application", consoleApplicationID, "checkAvatar", "async", "onReview", "", "onUnchecked", "accept",
		"pushToken", "PushToken1", "shareUnionId", "on",
	}
	page := a.done("/console/providers/add", add...)
	assert.Contains(t, page, "does not look like WeChat")
	assert.Contains(t, page, "later: the new picture waits")
	assert.Contains(t, page, s.URL+"/api/mini-program/push/wx-two")
	assert.Contains(t, a.get("/console/applications/view?id="+consoleApplicationID), "wx-two")
	for _, path := range []string{"view", "edit", "options"} {
		shown := a.get("/console/providers/" + path + "?id=admin/wx-two")
		assert.NotContains(t, shown, "SECRET-of")
		assert.NotContains(t, shown, "PushToken1")
	}

	again := a.post("/console/providers/add", add...)
	assert.Equal(t, http.StatusUnprocessableEntity, again.status)
	assert.Regexp(t, `id="name"[^>]* aria-invalid="true" aria-describedby="name-problem"`, again.body)
	assert.NotContains(t, again.body, "SECRET-of")
	why := a.kept("/console/providers/delete", "admin/wx-two")
	assert.Contains(t, why, "Take it out of the application first")
	assert.Contains(t, why, "Application that uses it: "+harness.Application)

	const edit = "/console/providers/edit"
	a.done(edit, a.edited(edit, "admin/wx-two", "clientId", "wxabcdef0123456789", "displayName", "Two",
		"checkAvatar", "", "onReview", "", "onUnchecked", "", "clearPush", "on")...)
	assert.NotContains(t, a.get("/console/providers/view?id=admin/wx-two"), "mini-program/push")
	assert.NotContains(t, a.get("/console/providers/edit?id=admin/wx-two"), "clearPush", "there is nothing to remove")
	assert.NotContains(t, a.get("/console/providers/add"), "clearPush")
	nameless := a.post(edit, a.edited(edit, "admin/wx-two", "clientSecret", "new", "clientId", "wxabcdef0123456789",
		"checkAvatar", "", "onReview", "", "onUnchecked", "")...)
	assert.Contains(t, nameless.body, `<a href="#displayName">Name that people read</a>`)
	assert.Regexp(t, `id="clientSecret-problem">Please enter this once more`, nameless.body, "empty, the old one would stay")
	assert.NotContains(t, nameless.body, `id="pushToken-problem"`, "none was entered")
	assert.Regexp(t, `name="displayName" type="text" value="`+harness.Provider+`"`,
		a.get("/console/providers/edit?id="+consoleProviderID), "one without a name for people shows the other")
	row, err := s.Service.Providers().Get(t.Context(), globalCaller(), "admin", "wx-two")
	require.NoError(t, err)
	assert.Equal(t, "Two", row.DisplayName)
	assert.NotEmpty(t, row.ClientSecret, "an empty field keeps the AppSecret")
}

// Where the options of a provider cannot be stored, nor is what else its form shows.
func TestConsoleProviderIsSavedWhole(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	s.Exec(t, "CREATE TRIGGER broken BEFORE INSERT ON mini_program_provider BEGIN SELECT RAISE(ABORT, 'broken'); END")
	add := a.post("/console/providers/add", "clientId", "wxabcdef0123456789", "clientSecret", "s", "displayName", "x",
		"name", "wx-half", "application", "", "checkAvatar", "", "onReview", "", "onUnchecked", "")
	assert.Equal(t, http.StatusServiceUnavailable, add.status)
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM provider WHERE name='wx-half'"))
	edit := a.post("/console/providers/edit", a.edited("/console/providers/edit", consoleProviderID, "clientId",
		"wxabcdef0123456789", "displayName", "Half", "checkAvatar", "", "onReview", "", "onUnchecked", "")...)
	assert.Equal(t, http.StatusServiceUnavailable, edit.status)
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM provider WHERE display_name='Half'"))
}

func TestConsoleProviderForm(t *testing.T) {
	t.Parallel()
	a := signInGlobal(t, startConsole(t))
	good := map[string]string{
		"clientId": "wxabcdef0123456789", "clientSecret": "s", "displayName": "x", "name": "wx-x", "application": "",
		"checkAvatar": "", "onReview": "", "onUnchecked": "",
	}
	for name, c := range map[string]struct{ field, value, marked string }{
		"no AppID":        {"clientId", "", "clientId"},
		"bad AppID":       {"clientId", "gh_123", "clientId"},
		"no secret":       {"clientSecret", "", "clientSecret"},
		"no name":         {"name", "", "name"},
		"bad name":        {"name", "a/b", "name"},
		"long name":       {"displayName", string(make([]rune, 101)), "displayName"},
		"bad choice":      {"checkAvatar", "never", "checkAvatar"},
		"bad token":       {"pushToken", "a b", "pushToken"},
		"bad key":         {"pushEncodingAESKey", "short", "pushEncodingAESKey"},
		"key alone":       {"pushEncodingAESKey", strings.Repeat("k", 43), "pushEncodingAESKey"},
		"bad application": {"application", "admin/none", "application"},
	} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{}
			for field, value := range good {
				form.Set(field, value)
			}
			form.Set(c.field, c.value)
			if name == "long name" {
				form.Set(c.field, regexp.MustCompile(`.`).ReplaceAllString(string(make([]byte, 101)), "长"))
			}
			reply := a.do(http.MethodPost, "/console/providers/add", form, nil)
			assert.Equal(t, http.StatusUnprocessableEntity, reply.status)
			assert.Contains(t, reply.body, `id="`+c.marked+`-problem"`)
			assert.NotContains(t, reply.body, "problem.")
		})
	}
}

func TestConsoleTestsProviders(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	a.language = "zh-CN"
	test := func() string {
		reply := a.post("/console/providers/test", "id", consoleProviderID)
		require.Equal(t, http.StatusOK, reply.status)
		return reply.body
	}
	assert.Contains(t, test(), "测试通过")
	for errcode, words := range map[int]string{
		40001: "AppSecret 错误", 40125: "AppSecret 错误", 40013: "微信不认识这个 AppID", 40243: "AppSecret 已被冻结",
		89503: "需要小程序管理员确认此地址", 89506: "小程序管理员拒绝了此地址", 50004: "微信禁止此小程序", 50007: "小程序账号已被微信冻结",
		45009: "微信接口配额已用完", 12345: "12345",
	} {
		s.Fake.Inject(fakewechat.PathStableToken, fakewechat.Errcode(errcode), 1)
		page := test()
		assert.Contains(t, page, words, errcode)
		assert.Contains(t, page, "<ol>", errcode)
	}
	s.Fake.Inject(fakewechat.PathStableToken, fakewechat.ErrcodeMessage(40164,
		"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"), 1)
	assert.Contains(t, test(), `<code id="address">203.0.113.7</code>`)
	s.Fake.Inject(fakewechat.PathStableToken, fakewechat.HTML(), 1)
	assert.Contains(t, test(), "无法连接微信")
}

var shownSecret = regexp.MustCompile(`<code id="client-secret">([0-9a-f]{40})</code>`)

func TestConsoleApplication(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	fields := []string{
		"displayName", "App 二", "organization", harness.Organization, "providers", harness.Provider, "enableSignUp", "on",
		"tokenFormat", "JWT", "expireInHours", "24", "refreshExpireInHours", "48", "cert", "cert-built-in",
	}
	foreign := a.post("/console/applications/add", append(fields[:len(fields)-1:len(fields)-1], "cert-foreign",
		"name", "app-two")...)
	assert.Equal(t, http.StatusUnprocessableEntity, foreign.status)
	assert.Contains(t, foreign.body, `id="cert-problem"`, "it is another organization's")
	assert.NotContains(t, foreign.body, `id="name-problem"`)
	made := a.post("/console/applications/add", append(fields, "name", "app-two")...)
	require.Equal(t, http.StatusOK, made.status, made.body)
	assert.Equal(t, "no-store", made.header.Get("Cache-Control"))
	secret := shownSecret.FindStringSubmatch(made.body)
	require.Len(t, secret, 2)
	const id = "admin/app-two"
	page := a.get("/console/applications/view?id=" + id)
	assert.NotContains(t, page, secret[1])
	assert.Contains(t, page, "24 hours")

	renewed := a.post("/console/applications/secret", "id", id)
	fresh := shownSecret.FindStringSubmatch(renewed.body)
	require.Len(t, fresh, 2, renewed.body)
	assert.NotEqual(t, secret[1], fresh[1])
	row, err := s.Service.Applications().Get(t.Context(), globalCaller(), "admin", "app-two")
	require.NoError(t, err)
	assert.Equal(t, fresh[1], row.ClientSecret)
	require.Len(t, row.Providers, 1)
	assert.True(t, row.Providers[0].CanSignIn)

	fields[3], fields[11] = "", "1.5"
	a.done("/console/applications/edit", a.edited("/console/applications/edit", id, fields...)...)
	wrong := a.post("/console/applications/edit", a.edited("/console/applications/edit", id, "displayName", "x",
		"expireInHours", "-1", "refreshExpireInHours", "x", "tokenFormat", "none", "cert", "none")...)
	assert.Equal(t, http.StatusUnprocessableEntity, wrong.status)
	for _, field := range []string{"expireInHours", "refreshExpireInHours", "tokenFormat", "cert"} {
		assert.Contains(t, wrong.body, `id="`+field+`-problem"`)
	}
	a.done("/console/applications/delete", "id", id)
	s.SignIn(t, "oFirst")
	for _, used := range []string{consoleApplicationID, "admin/app-built-in"} {
		assert.Contains(t, a.kept("/console/applications/delete", used), "it stays", used)
	}
}

// The pages show the cert that an application signs with, which is the built-in one where it names none, and the form
// offers it whatever became of it: a browser would choose the first one.
func TestConsoleKeepsTheCert(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	a.done("/console/certs/add", "name", "cert-first", "algorithm", "ES256")
	const edit, rotate = "/console/applications/edit", "/console/applications/key"
	for stored, shown := range map[string]string{"": "cert-built-in", "cert-gone": "cert-gone"} {
		s.Exec(t, "UPDATE application SET cert=? WHERE name=?", stored, harness.Application)
		page := a.get("/console/applications/view?id=" + consoleApplicationID)
		assert.Contains(t, page, "<dd>"+shown)
		assert.NotContains(t, page, "0001-01-01", "nobody knows when a key that is gone came")
		assert.Equal(t, stored == "", strings.Contains(a.get("/console/certs"), harness.Application+`">`))
		assert.Contains(t, a.get(edit+"?id="+consoleApplicationID), `<option value="`+shown+`" selected>`)
		a.done(edit, a.edited(edit, consoleApplicationID, "displayName", "Shop", "enableSignUp", "on", "tokenFormat", "JWT",
			"expireInHours", "168", "refreshExpireInHours", "720", "cert", shown)...)
		assert.Equal(t, shown, s.Value(t, "SELECT cert FROM application WHERE name=?", harness.Application))
	}
}

// A form that was opened before somebody else's change saves nothing, and shows what is there now.
func TestConsoleKeepsWhatOthersChanged(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	refused := func(path string, fields []string) string {
		reply := a.post(path, fields...)
		assert.Equal(t, http.StatusConflict, reply.status, path)
		assert.Contains(t, reply.body, "Somebody has changed this meanwhile")
		return reply.body
	}
	const edit, rotate = "/console/applications/edit", "/console/applications/key"
	old := a.edited(edit, consoleApplicationID, "displayName", "Renamed", "enableSignUp", "on", "tokenFormat", "JWT",
		"expireInHours", "168", "refreshExpireInHours", "720", "cert", "cert-built-in")
	key := a.edited(rotate, consoleApplicationID, "algorithm", "ES256")
	a.done(rotate, key...)
	refused(rotate, key)
	page := refused(edit, old)
	assert.Regexp(t, `<option value="cert-shop-[0-9-]+" selected>`, page)
	assert.NotContains(t, page, "Renamed")
	app, err := s.Service.Applications().Get(t.Context(), globalCaller(), "admin", harness.Application)
	require.NoError(t, err)
	assert.NotEqual(t, "cert-built-in", app.Cert)
	assert.NotEqual(t, "Renamed", app.DisplayName)
	assert.Len(t, app.Providers, 1)

	for _, path := range []string{"/console/providers/edit", "/console/providers/options"} {
		fields := []string{"clientId", "wxabcdef0123456789", "displayName", "Two", "checkAvatar", "",
			"onReview", "", "onUnchecked", ""}
		old := a.edited(path, consoleProviderID, fields...)
		fresh := append(a.edited(path, consoleProviderID, fields...), "checkNickname", "on")
		a.done(path, fresh...)
		assert.Regexp(t, `id="checkNickname"[^>]* checked`, refused(path, old))
		a.done(path, a.edited(path, consoleProviderID, fields...)...)
	}
	assert.Equal(t, http.StatusConflict, a.post(edit, "id", consoleApplicationID).status, "a form without a version")
}

// Who chooses another language on the answer to a form comes back to a page that is there.
func TestConsoleSwitchesAfterForms(t *testing.T) {
	t.Parallel()
	a := signInGlobal(t, startConsole(t))
	const provider, application = "?id=admin%2F" + harness.Provider, "?id=admin%2F" + harness.Application
	for path, want := range map[string]string{
		"/console/providers/test":      "/console/providers/view" + provider,
		"/console/providers/edit":      "/console/providers/edit" + provider,
		"/console/providers/options":   "/console/providers/options" + provider,
		"/console/providers/delete":    "/console/providers/delete" + provider,
		"/console/applications/edit":   "/console/applications/edit" + application,
		"/console/applications/delete": "/console/applications/delete" + application,
		"/console/applications/add":    "/console/applications/add",
		"/console/sign-in":             "/console/sign-in",
	} {
		var fields []string
		if _, query, found := strings.Cut(want, "?"); found {
			id, err := url.ParseQuery(query)
			require.NoError(t, err)
			fields = []string{"id", id.Get("id")}
		}
		answer := a.post(path, fields...)
		back := regexp.MustCompile(`name="back" value="([^"]+)"`).FindStringSubmatch(answer.body)
		require.Len(t, back, 2, "%s: %d", path, answer.status)
		assert.Equal(t, want, html.UnescapeString(back[1]), path)
		assert.Equal(t, want, a.post("/console/preferences", "back", want, "language", "en").header.Get("Location"))
		there := a.do(http.MethodGet, want, nil, nil).status
		assert.Contains(t, []int{http.StatusOK, http.StatusConflict}, there, "%s: the provider is in use", path)
	}
	secret := a.post("/console/applications/secret", "id", consoleApplicationID)
	require.Regexp(t, shownSecret, secret.body)
	assert.NotContains(t, secret.body, "/console/preferences", "it would lose what is shown once")
}

// What the old key signed goes on, and is told until when.
func TestConsoleRotatesKeys(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	old := s.SignIn(t, "oAlice")
	const rotate = "/console/applications/key"
	assert.Contains(t, a.get(rotate+"?id="+consoleApplicationID), `<button class="primary">Rotate the key</button>`)
	page := a.done(rotate, a.edited(rotate, consoleApplicationID, "algorithm", "ES256")...)
	assert.Regexp(t, `cert-shop-\d{8}-\d{6}`, page)
	assert.Contains(t, page, "Former keys, if any, verify tokens until")
	s.Account(t, old.AccessToken)
	s.Account(t, s.SignIn(t, "oAlice").AccessToken)

	name := regexp.MustCompile(`cert-shop-\d{8}-\d{6}`).FindString(page)
	keys := s.Call(t, http.MethodGet, "/.well-known/"+harness.Application+"/jwks", "", nil).Body
	for _, kid := range []string{name, "cert-built-in"} {
		assert.Contains(t, keys, `"kid":"`+kid+`"`)
	}
	pem := a.do(http.MethodGet, "/console/certs/download?id=admin/"+name, nil, nil)
	assert.Contains(t, pem.header.Get("Content-Disposition"), name+".pem")
	assert.Contains(t, pem.body, "BEGIN CERTIFICATE")
	assert.NotContains(t, pem.body, "PRIVATE")
	assert.Contains(t, a.kept("/console/certs/delete", "admin/"+name), "Application that uses it: "+harness.Application)
	a.kept("/console/certs/delete", "admin/cert-built-in")
	a.done("/console/certs/add", "name", "cert-more", "algorithm", "RS256")
	again := a.post("/console/certs/add", "name", "cert-more", "algorithm", "RS256")
	assert.Equal(t, http.StatusUnprocessableEntity, again.status)
	a.done("/console/certs/delete", "id", "admin/cert-more")
}

func TestConsoleUser(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	token := s.SignIn(t, "oAlice").AccessToken
	const id = harness.Organization + "/wechat-oAlice"
	valid := func() bool {
		return s.Call(t, http.MethodGet, harness.PathAccount, token, nil).Map(t)["status"] == "ok"
	}

	assert.Contains(t, a.get("/console/users/view?id="+id), "oAlice")
	assert.Contains(t, a.get("/console/users?by=wechat&value=oAlice"), "wechat-oAlice")
	assert.Contains(t, a.get("/console/users?by=name&value=nobody"), "Nobody is found")
	a.done("/console/users/forbid", "id", id)
	assert.False(t, valid())
	a.done("/console/users/allow", "id", id)
	assert.True(t, valid())
	export := a.do(http.MethodGet, "/console/users/export?id="+id, nil, nil)
	assert.Contains(t, export.header.Get("Content-Disposition"), "attachment")
	assert.Contains(t, export.body, `"openId": "oAlice"`)
	a.done("/console/users/end-sessions", "id", id)
	assert.False(t, valid())
	a.done("/console/users/delete", "id", id)
	assert.Equal(t, http.StatusNotFound, a.do(http.MethodGet, "/console/users/view?id="+id, nil, nil).status)

	assert.Contains(t, a.kept("/console/users/delete", "built-in/admin"), "built-in/admin cannot be deleted")
	assert.Equal(t, http.StatusConflict, a.post("/console/users/forbid", "id", "built-in/admin").status)
	records := a.get("/console/records")
	for _, action := range []string{"update-user", "end-user-sessions", "delete-user"} {
		assert.Contains(t, records, action)
	}
	assert.Contains(t, records, "127.0.0.1")
	assert.Contains(t, a.get("/console/records?action=delete-user&user=admin"), "delete-user")
}

func TestConsoleLog(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	s.SignIn(t, "oAlice")
	s.Fake.Inject(fakewechat.PathCode2Session, fakewechat.Errcode(40029), 1)
	s.Call(t, http.MethodPost, harness.PathToken, "", harness.SignInForm(s.NewCode("oBob")))
	bare := harness.SignInForm(s.NewCode("oCarol"))
	bare.Set("client_id", s.Value(t, "SELECT client_id FROM application WHERE name='app-built-in'"))
	s.Call(t, http.MethodPost, harness.PathToken, "", bare)
	s.Watch.Flush(t.Context())
	page := a.get("/console/log")
	assert.Contains(t, page, "wechat-oAlice")
	assert.Contains(t, page, "errcode 40029")
	assert.NotContains(t, a.get("/console/log?outcome=failed"), "wechat-oAlice")
	assert.NotContains(t, a.get("/console/log?user=wechat-oAlice"), "errcode 40029")
	assert.NotContains(t, a.get("/console/log?errcode=40029"), "wechat-oAlice")
	assert.Contains(t, a.get("/console/log?to=2001-01-01T00:00"), "No sign-in is found")
	for _, query := range []string{"from=x", "errcode=x", "errcode=2147483648"} {
		wrong := a.do(http.MethodGet, "/console/log?"+query, nil, nil)
		assert.Equal(t, http.StatusUnprocessableEntity, wrong.status, query)
		assert.NotContains(t, wrong.body, "No sign-in is found", "nobody has looked")
	}
	assert.NotContains(t, page, "(optional)", "all that one searches by is")

	assert.Contains(t, a.get("/console/users/view?id=shop/wechat-oAlice"),
		"/console/log?user=wechat-oAlice&amp;organization=shop", "another organization may have a user of that name")

	rows := a.get("/console/log/rows?since=2026-01-01T00:00:00.000Z")
	assert.Contains(t, rows, "wechat-oAlice")
	assert.NotContains(t, rows, "<html")
	assert.NotContains(t, a.get("/console/log/rows?since=2100-01-01T00:00:00.000Z"), "wechat-oAlice")
	assert.Equal(t, http.StatusBadRequest, a.do(http.MethodGet, "/console/log/rows?since=x", nil, nil).status)
	overview := a.get("/console")
	assert.Contains(t, overview, "code wrong or spent · errcode 40029")
	assert.Contains(t, overview, `<a href="/console/log?outcome=unauthorized_client">application without mini program</a>`)
	assert.Contains(t, a.get("/console/log?outcome=unauthorized_client"), "app-built-in")
}
