package test

import (
	"net/url"
	"testing"

	"github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// Nobody gets more rights by a field.
func TestEscalation(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oClimber").AccessToken
	self := "/api/update-user?id=shop/wechat-oClimber"
	for _, body := range []fieldsOf{
		{"isAdmin": true}, {"IsAdmin": true}, {"owner": "built-in"}, {"score": 9}, {"wechat": "oOther"}, {"id": "x"},
		{"properties": map[string]string{"wechatOpenId": "oOther"}}, {"isForbidden": true}, {"groups": []string{"g"}},
	} {
		assert.Contains(t, s.Call(t, "POST", self, token, body).Body, `"status":"error"`, "%v", body)
	}
	app, root := s.SDK(), builtIn(t, s)
	boss, err := app.GetUser(harness.AdminName)
	require.NoError(t, err)
	for name, change := range map[string]func(*casdoorsdk.User){
		"owner": func(u *casdoorsdk.User) { u.Owner = "built-in" },
		"id":    func(u *casdoorsdk.User) { u.Id = "another" },
		"hash": func(u *casdoorsdk.User) {
			u.Password, u.PasswordType = "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", "argon2id"
		},
		"totp":        func(u *casdoorsdk.User) { u.TotpSecret = "known-to-me" },
		"other token": func(u *casdoorsdk.User) { u.AccessToken = "known-to-me" },
	} {
		changed := *boss
		change(&changed)
		_, err := app.UpdateUserById("shop/"+harness.AdminName, &changed)
		assert.Error(t, err, name)
	}
	_, err = app.AddUser(&casdoorsdk.User{Owner: "built-in", Name: "climber", IsAdmin: true, Password: "secret-1"})
	require.EqualError(t, err, "Unauthorized operation")
	_, err = app.AddUser(&casdoorsdk.User{Name: "twin", Id: s.Value(t, "SELECT id FROM user WHERE name='admin'")})
	require.EqualError(t, err, "another user has this id")
	done, err := root.UpdateUserById("shop/"+harness.AdminName, &casdoorsdk.User{
		Name: harness.AdminName, Owner: "shop", IsAdmin: true, PasswordType: "bcrypt",
		Password: "$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5BLk4GDxsYXkNGgVmoRB8r4C5S6zG",
	})
	affected(t, done, err)
	checkSharedApplication(t, s, root)
}

// A shared application acts for the organization that its client id names; that makes it no admin of all.
func checkSharedApplication(t *testing.T, s *harness.Server, root *casdoorsdk.Client) {
	t.Helper()
	done, err := root.AddApplication(&casdoorsdk.Application{
		Name: "shared", Organization: "shop", IsShared: true, ClientId: "sharedclient", ClientSecret: "sharedsecret",
		EnablePassword: true, FailedSigninLimit: 1000,
	})
	affected(t, done, err)
	shared := casdoorsdk.NewClient(s.URL, "sharedclient-org-built-in", "sharedsecret", s.Certificate, "built-in", "shared")
	_, err = shared.GetUser("admin")
	require.EqualError(t, err, "Unauthorized operation")
	shared = casdoorsdk.NewClient(s.URL, "sharedclient-org-shop", "sharedsecret", s.Certificate, "shop", "shared")
	_, err = shared.GetUser(harness.AdminName)
	require.NoError(t, err)

	// Nor one of another organization: shop's admins know the secret.
	done, err = root.AddOrganization(&casdoorsdk.Organization{Owner: "admin", Name: "rival"})
	affected(t, done, err)
	_, err = root.AddUser(&casdoorsdk.User{Owner: "rival", Name: "rival-boss", IsAdmin: true})
	require.NoError(t, err)
	shared = casdoorsdk.NewClient(s.URL, "sharedclient-org-rival", "sharedsecret", s.Certificate, "rival", "shared")
	_, err = shared.GetUser("rival-boss")
	require.EqualError(t, err, "Unauthorized operation")
	_, err = shared.SetPassword("rival", "rival-boss", "", "taken-over-1")
	require.EqualError(t, err, "Unauthorized operation")
	done, err = root.AddApplication(&casdoorsdk.Application{
		Name: "for-all", Organization: "built-in", IsShared: true, ClientId: "forall", ClientSecret: "forallsecret",
	})
	affected(t, done, err)
	forAll := casdoorsdk.NewClient(s.URL, "forall-org-rival", "forallsecret", s.Certificate, "rival", "for-all")
	_, err = forAll.GetUser("rival-boss")
	require.NoError(t, err, "built-in's looks after every organization")
	for _, answer := range []string{"4 remaining", "3 remaining", "2 remaining", "1 remaining", "0 remaining", "please wait"} {
		reply := s.Call(t, "POST", "/api/login", "", fieldsOf{
			"type": "login", "application": "shared", "organization": "rival", "username": "rival-boss", "password": "guess",
		})
		assert.Contains(t, reply.Body, answer, "shop's admins do not say how often the password may be guessed")
	}
}

// Names of columns come from the table alone, and values never become SQL.
func TestManageInjection(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	s.SignIn(t, "oInjection")
	secret := "&clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret
	for _, evil := range []string{
		"name; DROP TABLE user", "1=1 --", "name` OR 1=1", `name" OR 1=1`, "password", "passwordSalt", "totpSecret", "hash", "",
		"owner,name", "(SELECT password FROM user)", "created_time DESC, (SELECT 1)",
	} {
		for _, list := range []string{"users", "tokens", "certs", "applications", "providers", "records", "resources"} {
			for _, query := range []string{"field=" + url.QueryEscape(evil) + "&value=x", "sortField=" + url.QueryEscape(evil)} {
				reply := s.Call(t, "GET", "/api/get-"+list+"?p=1&pageSize=5&owner=shop&"+query+secret, "", nil)
				if evil == "" {
					assert.Contains(t, reply.Body, `"status":"ok"`)
					continue
				}
				assert.Contains(t, reply.Body, "there is no column", "%s %s", list, query)
			}
		}
	}
	for _, value := range []string{"'", `"`, "%", "_", "!", "' OR '1'='1", "\\", "x' UNION SELECT password FROM user --"} {
		for _, field := range []string{"name", "displayName", "phone", "wechat"} {
			reply := s.Call(t, "GET", "/api/get-users?p=1&pageSize=5&owner=shop&field="+field+"&value="+url.QueryEscape(value)+
				secret, "", nil)
			assert.Contains(t, reply.Body, `"data":[]`, "%s %q", field, value)
		}
	}
	for _, path := range []string{"users?field=name&value=%00", "user?id=shop/%00", "users?owner=%ff&x=y"} {
		reply := s.Call(t, "GET", "/api/get-"+path+secret, "", nil)
		assert.Contains(t, reply.Body, "the query has control characters", path)
	}
	assert.Equal(t, "3", s.Value(t, "SELECT COUNT(*) FROM user"))
}
