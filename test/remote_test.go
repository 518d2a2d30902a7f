package test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakecasdoor"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

func TestRemoteSignIn(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	var tokens harness.Tokens
	cold := s.calls(func() { tokens = s.SignIn(t, "oShopper") })
	assert.Equal(t, map[string]int{
		getApplications: 1, getApplication: 1, getOrganization: 1, getCerts: 1, getUser: 2, addUser: 1, addToken: 1,
	}, cold)
	assert.True(t, *tokens.NewUser)

	user := s.user(t, "wechat-oShopper")
	assert.Equal(t, "oShopper", user.WeChat)
	assert.Equal(t, map[string]string{"wechatOpenId": "oShopper", "wechatUnionId": ""}, user.Properties)
	assert.Equal(t, "normal-user", user.Type)
	assert.Equal(t, fakecasdoor.Application, user.SignupApplication)
	row := s.casdoor.Tokens()[0]
	assert.Equal(t, "admin", row.Owner)
	assert.Empty(t, row.AccessToken+row.RefreshToken+row.Code, "whoever reads the row must not be able to use it")

	next := s.casdoorTakes(t, tokens, user.Name)
	assert.Equal(t, http.StatusUnauthorized, s.profile(t, tokens.AccessToken, "x").Status, "the spent one's row is gone")
	assert.Equal(t, http.StatusOK, s.profile(t, next.AccessToken, "小明").Status)
	assert.Equal(t, "小明", s.user(t, user.Name).DisplayName)

	again := s.calls(func() { tokens = s.SignIn(t, "oShopper") })
	assert.Equal(t, map[string]int{getUser: 1, addToken: 1}, again)
	assert.False(t, *tokens.NewUser)
	assert.Equal(t, map[string]int{getUser: 2, addUser: 1, addToken: 1}, s.calls(func() { s.SignIn(t, "oOther") }))
	assert.Equal(t, map[string]int{getUser: 1, updateUser: 1, addToken: 1}, s.calls(func() {
		assert.Equal(t, http.StatusOK, s.trySignIn(t, "oShopper", "username", "大明").Status)
	}))
	assert.Equal(t, "大明", s.user(t, user.Name).DisplayName)
	assert.Equal(t, user.Id, s.user(t, user.Name).Id)
	assert.Len(t, s.casdoor.Users(), 3)
}

func TestRemoteUnionIDTurnsUp(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	s.SignIn(t, "oUnion")
	form := harness.SignInForm(s.Fake.NewCode(fakewechat.User{OpenID: "oUnion", UnionID: "uUnion"}))
	s.Call(t, http.MethodPost, harness.PathToken, "", form).Tokens(t)
	assert.Equal(t, map[string]string{"wechatOpenId": "oUnion", "wechatUnionId": "uUnion"},
		s.user(t, "wechat-oUnion").Properties)
}

// Casdoor's API takes no such names.
func TestRemoteOddOpenIDs(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	for _, openID := range []string{"oA--b", "oA_", "oA-", "oA_-b", "oA__b_"} {
		tokens := s.SignIn(t, openID)
		name := "wechat-x" + hex.EncodeToString([]byte(openID))
		assert.True(t, *tokens.NewUser)
		assert.Equal(t, openID, s.user(t, name).WeChat)
		s.casdoorTakes(t, tokens, name)
		assert.False(t, *s.SignIn(t, openID).NewUser)
	}
	s.SignIn(t, "oA-b_C")
	assert.Equal(t, "oA-b_C", s.user(t, "wechat-oA-b_C").WeChat)
}

func TestRemoteConcurrentFirstSignIns(t *testing.T) {
	t.Parallel()
	first := startRemote(t, remoteOptions{})
	servers := []*remoteServer{first, first.another(t)}
	tokens := together(16, func(i int) harness.Tokens { return servers[i%2].SignIn(t, "oMany") })
	assert.Len(t, first.casdoor.Users(), 2)
	made := 0
	for _, token := range tokens {
		if *token.NewUser {
			made++
		}
		assert.Equal(t, "wechat-oMany", first.at.Account(t, token.AccessToken)["name"])
	}
	assert.Equal(t, 1, made)
}

// Whoever may add users can take an OpenID's name before its owner comes.
func TestRemoteForeignUserIsNotTakenOver(t *testing.T) {
	t.Parallel()
	for name, properties := range map[string]map[string]string{
		"none": nil, "another": {"wechatOpenId": "oElse"}, "another case": {"wechatOpenId": "OFOREIGN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			foreign := sdk.User{
				Owner: fakecasdoor.Organization, Name: "wechat-oForeign", Id: "foreign", WeChat: "oForeign",
				DisplayName: "Foreign", Properties: properties,
			}
			s := startRemote(t, remoteOptions{users: []sdk.User{foreign}})
			before := s.user(t, foreign.Name)
			reply := s.trySignIn(t, "oForeign", "username", "Me")
			assert.Equal(t, http.StatusBadRequest, reply.Status)
			assert.Equal(t, "access_denied", reply.Map(t)["error"])
			assert.Equal(t, before, s.user(t, foreign.Name))
			assert.Empty(t, s.casdoor.Tokens())
			assert.Len(t, s.Log.Lines("user shop/wechat-oForeign has another OpenID in its properties, or none"), 1)
		})
	}
}

// Users whom Casdoor's own flow has made go on. Casdoor lets users write their own properties, but not how they have
// registered.
func TestRemoteCasdoorsOwnUsers(t *testing.T) {
	t.Parallel()
	made := sdk.User{
		Owner: fakecasdoor.Organization, Name: "wechat-oEarly", Id: "random", DisplayName: "Early", WeChat: "oEarly",
		Properties: map[string]string{"wechatOpenId": "oEarly"},
	}
	for name, c := range map[string]struct {
		change func(*sdk.User)
		taken  bool
	}{
		"by the flow":             {func(*sdk.User) {}, true},
		"by signing up":           {func(u *sdk.User) { u.RegisterType = "Application Signup" }, false},
		"with a password":         {func(u *sdk.User) { u.Password = "hash" }, false},
		"with another column":     {func(u *sdk.User) { u.WeChat = "oElse" }, false},
		"without a wechat column": {func(u *sdk.User) { u.WeChat = "" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := made
			c.change(&user)
			s := startRemote(t, remoteOptions{users: []sdk.User{user}})
			reply := s.trySignIn(t, "oEarly")
			if c.taken {
				s.casdoorTakes(t, reply.Tokens(t), user.Name)
				return
			}
			assert.Equal(t, "access_denied", reply.Map(t)["error"])
			assert.Len(t, s.Log.Lines("user shop/wechat-oEarly was made otherwise than by a mini program's sign-in"), 1)
			assert.Empty(t, s.casdoor.Tokens())
		})
	}
}

// Casdoor's own flow, which works while its provider has the AppSecret, takes the name of an OpenID from anybody.
func TestRemoteWarnsOfCasdoorsFlow(t *testing.T) {
	t.Parallel()
	for secret, warnings := range map[string]int{"": 0, "secret": 1} {
		s := startRemote(t, remoteOptions{rows: func(r *fakecasdoor.Rows) { r.Providers[0].ClientSecret = secret }})
		for range 2 {
			s.SignIn(t, "oShopper")
			s.settle()
		}
		assert.Len(t, s.Log.Lines("take it out there"), warnings)
	}
}

// Client ids that somebody makes up cost Casdoor one call in 3 seconds, and none of them hides one that exists.
func TestRemoteUnknownClients(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	ask := func(clientID string) harness.Reply {
		form := harness.SignInForm("code")
		form.Set("client_id", clientID)
		return s.Call(t, http.MethodPost, harness.PathToken, "", form)
	}
	assert.Equal(t, map[string]int{getApplications: 1}, s.calls(func() {
		for n := range 20 {
			assert.Equal(t, http.StatusUnauthorized, ask(fmt.Sprint("made-up-", n)).Status)
		}
		assert.Equal(t, http.StatusUnauthorized, ask(fakecasdoor.ClientID+"-org-elsewhere").Status)
	}))
	s.SignIn(t, "oShopper")
}

// That they have no password is what proves that Casdoor's own flow has made them. Those whom we have made may have
// one.
func TestRemotePasswords(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{users: []sdk.User{{
		Owner: fakecasdoor.Organization, Name: "wechat-oEarly", Id: "random", DisplayName: "Early", WeChat: "oEarly",
		Properties: map[string]string{"wechatOpenId": "oEarly"},
	}}})
	for openID, want := range map[string]string{"oEarly": "error", "oOurs": "ok"} {
		reply := s.Call(t, http.MethodPost, harness.PathUpdateUser, s.SignIn(t, openID).AccessToken,
			map[string]string{"password": "a long new password"})
		assert.Equal(t, want, reply.Map(t)["status"], reply.Body)
		assert.Equal(t, http.StatusOK, s.trySignIn(t, openID).Status, "as before")
	}
}

func TestRemoteSettingsAreSeen(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	old := s.SignIn(t, "oOld")
	app := func(change func(*sdk.Application)) {
		s.casdoor.Change(func(r *fakecasdoor.Rows) { change(r.Applications[0]) })
		s.settle()
	}
	denied := func(openID string) {
		t.Helper()
		reply := s.trySignIn(t, openID)
		assert.Equal(t, http.StatusBadRequest, reply.Status)
		assert.Equal(t, "access_denied", reply.Map(t)["error"])
	}
	app(func(a *sdk.Application) { a.EnableSignUp = false })
	denied("oNew")
	s.SignIn(t, "oOld")
	app(func(a *sdk.Application) { a.EnableSignUp, a.Providers[0].CanSignIn = true, false })
	denied("oOld")
	app(func(a *sdk.Application) { a.Providers[0].CanSignIn, a.ExpireInHours = true, 1 })
	assert.Equal(t, 3600, s.SignIn(t, "oNew").ExpiresIn)

	organization := func(items func([]*sdk.AccountItem) []*sdk.AccountItem) {
		s.casdoor.Change(func(r *fakecasdoor.Rows) { r.Organizations[0].AccountItems = items(r.Organizations[0].AccountItems) })
		s.settle()
	}
	var all []*sdk.AccountItem
	organization(func(items []*sdk.AccountItem) []*sdk.AccountItem { all = items; return nil })
	unavailable(t, s.trySignIn(t, "oNew"), false)
	assert.Len(t, s.Log.Lines("give the account item ID the modify rule Immutable"), 1)
	organization(func([]*sdk.AccountItem) []*sdk.AccountItem { return all })

	other := fakecasdoor.New(fakecasdoor.Options{KeyBits: 1024})
	other.Change(func(theirs *fakecasdoor.Rows) {
		cert := theirs.Certs[0]
		s.casdoor.Change(func(r *fakecasdoor.Rows) { r.Certs[0] = cert })
	})
	s.settle()
	assert.Equal(t, http.StatusUnauthorized, s.profile(t, old.AccessToken, "x").Status, "its cert is gone")
	tokens := s.SignIn(t, "oOld")
	s.casdoorTakes(t, tokens, "wechat-oOld")
}

// Casdoor refuses to make users of built-in, who are its administrators, without the organization's consent.
func TestRemoteMakesNoAdmins(t *testing.T) {
	t.Parallel()
	const builtIn = "built-in"
	s := startRemote(t, remoteOptions{rows: func(r *fakecasdoor.Rows) {
		r.Organizations[0].Name, r.Applications[0].Organization = builtIn, builtIn
	}})
	reply := s.trySignIn(t, "oNew")
	assert.Equal(t, http.StatusBadRequest, reply.Status)
	assert.Equal(t, "access_denied", reply.Map(t)["error"])
	assert.Len(t, s.Log.Lines("let mini programs use an application of another organization"), 1)
	s.casdoor.Change(func(r *fakecasdoor.Rows) { r.Organizations[0].HasPrivilegeConsent = true })
	s.settle()
	s.SignIn(t, "oNew")
}

func TestRemoteUsersWhoMayNoLonger(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	for name, c := range map[string]struct {
		change func(*sdk.User)
		bearer int // status for the token's bearer
		signIn int
	}{
		"oForbidden": {func(u *sdk.User) { u.IsForbidden = true }, http.StatusBadRequest, http.StatusBadRequest},
		"oDeleted":   {func(u *sdk.User) { u.IsDeleted = true }, http.StatusBadRequest, http.StatusBadRequest},
		"oAgain":     {func(u *sdk.User) { u.Id = "made-again" }, http.StatusUnauthorized, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := s.SignIn(t, name)
			user := s.user(t, "wechat-"+name)
			c.change(&user)
			s.casdoor.SetUser(user)
			assert.Equal(t, c.bearer, s.profile(t, tokens.AccessToken, "x").Status)
			assert.Equal(t, c.signIn, s.trySignIn(t, name).Status)
		})
	}
}

func TestRemoteTokensOfOthers(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{rows: func(r *fakecasdoor.Rows) {
		app := *r.Applications[0]
		app.Name, app.Organization, app.ClientId = "app-else", "else", "elseclient"
		r.Applications = append(r.Applications, &app)
		org := *r.Organizations[0]
		org.Name = "else"
		r.Organizations = append(r.Organizations, &org)
	}})
	casdoor := func(client string) string {
		form := url.Values{"tag": {"wechat_miniprogram"}, "client_id": {client}, "code": {"u:oTheirs:" + client}}
		token, _ := s.at.Call(t, http.MethodPost, harness.PathToken, "", form).Map(t)["accessToken"].(string)
		require.NotEmpty(t, token)
		return token
	}
	assert.Equal(t, http.StatusOK, s.profile(t, casdoor(fakecasdoor.ClientID), "小明").Status, "Casdoor's own token")
	assert.Equal(t, "小明", s.user(t, "wechat-oTheirs").DisplayName)
	assert.Equal(t, http.StatusUnauthorized, s.profile(t, casdoor("elseclient"), "x").Status)
	assert.Equal(t, http.StatusUnauthorized, s.trySignIn(t, "oNew", "client_id", "elseclient").Status)
	assert.Equal(t, http.StatusUnauthorized, s.trySignIn(t, "oNew", "client_id", "nope").Status)

	app := s.at.Call(t, http.MethodPost, harness.PathToken, "", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {fakecasdoor.ClientID},
		"client_secret": {fakecasdoor.ClientSecret},
	}).Tokens(t)
	assert.Equal(t, http.StatusUnauthorized, s.profile(t, app.AccessToken, "x").Status)
}

func TestRemoteUpdateUser(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	tokens := s.SignIn(t, "oSelf")
	update := func(fields map[string]any) map[string]any {
		return s.Call(t, http.MethodPost, harness.PathUpdateUser, tokens.AccessToken, fields).Map(t)
	}
	before := s.user(t, "wechat-oSelf")
	assert.Equal(t, "Affected", update(map[string]any{
		"displayName": "小明", "firstName": "明", "email": "a@example.com", "address": []string{"1", "2"},
	})["data"])
	assert.Equal(t, "Unaffected", update(map[string]any{"displayName": "小明"})["data"])
	for name, value := range map[string]any{"wechat": "oBoss", "score": 9, "isAdmin": true, "name": "x"} {
		assert.Equal(t, "error", update(map[string]any{name: value})["status"], name)
	}
	want := before
	want.DisplayName, want.FirstName, want.Email, want.Address = "小明", "明", "a@example.com", []string{"1", "2"}
	after := s.user(t, "wechat-oSelf")
	want.UpdatedTime, want.EmailVerified = after.UpdatedTime, after.EmailVerified
	assert.Equal(t, want, after)

	boss := s.user(t, fakecasdoor.AdminName)
	boss.Email = "b@example.com"
	s.casdoor.SetUser(boss)
	assert.Equal(t, "email is another user's", update(map[string]any{"email": "b@example.com"})["msg"])
}

// A number that Casdoor refuses is no fault of a server: to try again would only cost another code.
func TestRemotePhone(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	tokens := s.SignIn(t, "oPhone")
	store := func() harness.Reply {
		code := s.Fake.NewPhoneCode("oPhone", chinese("13800000000"))
		return s.Call(t, http.MethodPost, harness.PathPhone, tokens.AccessToken, map[string]string{"code": code})
	}
	boss := s.user(t, fakecasdoor.AdminName)
	boss.Phone, boss.CountryCode = "13800000000", "CN"
	s.casdoor.SetUser(boss)
	reply := store()
	assert.Equal(t, http.StatusBadRequest, reply.Status)
	assert.Equal(t, "phone is another user's", reply.Map(t)["msg"])
	s.casdoor.Inject(updateUser, fakecasdoor.Refusal("Phone number is invalid"), 1)
	reply = store()
	assert.Equal(t, http.StatusBadRequest, reply.Status)
	assert.Equal(t, "phone is no number that Casdoor takes", reply.Map(t)["msg"])

	boss.Phone = ""
	s.casdoor.SetUser(boss)
	assert.Equal(t, http.StatusOK, store().Status)
	assert.Equal(t, "13800000000", s.user(t, "wechat-oPhone").Phone)
}

// Only an application of built-in, which has shown its secret, reads the metrics.
func TestRemoteMetrics(t *testing.T) {
	t.Parallel()
	for organization, want := range map[string]int{"built-in": http.StatusOK, fakecasdoor.Organization: http.StatusForbidden} {
		s := startRemote(t, remoteOptions{
			rows: func(r *fakecasdoor.Rows) {
				r.Organizations[0].Name, r.Applications[0].Organization = organization, organization
			},
			deps: func(d *controllers.Deps, _ string) {
				d.Metrics = controllers.NewMetrics(prometheus.NewRegistry(), "v1")
			},
		})
		for secret, status := range map[string]int{fakecasdoor.ClientSecret: want, "wrong": http.StatusUnauthorized} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/mini-program/metrics", nil)
			require.NoError(t, err)
			r.SetBasicAuth(fakecasdoor.ClientID, secret)
			reply, _ := send(t, http.DefaultClient, r)
			assert.Equal(t, status, reply.StatusCode, organization)
		}
	}
}

func TestRemoteMiniPrograms(t *testing.T) {
	t.Parallel()
	const unknown = "wxunknown0000000000"
	s := startRemote(t, remoteOptions{
		rows: func(r *fakecasdoor.Rows) {
			r.Providers[0].ClientId = unknown
			r.Providers = append(r.Providers, &sdk.Provider{Owner: "admin", Name: "sms", Type: "SmsBao"})
			r.Applications[0].Providers = append(r.Applications[0].Providers,
				&sdk.ProviderItem{Name: "sms"}, &sdk.ProviderItem{Name: "deleted"})
		},
		config: func(cfg *object.RemoteConfig) {
			cfg.AppSecrets = map[string]provider.Secret{"wz": "other", fakecasdoor.AppID: harness.AppSecret}
		},
	})
	for range 2 {
		assert.Equal(t, http.StatusOK, s.trySignIn(t, "oApp").Status, "the first of the configuration")
		s.settle()
	}
	assert.Equal(t, http.StatusOK, s.trySignIn(t, "oApp", "app_id", fakecasdoor.AppID).Status)
	reply := s.trySignIn(t, "oApp", "app_id", unknown)
	assert.Equal(t, http.StatusBadRequest, reply.Status)
	assert.Equal(t, "invalid_request", reply.Map(t)["error"])
	assert.Len(t, s.Log.Lines("mini program is left out", unknown), 1)
}

func TestRemoteBehindGateway(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{deps: func(d *controllers.Deps, casdoor string) {
		d.Upstream, _ = url.Parse(casdoor)
	}})
	tokens := s.SignIn(t, "oGate")
	assert.Equal(t, "wechat-oGate", s.Account(t, tokens.AccessToken)["name"], "answered by Casdoor")
	update := func() harness.Reply {
		return s.Call(t, http.MethodPost, harness.PathUpdateUser+"?columns=wechat", tokens.AccessToken,
			map[string]any{"wechat": "oBoss"})
	}
	assert.Equal(t, "wechat cannot be changed by the user", update().Map(t)["msg"])
	s.casdoor.Inject(getToken, fakecasdoor.Page(), -1)
	assert.Equal(t, http.StatusServiceUnavailable, update().Status, "not passed on unchecked")
	assert.Equal(t, "oGate", s.user(t, "wechat-oGate").WeChat)
}
