package test

import (
	"image/color"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

func TestExport(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := fill(t, s, "oMe")
	fill(t, s, "oOther")
	upload(t, s, token, picturePart(pngOf(t, painted(color.White))))
	reply := s.Call(t, "GET", harness.PathExport, token, nil)
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	assert.Equal(t, `attachment; filename="account.json"`, reply.Header.Get("Content-Disposition"))
	assert.Equal(t, "no-store", reply.Header.Get("Cache-Control"))
	export := reply.Map(t)
	assert.Equal(t, s.Account(t, token), export["user"])
	identity := export["identities"].([]any)[0].(map[string]any)
	assert.Equal(t, "oMe", identity["openId"])
	assert.NotEmpty(t, identity["sessionTime"])
	assert.Len(t, export["tokens"], 1)
	require.Len(t, export["pictures"], 1)
	assert.Equal(t, "used", export["pictures"].([]any)[0].(map[string]any)["state"])
	assert.Equal(t, []any{}, export["unchecked"])
	assert.Equal(t, []any{}, export["records"])
	assert.NotContains(t, reply.Body, "oOther")
	assert.Equal(t, http.StatusUnauthorized, s.Call(t, "GET", harness.PathExport, "", nil).Status)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	for name, soft := range map[string]bool{"soft": true, "hard": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Organization: harness.Row{"enableSoftDeletion": soft}})
			token, other := fill(t, s, "oMe"), fill(t, s, "oOther")
			tokens := s.SignIn(t, "oMe")
			before := s.Account(t, other)
			reply := s.Call(t, "POST", harness.PathDelete, token, url.Values{"code": {s.NewCode("oMe")}})
			require.Equal(t, http.StatusOK, reply.Status, reply.Body)
			assert.Equal(t, "Affected", reply.Map(t)["data"])

			for _, dead := range []string{token, tokens.AccessToken} {
				assert.Equal(t, http.StatusUnauthorized, s.Call(t, "GET", harness.PathExport, dead, nil).Status)
			}
			refresh := s.Call(t, "POST", harness.PathRefresh, "", refreshForm(tokens.RefreshToken))
			assert.Equal(t, "invalid_grant", refresh.Map(t)["error"])
			assert.Equal(t, before, s.Account(t, other))
			signIn := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oMe")))
			if soft {
				assert.Equal(t, "access_denied", signIn.Map(t)["error"])
				return
			}
			again := signIn.Tokens(t)
			assert.Equal(t, new(true), again.NewUser)
			account := s.Account(t, again.AccessToken)
			assert.Empty(t, account["displayName"])
			assert.Empty(t, account["phone"])
		})
	}
}

func TestDeleteRefused(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	u := newSelf(t, s, "oMe")
	spent := s.NewCode("oMe")
	s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(spent))
	u.account = s.Account(t, u.token)
	remove := func(code string) harness.Reply {
		return s.Call(t, "POST", harness.PathDelete, u.token, fieldsOf{"code": code})
	}
	for name, c := range map[string]struct{ code, says string }{
		"no code":      {"", "code is missing"},
		"spent":        {spent, "get a new one with wx.login"},
		"another user": {s.NewCode("oOther"), "another user's"},
		"phone code":   {s.Fake.NewPhoneCode("oMe", chinese("13800000000")), "get a new one with wx.login"},
	} {
		reply := remove(c.code)
		assert.Equal(t, http.StatusBadRequest, reply.Status, name)
		assert.Contains(t, reply.Map(t)["msg"], c.says, name)
	}
	s.Fake.Inject(fakewechat.PathCode2Session, fakewechat.Reset(), 1)
	assert.Equal(t, http.StatusServiceUnavailable, remove(s.NewCode("oMe")).Status)
	assert.Equal(t, http.StatusUnauthorized, s.Call(t, "POST", harness.PathDelete, "", fieldsOf{"code": "x"}).Status)
	u.unchanged(t)
}

// A write that fails leaves all of the account in place.
func TestDeleteIsWhole(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	u := newSelf(t, s, "oMe")
	s.Exec(t, "ALTER TABLE mini_program_union RENAME TO elsewhere")
	reply := s.Call(t, "POST", harness.PathDelete, u.token, fieldsOf{"code": s.NewCode("oMe")})
	assert.Equal(t, http.StatusServiceUnavailable, reply.Status)
	s.Exec(t, "ALTER TABLE elsewhere RENAME TO mini_program_union")
	u.unchanged(t)
	export := s.Call(t, "GET", harness.PathExport, u.token, nil).Map(t)
	assert.NotEmpty(t, export["identities"].([]any)[0].(map[string]any)["sessionTime"])
}
