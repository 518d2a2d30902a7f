// Package test looks at whole servers from outside, inside the test or as processes of their own: what mini programs,
// admins, SDKs, browsers, another Casdoor and thieves get to see, also while something is down.
package test

import (
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// multipartBody is a form as wx.uploadFile sends it.
func multipartBody(t testing.TB, form url.Values) harness.Text {
	t.Helper()
	var b strings.Builder
	w := multipart.NewWriter(&b)
	for name, values := range form {
		require.NoError(t, w.WriteField(name, values[0]))
	}
	require.NoError(t, w.Close())
	return harness.Text{ContentType: w.FormDataContentType(), Body: b.String()}
}

// jsonBody is a form as JSON, which is what wx.request sends by default.
func jsonBody(form url.Values) map[string]string {
	body := map[string]string{}
	for name, values := range form {
		body[name] = values[0]
	}
	return body
}

func TestFlow(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for name, signIn := range map[string]func(*testing.T, url.Values) harness.Reply{
		"form": func(t *testing.T, form url.Values) harness.Reply {
			return s.Call(t, "POST", harness.PathToken, "", form)
		},
		"query": func(t *testing.T, form url.Values) harness.Reply {
			return s.Call(t, "POST", harness.PathToken+"?"+form.Encode(), "", nil)
		},
		"json": func(t *testing.T, form url.Values) harness.Reply {
			return s.Call(t, "POST", harness.PathToken, "", jsonBody(form))
		},
		"multipart": func(t *testing.T, form url.Values) harness.Reply {
			return s.Call(t, "POST", harness.PathToken, "", multipartBody(t, form))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow{s, "oFlow_" + name, signIn}.run(t)
		})
	}
}

// flow is one user's way through the server.
type flow struct {
	*harness.Server
	openID string
	signIn func(*testing.T, url.Values) harness.Reply
}

func (f flow) run(t *testing.T) {
	t.Helper()
	tokens := f.signIn(t, harness.SignInForm(f.NewCode(f.openID))).Tokens(t)
	assert.Equal(t, new(true), tokens.NewUser)
	assert.Equal(t, "Bearer", tokens.TokenType)
	assert.Equal(t, 168*3600, tokens.ExpiresIn)
	assert.Equal(t, tokens.AccessToken, tokens.IDToken)
	id := f.checkAccount(t, tokens.AccessToken)

	again := f.signIn(t, harness.SignInForm(f.NewCode(f.openID))).Tokens(t)
	assert.Equal(t, new(false), again.NewUser)
	assert.Equal(t, id, f.Account(t, again.AccessToken)["id"], "the same user")

	f.changeProfile(t, tokens.AccessToken)
	tokens = f.refresh(t, tokens)
	f.introspect(t, tokens, true)
	f.logout(t, tokens)
	assert.Equal(t, id, f.Account(t, again.AccessToken)["id"], "the other sign-in goes on")
}

// checkAccount looks at the account of a new user, and returns the user's id.
func (f flow) checkAccount(t *testing.T, token string) string {
	t.Helper()
	reply := f.Call(t, "GET", harness.PathAccount, token, nil).Map(t)
	account := reply["data"].(map[string]any)
	assert.Equal(t, "wechat-"+f.openID, account["name"])
	assert.Equal(t, harness.Organization, account["owner"])
	assert.Equal(t, f.openID, account["wechat"])
	assert.Equal(t, harness.Application, account["signupApplication"])
	assert.Equal(t, "normal-user", account["type"])
	assert.Equal(t, map[string]any{"wechatOpenId": f.openID, "wechatUnionId": ""}, account["properties"])
	assert.Empty(t, account["displayName"])
	assert.Equal(t, account["id"], reply["sub"])
	assert.Equal(t, account["name"], reply["name"])
	assert.Equal(t, harness.Organization, reply["data2"].(map[string]any)["name"])
	claims := map[string]any{"sub": account["id"], "iss": f.URL, "aud": harness.ClientID}
	assert.Equal(t, claims, f.Call(t, "GET", "/api/userinfo", token, nil).Map(t))
	assert.Subset(t, f.Call(t, "GET", "/api/user", token, nil).Map(t), claims)
	return account["id"].(string)
}

func (f flow) changeProfile(t *testing.T, token string) {
	t.Helper()
	const nickname, avatar = "小明 👨‍👩‍👧", "https://thirdwx.qlogo.cn/mmopen/1/132"
	profile := f.Call(t, "POST", harness.PathProfile, token,
		map[string]string{"nickName": nickname, "avatarUrl": avatar})
	account := profile.Map(t)["data"].(map[string]any)
	assert.Equal(t, nickname, account["displayName"])
	assert.Equal(t, avatar, account["avatar"])
	assert.Equal(t, account, f.Account(t, token))

	update := f.Call(t, "POST", harness.PathUpdateUser, token, map[string]string{"bio": "hello"}).Map(t)
	assert.Equal(t, "Affected", update["data"])
	account = f.Account(t, token)
	assert.Equal(t, "hello", account["bio"])
	assert.Equal(t, nickname, account["displayName"])
}

// refresh renews the tokens on both paths. What was renewed is dead.
func (f flow) refresh(t *testing.T, tokens harness.Tokens) harness.Tokens {
	t.Helper()
	for _, path := range []string{harness.PathRefresh, harness.PathToken} {
		old := tokens
		tokens = f.Call(t, "POST", path, "", refreshForm(old.RefreshToken)).Tokens(t)
		assert.Nil(t, tokens.NewUser)
		assert.NotEqual(t, old.AccessToken, tokens.AccessToken)
		assert.NotEqual(t, old.RefreshToken, tokens.RefreshToken)
		f.dead(t, old.AccessToken)
		f.Account(t, tokens.AccessToken)
	}
	return tokens
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {harness.ClientID}, "refresh_token": {token}}
}

func (f flow) dead(t *testing.T, accessToken string) {
	t.Helper()
	reply := f.Call(t, "GET", harness.PathAccount, accessToken, nil).Map(t)
	assert.Equal(t, "Access token doesn't exist in database", reply["msg"])
}

func (f flow) introspect(t *testing.T, tokens harness.Tokens, active bool) {
	t.Helper()
	for _, token := range []string{tokens.AccessToken, tokens.RefreshToken} {
		answer := f.Call(t, "POST", harness.PathIntrospect, "", url.Values{
			"client_id": {harness.ClientID}, "client_secret": {harness.ClientSecret}, "token": {token},
		}).Map(t)
		assert.Equal(t, active, answer["active"])
		if active {
			assert.Equal(t, "wechat-"+f.openID, answer["username"])
		} else {
			assert.Len(t, answer, 1, "nothing is said about a dead token")
		}
	}
}

func (f flow) logout(t *testing.T, tokens harness.Tokens) {
	t.Helper()
	reply := f.Call(t, "POST", "/api/logout", tokens.AccessToken, nil).Map(t)
	assert.Equal(t, harness.Organization+"/wechat-"+f.openID, reply["data"])
	f.dead(t, tokens.AccessToken)
	f.introspect(t, tokens, false)
	for _, path := range []string{harness.PathRefresh, harness.PathToken} {
		reply := f.Call(t, "POST", path, "", refreshForm(tokens.RefreshToken))
		assert.Equal(t, http.StatusBadRequest, reply.Status)
		assert.Equal(t, "invalid_grant", reply.Map(t)["error"])
	}
	assert.Equal(t, "error", f.Call(t, "POST", "/api/logout", tokens.AccessToken, nil).Map(t)["status"])
	assert.Empty(t, f.Log.Lines("spent refresh token"), "that is no theft")
}

// Clients of OpenID Connect end a token at the end_session_endpoint of the discovery without being its bearer.
func TestLogoutByHint(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for method, ask := range map[string]func(hint string) harness.Reply{
		"GET": func(hint string) harness.Reply {
			return s.Call(t, "GET", "/api/logout?client_id="+harness.ClientID+"&id_token_hint="+hint, "", nil)
		},
		"POST": func(hint string) harness.Reply {
			return s.Call(t, "POST", "/api/logout", "", url.Values{"id_token_hint": {hint}, "state": {"s"}})
		},
	} {
		tokens, other := s.SignIn(t, "oHint"), s.SignIn(t, "oHint")
		reply := ask(tokens.IDToken).Map(t)
		assert.Equal(t, "ok", reply["status"], method)
		assert.Equal(t, harness.Organization+"/wechat-oHint", reply["data"], method)
		f := flow{Server: s, openID: "oHint"}
		f.dead(t, tokens.AccessToken)
		f.introspect(t, tokens, false)
		f.introspect(t, other, true)
		assert.Equal(t, "error", ask(tokens.IDToken).Map(t)["status"], method)
		assert.Equal(t, "error", ask("").Map(t)["status"], method)
	}
}

// Who comes back after a week and signs out shows an access token that has expired: its refresh token has not.
func TestLogoutOfAnExpiredToken(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := harness.Start(t, harness.Options{Now: clock.Now, Application: harness.Row{"expireInHours": 1}})
	for name, logout := range map[string]func(token string) harness.Reply{
		"bearer": func(token string) harness.Reply { return s.Call(t, "POST", "/api/logout", token, nil) },
		"hint": func(token string) harness.Reply {
			return s.Call(t, "POST", "/api/logout", "", url.Values{"id_token_hint": {token}})
		},
	} {
		tokens := s.SignIn(t, "oWeekLater")
		clock.Advance(2 * time.Hour)
		reply := logout(tokens.AccessToken).Map(t)
		assert.Equal(t, harness.Organization+"/wechat-oWeekLater", reply["data"], name)
		spent := s.Call(t, "POST", harness.PathRefresh, "", refreshForm(tokens.RefreshToken))
		assert.Equal(t, "invalid_grant", spent.Map(t)["error"], name)
		assert.Equal(t, "error", logout(tokens.AccessToken).Map(t)["status"], name)
		assert.Equal(t, "error", logout(tokens.RefreshToken).Map(t)["status"], name)
	}
}

// Who is forbidden and signs out is not signed in there any more when allowed again.
func TestLogoutOfAForbiddenUser(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	forbid := func(forbidden bool) {
		user := harness.Row{"owner": harness.Organization, "name": "wechat-oForbidden", "isForbidden": forbidden}
		s.Apply(t, harness.Rows{"users": {user}})
	}
	tokens := s.SignIn(t, "oForbidden")
	forbid(true)
	assert.Equal(t, "ok", s.Call(t, "POST", "/api/logout", tokens.AccessToken, nil).Map(t)["status"])
	forbid(false)
	ended := s.Call(t, "POST", harness.PathRefresh, "", refreshForm(tokens.RefreshToken))
	assert.Equal(t, "invalid_grant", ended.Map(t)["error"])
}

// A refresh token that was spent before proves that two have it: nobody may go on with either.
func TestReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]harness.Options{"opaque": {}, "jwt": {RefreshTokenJWT: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, o)
			first := s.SignIn(t, "oReuse")
			other := s.SignIn(t, "oReuse")
			second := s.Call(t, "POST", harness.PathRefresh, "", refreshForm(first.RefreshToken)).Tokens(t)
			third := s.Call(t, "POST", harness.PathRefresh, "", refreshForm(second.RefreshToken)).Tokens(t)
			reply := s.Call(t, "POST", harness.PathRefresh, "", refreshForm(first.RefreshToken))
			assert.Equal(t, "invalid_grant", reply.Map(t)["error"])
			flow{Server: s}.dead(t, third.AccessToken)
			reply = s.Call(t, "POST", harness.PathRefresh, "", refreshForm(third.RefreshToken))
			assert.Equal(t, "invalid_grant", reply.Map(t)["error"])
			assert.Len(t, s.Log.Lines(`"level":"WARN"`, "a spent refresh token was used again"), 1, "the end of a family is told once")
			s.Account(t, other.AccessToken)
		})
	}
}

// What a mini program sends along with its code: it updates the profile, or is dropped, but never in the way.
func TestProfileAtSignIn(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	const (
		grey = "https://mmbiz.qpic.cn/mmbiz/" +
			"icTdbqWNOwNRna42FI242Lcia07jQodd2FJGIYQfG0LAJGFxM4FbnQP6yfMxBgJ0F3YRqJCJ1aPAK2dQagdusBZg/0"
		nickname = "小红"
		avatar   = "https://example.com/a.png"
	)
	good := url.Values{"username": {nickname}, "avatar": {avatar}}
	for name, c := range map[string]struct {
		sent             url.Values
		nickname, avatar string // afterwards, for a user who had none
	}{
		"both":         {good, nickname, avatar},
		"nickname":     {url.Values{"username": {"  Ann "}}, "Ann", ""},
		"avatar":       {url.Values{"avatar": {avatar}}, "", avatar},
		"empty":        {url.Values{"username": {""}, "avatar": {""}}, "", ""},
		"placeholders": {url.Values{"username": {"微信用户"}, "avatar": {grey}}, "", ""},
		"placeholder, wide": {url.Values{"username": {" 微信用户 "}, "avatar": {strings.Replace(grey, "https", "http", 1)}},
			"", ""},
		"long nickname":     {url.Values{"username": {strings.Repeat("长", 101)}, "avatar": {avatar}}, "", avatar},
		"100 characters":    {url.Values{"username": {strings.Repeat("长", 100)}}, strings.Repeat("长", 100), ""},
		"control character": {url.Values{"username": {"a\x00b"}}, "", ""},
		"line break":        {url.Values{"username": {"a\nb"}}, "", ""},
		"override":          {url.Values{"username": {"a\u202eb"}}, "", ""},
		"spaces":            {url.Values{"username": {"   "}}, "", ""},
		"http avatar":       {url.Values{"username": {"a"}, "avatar": {"http://example.com/a.png"}}, "a", ""},
		"temporary file":    {url.Values{"avatar": {"http://tmp/abc.jpg"}}, "", ""},
		"wxfile":            {url.Values{"avatar": {"wxfile://tmp_abc.jpg"}}, "", ""},
		"script":            {url.Values{"avatar": {"javascript:alert(1)"}}, "", ""},
		"long avatar":       {url.Values{"avatar": {"https://example.com/" + strings.Repeat("x", 1000)}}, "", ""},
		"name of another":   {url.Values{"username": {harness.AdminName}}, harness.AdminName, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			openID := "oProfile_" + strings.NewReplacer(" ", "_", ",", "").Replace(name)
			signIn := func(sent url.Values) map[string]any {
				form := harness.SignInForm(s.NewCode(openID))
				maps.Copy(form, sent)
				return s.Account(t, s.Call(t, "POST", harness.PathToken, "", form).Tokens(t).AccessToken)
			}
			account := signIn(c.sent)
			assert.Equal(t, c.nickname, account["displayName"])
			assert.Equal(t, c.avatar, account["avatar"])
			assert.Equal(t, "wechat-"+openID, account["name"])
			signIn(good)
			account = signIn(c.sent)
			assert.Equal(t, orElse(c.nickname, nickname), account["displayName"], "what is dropped overwrites nothing")
			assert.Equal(t, orElse(c.avatar, avatar), account["avatar"])
		})
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// What organization and application give to new users.
func TestNewUserDefaults(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{
		Organization: harness.Row{"initScore": 2000, "defaultAvatar": "https://example.com/default.png"},
		Application:  harness.Row{"defaultGroup": "shop/customers", "expireInHours": 0.5},
	})
	tokens := s.SignIn(t, "oDefaults")
	assert.Equal(t, 1800, tokens.ExpiresIn)
	account := s.Account(t, tokens.AccessToken)
	assert.InDelta(t, 2000, account["score"], 0)
	assert.Equal(t, "https://example.com/default.png", account["avatar"])
	assert.Equal(t, []any{"shop/customers"}, account["groups"])
}

// A mini program that is bound to an Open Platform account later starts to give UnionIDs.
func TestUnionIDTurnsUpLater(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	s.SignIn(t, "oUnion")
	code := s.Fake.NewCode(fakewechat.User{OpenID: "oUnion", UnionID: "uUnion"})
	tokens := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(code)).Tokens(t)
	properties := map[string]any{"wechatOpenId": "oUnion", "wechatUnionId": "uUnion"}
	assert.Equal(t, properties, s.Account(t, tokens.AccessToken)["properties"])
	s.SignIn(t, "oUnion")
	assert.Equal(t, properties, s.Account(t, tokens.AccessToken)["properties"], "it stays")
}

// An account that looks like the user's is not taken over, whatever it has in common.
func TestNoAccountIsBound(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Rows: harness.Rows{"users": {
		{"owner": harness.Organization, "name": "wechat-oBound", "wechat": "oBound", "displayName": "Victim",
			"properties": map[string]string{"wechatOpenId": "oBound"}},
	}}})
	account := s.Account(t, s.SignIn(t, "oBound").AccessToken)
	assert.NotEqual(t, "wechat-oBound", account["name"])
	assert.True(t, strings.HasPrefix(account["name"].(string), "wechat-oBound-"), account["name"])
	assert.Empty(t, account["displayName"])
	assert.Equal(t, account["id"], s.Account(t, s.SignIn(t, "oBound").AccessToken)["id"])
}
