package test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

const adminPassword = "boss123"

// withBoss is a server whose admin has a password.
func withBoss(t *testing.T) *harness.Server {
	t.Helper()
	s := harness.Start(t, harness.Options{Application: harness.Row{"enablePassword": true}})
	s.Apply(t, harness.Rows{"users": {{
		"owner": harness.Organization, "name": harness.AdminName, "isAdmin": true, "password": adminPassword,
		"signupApplication": harness.Application,
	}}})
	return s
}

// browser signs the admin in with a password and returns the session's cookie.
func browser(t *testing.T, s *harness.Server, password string) *http.Cookie {
	t.Helper()
	return browserOf(t, s, harness.AdminName, password)
}

// browserOf is browser for any user.
func browserOf(t *testing.T, s *harness.Server, name, password string) *http.Cookie {
	t.Helper()
	reply := s.Call(t, http.MethodPost, "/api/login", "", map[string]any{
		"application": harness.Application, "organization": harness.Organization, "username": name,
		"password": password, "type": "login",
	})
	require.Contains(t, reply.Body, `"status":"ok"`)
	cookies := (&http.Response{Header: reply.Header}).Cookies()
	require.Len(t, cookies, 2) // the other one tells the browser again
	return cookies[0]
}

// asBrowser sends a form with a cookie, and returns what is answered.
func asBrowser(t *testing.T, s *harness.Server, cookie *http.Cookie, path string, form url.Values) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path+"?"+form.Encode(), nil)
	require.NoError(t, err)
	r.AddCookie(cookie)
	return s.Do(t, r).Body
}

func signedIn(t *testing.T, s *harness.Server, cookie *http.Cookie) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/get-providers", nil)
	require.NoError(t, err)
	r.AddCookie(cookie)
	return s.Do(t, r).Map(t)["status"] == "ok"
}

// What the account items say of the password holds for every way to set it.
func TestOwnPasswordByAccountItems(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Organization: harness.Row{"accountItems": []harness.Row{
		{"name": "Password", "visible": true, "viewRule": "Self", "modifyRule": "Admin"},
	}}})
	token := s.SignIn(t, "oMember").AccessToken
	reply := s.Call(t, http.MethodPost, harness.PathUpdateUser, token, fieldsOf{"password": "first-1"})
	assert.Contains(t, reply.Body, "password cannot be changed by the user (modify rule Admin)")
	form := url.Values{"userOwner": {harness.Organization}, "userName": {"wechat-oMember"}, "newPassword": {"first-1"}}
	reply = s.Call(t, http.MethodPost, "/api/set-password", token, form)
	assert.Contains(t, reply.Body, "password cannot be changed by the user (modify rule Admin)")
	_, err := s.SDK().SetPassword(harness.Organization, "wechat-oMember", "", "first-1")
	require.NoError(t, err)
}

// casdoor-dotnet-sdk sends the parameters in the query, and the user as the body.
func TestSetPasswordInQuery(t *testing.T) {
	t.Parallel()
	s := withBoss(t)
	boss, err := s.SDK().GetUser(harness.AdminName)
	require.NoError(t, err)
	query := url.Values{
		"userOwner": {boss.Owner}, "userName": {boss.Name}, "oldPassword": {adminPassword}, "newPassword": {"second-1"},
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/set-password?"+query.Encode(), nil)
	require.NoError(t, err)
	r.SetBasicAuth(harness.ClientID, harness.ClientSecret)
	require.NoError(t, harness.SetBody(r, boss))
	assert.Contains(t, s.Do(t, r).Body, `"status":"ok"`)
	boss.Password = "second-1"
	_, err = s.SDK().CheckUserPassword(boss)
	require.NoError(t, err)

	query = url.Values{"userOwner": {boss.Owner}, "userName": {boss.Name}, "newPassword": {"third-1"}}
	r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/set-password?"+query.Encode(), nil)
	require.NoError(t, err)
	r.AddCookie(browser(t, s, "second-1"))
	require.NoError(t, harness.SetBody(r, url.Values{"oldPassword": {"second-1"}}))
	assert.Contains(t, s.Do(t, r).Body, `"status":"ok"`, "some in the query, some in the body")
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	s := withBoss(t)
	sdk := s.SDK()
	check := func(password string) error {
		_, err := sdk.CheckUserPassword(&casdoorsdk.User{Owner: harness.Organization, Name: harness.AdminName, Password: password})
		return err
	}
	require.NoError(t, check(adminPassword))
	require.EqualError(t, check("nope"), "password or code is incorrect, you have 4 remaining chances")

	cookie := browser(t, s, adminPassword)
	own := url.Values{"userOwner": {harness.Organization}, "userName": {harness.AdminName}, "newPassword": {"second-1"}}
	assert.Contains(t, asBrowser(t, s, cookie, "/api/set-password", own), "Password cannot be empty", "one's own needs the old one")
	own.Set("oldPassword", "wrong")
	assert.Contains(t, asBrowser(t, s, cookie, "/api/set-password", own), "4 remaining chances")
	own.Set("oldPassword", adminPassword)
	assert.Contains(t, asBrowser(t, s, cookie, "/api/set-password", own), `"status":"ok"`)
	assert.False(t, signedIn(t, s, cookie), "the sessions of the old password have ended")
	require.Error(t, check(adminPassword))
	require.NoError(t, check("second-1"))

	cookie = browser(t, s, "second-1")
	set, err := sdk.SetPassword(harness.Organization, harness.AdminName, "", "third-1")
	require.NoError(t, err)
	assert.True(t, set)
	assert.False(t, signedIn(t, s, cookie))
	require.NoError(t, check("third-1"))
	for password, message := range map[string]string{
		"with blank": "New password cannot contain blank space.", "short": "The new password must have 6 to 72 bytes",
	} {
		_, err = sdk.SetPassword(harness.Organization, harness.AdminName, "", password)
		require.EqualError(t, err, message)
	}
	_, err = sdk.SetPassword(harness.Organization, harness.AdminName, "third-1", "third-1")
	require.EqualError(t, err, "The new password must be different from your current password")
	_, err = sdk.SetPassword(harness.Organization, "nobody", "", "fourth-1")
	require.EqualError(t, err, "The user: shop/nobody doesn't exist")
	_, err = sdk.SetPassword("built-in", "admin", "", "fourth-1")
	require.EqualError(t, err, "Unauthorized operation")
	for _, secret := range []string{adminPassword, "second-1", "third-1", cookie.Value} {
		assert.NotContains(t, s.Log.String(), secret)
	}
}

// The lock-out counts wherever a password is looked at; and a member may try no other's.
func TestPasswordLockOutIsOne(t *testing.T) {
	t.Parallel()
	s := withBoss(t)
	sdk := s.SDK()
	user := &casdoorsdk.User{Owner: harness.Organization, Name: harness.AdminName, Password: "wrong"}
	for _, left := range []string{"4", "3", "2", "1"} {
		_, err := sdk.CheckUserPassword(user)
		require.ErrorContains(t, err, "you have "+left+" remaining")
	}
	_, err := sdk.SetPassword(user.Owner, user.Name, "wrong", "another-1")
	require.ErrorContains(t, err, "you have 0 remaining")
	_, err = sdk.CheckUserPassword(&casdoorsdk.User{Owner: user.Owner, Name: user.Name, Password: adminPassword})
	require.ErrorContains(t, err, "please wait for 15 minutes")
	reply := s.Call(t, http.MethodPost, "/api/login", "", map[string]any{
		"application": harness.Application, "organization": harness.Organization, "username": harness.AdminName,
		"password": adminPassword, "type": "login",
	})
	assert.Contains(t, reply.Body, "please wait for 15 minutes")

	member := s.SignIn(t, "oMember").AccessToken
	for _, path := range []string{"/api/check-user-password", "/api/set-password?userOwner=shop&userName=boss&newPassword=abcdef"} {
		var body any
		if path == "/api/check-user-password" {
			body = map[string]string{"owner": "shop", "name": "boss", "password": "x"}
		}
		assert.Contains(t, s.Call(t, http.MethodPost, path, member, body).Body, "Unauthorized operation")
	}
	reply = s.Call(t, http.MethodPost, "/api/set-password?userOwner=shop&userName=wechat-oMember&newPassword=abcdef", member, nil)
	assert.Contains(t, reply.Body, `"status":"ok"`, "who has none needs no old one")
}

// Who is forbidden and signs out in a browser is not signed in there any more when allowed again.
func TestForbiddenBrowserSignsOut(t *testing.T) {
	t.Parallel()
	s := withBoss(t)
	cookie := browser(t, s, adminPassword)
	s.Exec(t, "UPDATE user SET is_forbidden=1 WHERE name='boss'")
	assert.False(t, signedIn(t, s, cookie))
	assert.Contains(t, asBrowser(t, s, cookie, "/api/logout", nil), `"status":"ok"`)
	s.Exec(t, "UPDATE user SET is_forbidden=0 WHERE name='boss'")
	assert.False(t, signedIn(t, s, cookie))
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := withBoss(t)
	sdk := s.SDK()
	cookie := browser(t, s, adminPassword)
	first, second := s.SignIn(t, "oMember").AccessToken, s.SignIn(t, "oMember").AccessToken
	other := s.SignIn(t, "oOther").AccessToken
	s.Call(t, http.MethodPost, harness.PathToken, "", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {harness.ClientID}, "client_secret": {harness.ClientSecret},
	}).Tokens(t)

	all, err := sdk.GetSessions()
	require.NoError(t, err)
	type is struct {
		name, application string
		n                 int
	}
	var found []is
	for _, session := range all {
		assert.Equal(t, harness.Organization, session.Owner)
		assert.NotEmpty(t, session.CreatedTime)
		found = append(found, is{session.Name, session.Application, len(session.SessionId)})
		for _, id := range session.SessionId {
			assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f-]{27}$`, id)
		}
	}
	app := harness.Application
	assert.Equal(t, []is{{"boss", app, 1}, {"wechat-oMember", app, 2}, {"wechat-oOther", app, 1}}, found)
	page, total, err := sdk.GetPaginationSessions(2, 2, map[string]string{})
	require.NoError(t, err)
	assert.Equal(t, 3, total)
	assert.Equal(t, all[2:], page)
	page, total, err = sdk.GetPaginationSessions(1, 2, map[string]string{"field": "name", "value": "oMem"})
	require.NoError(t, err)
	assert.Equal(t, 1, total)
	assert.Equal(t, all[1:2], page)

	session, err := sdk.GetSession("wechat-oMember", app)
	require.NoError(t, err)
	assert.ElementsMatch(t, all[1].SessionId, session.SessionId)
	none, err := sdk.GetSession("nobody", app)
	require.NoError(t, err)
	assert.Nil(t, none)
	alive := func() []bool {
		var is []bool
		for _, token := range []string{first, second, other} {
			is = append(is, s.Call(t, http.MethodGet, harness.PathAccount, token, nil).Map(t)["status"] == "ok")
		}
		return append(is, signedIn(t, s, cookie))
	}
	session.SessionId = all[1].SessionId[:1]
	ended, err := sdk.DeleteSession(session)
	require.NoError(t, err)
	assert.True(t, ended)
	assert.Equal(t, []bool{false, true, true, true}, alive())
	session.SessionId = nil
	for _, want := range []bool{true, false} {
		ended, err = sdk.DeleteSession(session)
		require.NoError(t, err)
		assert.Equal(t, want, ended)
	}
	assert.Equal(t, []bool{false, false, true, true}, alive())
	_, err = sdk.DeleteSession(&casdoorsdk.Session{Owner: "shop", Name: "boss", Application: app})
	require.NoError(t, err)
	assert.Equal(t, []bool{false, false, true, false}, alive())
}

// Nobody sees or ends what another organization's users, or another user, is signed in by.
func TestSessionsReach(t *testing.T) {
	t.Parallel()
	s := withBoss(t)
	member := s.SignIn(t, "oMember").AccessToken
	s.SignIn(t, "oOther")
	get := func(path string) string { return s.Call(t, http.MethodGet, path, member, nil).Body }
	assert.Contains(t, get("/api/get-sessions?owner=shop"), "Unauthorized operation")
	assert.Contains(t, get("/api/get-session?sessionPkId=shop/wechat-oOther/app-shop"), "Unauthorized operation")
	assert.Contains(t, get("/api/get-session?sessionPkId=shop/nobody/app-shop"), "Unauthorized operation")
	assert.Contains(t, get("/api/get-session?sessionPkId=shop/wechat-oMember/app-shop"), `"application":"app-shop"`)
	for _, name := range []string{"wechat-oOther", "boss"} {
		reply := s.Call(t, http.MethodPost, "/api/delete-session", member, map[string]string{
			"owner": "shop", "name": name, "application": "app-shop",
		})
		assert.Contains(t, reply.Body, "Unauthorized operation")
	}
	secret := "&clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret
	reply := s.Call(t, http.MethodGet, "/api/get-sessions?owner=built-in"+secret, "", nil)
	assert.Contains(t, reply.Body, "Unauthorized operation")
}

func TestLogoutEverywhere(t *testing.T) {
	t.Parallel()
	s := withBoss(t)
	sdk := s.SDK()
	account := func(token string) bool {
		return s.Call(t, http.MethodGet, harness.PathAccount, token, nil).Map(t)["status"] == "ok"
	}
	one, two, three := s.SignIn(t, "oMember"), s.SignIn(t, "oMember"), s.SignIn(t, "oMember")
	other := s.SignIn(t, "oOther").AccessToken
	require.NoError(t, sdk.LogoutCurrentSession(one.AccessToken))
	assert.False(t, account(one.AccessToken))
	assert.True(t, account(two.AccessToken))
	require.NoError(t, sdk.Logout(two.AccessToken))
	assert.False(t, account(two.AccessToken))
	assert.False(t, account(three.AccessToken))
	reply := s.Call(t, http.MethodPost, harness.PathRefresh, "", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {harness.ClientID}, "refresh_token": {three.RefreshToken},
	})
	assert.Equal(t, http.StatusBadRequest, reply.Status)
	assert.True(t, account(other))
	require.Error(t, sdk.Logout(two.AccessToken))

	first, second := browser(t, s, adminPassword), browser(t, s, adminPassword)
	assert.Contains(t, asBrowser(t, s, first, "/api/sso-logout", url.Values{"logoutAll": {"false"}}), `"ok"`)
	assert.False(t, signedIn(t, s, first))
	assert.True(t, signedIn(t, s, second))
	third := browser(t, s, adminPassword)
	assert.Contains(t, asBrowser(t, s, third, "/api/sso-logout", nil), `"ok"`)
	assert.False(t, signedIn(t, s, second))
	assert.Contains(t, s.Call(t, http.MethodGet, "/api/sso-logout", "", nil).Body, "Please login first")
}
