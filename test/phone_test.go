package test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

func chinese(number string) fakewechat.Phone {
	return fakewechat.Phone{CountryCode: "86", Number: number}
}

func TestPhone(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for name, body := range map[string]func(code string) any{
		"json": func(code string) any { return map[string]string{"code": code} },
		"form": func(code string) any { return url.Values{"code": {code}, "app_id": {harness.AppID}} },
	} {
		t.Run(name, func(t *testing.T) {
			openID := "oPhone_" + name
			token := s.SignIn(t, openID).AccessToken
			code := s.Fake.NewPhoneCode(openID, chinese("13800000000"))
			reply := s.Call(t, "POST", harness.PathPhone, token, body(code))
			require.Equal(t, http.StatusOK, reply.Status, reply.Body)
			account := reply.Map(t)["data"].(map[string]any)
			assert.Equal(t, "13800000000", account["phone"])
			assert.Equal(t, "CN", account["countryCode"])
			assert.Equal(t, "+8613800000000", account["properties"].(map[string]any)["wechatPhoneVerified"])
			assert.Equal(t, account, s.Account(t, token))

			reply = s.Call(t, "POST", harness.PathPhone, token, body(code))
			assert.Equal(t, http.StatusBadRequest, reply.Status, "a code works once")
			assert.Contains(t, reply.Map(t)["msg"], "phone code")
		})
	}
}

func TestPhoneRefused(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	u := newSelf(t, s, "oMe")
	s.SignIn(t, "oOther")
	boss := s.Value(t, "SELECT id FROM user WHERE name=?", harness.AdminName)
	require.NotEmpty(t, boss)
	for name, c := range map[string]struct {
		body   any
		status int
		says   string
	}{
		"no code":         {url.Values{}, 400, "code is missing"},
		"login code":      {url.Values{"code": {s.NewCode("oMe")}}, 400, "is not the login code"},
		"another user's":  {url.Values{"code": {s.Fake.NewPhoneCode("oOther", chinese("1"))}}, 400, "another user's"},
		"another app":     {url.Values{"code": {"x"}, "app_id": {"wxOther"}}, 400, "has not signed in with such"},
		"no JSON":         {harness.Text{ContentType: "application/json", Body: `{"code`}, 400, "malformed"},
		"code is no text": {map[string]any{"code": []string{"a"}}, 400, "must be a text"},
	} {
		reply := s.Call(t, "POST", harness.PathPhone, u.token, c.body)
		assert.Equal(t, c.status, reply.Status, name)
		assert.Contains(t, reply.Map(t)["msg"], c.says, name)
		assert.Equal(t, "error", reply.Map(t)["status"], name)
	}
	reply := s.Call(t, "POST", harness.PathPhone, "", url.Values{"code": {"x"}})
	assert.Equal(t, http.StatusUnauthorized, reply.Status)
	u.unchanged(t)
}

// What WeChat can answer in place of a number.
func TestPhoneFaults(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	u := newSelf(t, s, "oMe")
	for name, c := range map[string]struct {
		fault  fakewechat.Fault
		status int
		retry  bool
	}{
		"code":      {fakewechat.Errcode(40029), 400, false},
		"other app": {fakewechat.Errcode(40013), 400, false},
		"minute":    {fakewechat.Errcode(45011), 429, true},
		"day":       {fakewechat.Errcode(45009), 429, true},
		"set-up":    {fakewechat.Errcode(48001), 503, false},
		"busy":      {fakewechat.Errcode(-1), 503, true},
		"down":      {fakewechat.Status(502), 503, true},
		"reset":     {fakewechat.Reset(), 503, true},
		"page":      {fakewechat.HTML(), 503, true},
		"nothing":   {fakewechat.Empty(), 503, true},
		"half":      {fakewechat.Truncated(), 503, true},
	} {
		s.Fake.Inject(fakewechat.PathPhone, c.fault, 1)
		code := s.Fake.NewPhoneCode("oMe", chinese("13800000000"))
		reply := s.Call(t, "POST", harness.PathPhone, u.token, url.Values{"code": {code}})
		assert.Equal(t, c.status, reply.Status, name)
		assert.Equal(t, c.retry, reply.Header.Get("Retry-After") != "", name)
		assert.Equal(t, "error", reply.Map(t)["status"], name)
	}
	assert.NotEmpty(t, s.Log.Lines(harness.PathPhone, "hint", "verified and no personal one"), "for the admin")
	u.unchanged(t)
	s.Fake.Heal(fakewechat.PathPhone)
}

// A token of WeChat that expired meanwhile is fetched anew, and the user does not notice.
func TestPhoneWithExpiredAccessToken(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oMe").AccessToken
	for _, number := range []string{"13800000001", "13800000002"} {
		code := s.Fake.NewPhoneCode("oMe", chinese(number))
		reply := s.Call(t, "POST", harness.PathPhone, token, url.Values{"code": {code}})
		require.Equal(t, http.StatusOK, reply.Status, reply.Body)
		assert.Equal(t, number, s.Account(t, token)["phone"])
		s.Fake.ExpireTokens()
	}
	assert.Equal(t, 2, s.Fake.Calls(fakewechat.PathStableToken))
}

// The nickname is judged by WeChat, on every way in.
func TestNicknameCheck(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Rows: harness.Rows{"miniProgramProviders": {{
		"owner": "admin", "name": harness.Provider, "checkNickname": true,
	}}}})
	s.Fake.Judge("坏", fakewechat.Verdict{Suggest: "risky", Label: 20002})
	s.Fake.Judge("怪", fakewechat.Verdict{Suggest: "review", Label: 20001})
	u := newSelf(t, s, "oMe")
	profile := func(name string) harness.Reply {
		return s.Call(t, "POST", harness.PathProfile, u.token, map[string]string{"nickName": name})
	}
	for _, name := range []string{"坏人", "怪人"} {
		reply := profile(name)
		assert.Equal(t, http.StatusBadRequest, reply.Status)
		assert.Contains(t, reply.Map(t)["msg"], "nickName is refused by the content check")
		assert.Contains(t, u.update(t, "", fieldsOf{"displayName": name}), "displayName is refused")
	}
	s.Fake.Inject(fakewechat.PathCheckText, fakewechat.Errcode(61010), 1)
	assert.Equal(t, http.StatusBadRequest, profile("好人").Status, "one who was away")
	s.Fake.Inject(fakewechat.PathCheckText, fakewechat.Status(502), 1)
	reply := profile("好人")
	assert.Equal(t, http.StatusServiceUnavailable, reply.Status)
	assert.NotEmpty(t, reply.Header.Get("Retry-After"))
	u.unchanged(t)
	assert.Equal(t, http.StatusOK, profile("好人").Status)
	calls := s.Fake.Calls(fakewechat.PathCheckText)
	assert.Equal(t, http.StatusOK, profile("好人").Status)
	assert.Equal(t, calls, s.Fake.Calls(fakewechat.PathCheckText), "what has not changed is not judged again")

	form := harness.SignInForm(s.NewCode("oMe"))
	form.Set("username", "坏人")
	tokens := s.Call(t, "POST", harness.PathToken, "", form).Tokens(t)
	assert.Equal(t, "好人", s.Account(t, tokens.AccessToken)["displayName"], "the sign-in goes on without it")
	s.Fake.Inject(fakewechat.PathCheckText, fakewechat.Errcode(48001), 1)
	form = harness.SignInForm(s.NewCode("oNew"))
	form.Set("username", "新人")
	tokens = s.Call(t, "POST", harness.PathToken, "", form).Tokens(t)
	assert.Empty(t, s.Account(t, tokens.AccessToken)["displayName"])
	assert.Len(t, s.Log.Lines("nickname of a sign-in is ignored", "hint", "verified and no personal one"), 1)
	form = harness.SignInForm(s.NewCode("oNew"))
	form.Set("username", "新人")
	tokens = s.Call(t, "POST", harness.PathToken, "", form).Tokens(t)
	assert.Equal(t, "新人", s.Account(t, tokens.AccessToken)["displayName"])
}
