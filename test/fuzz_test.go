package test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// FuzzUpdateUser sends whatever a user may to update-user: the answer is Casdoor's, and nothing changes but the
// profile.
func FuzzUpdateUser(f *testing.F) {
	f.Add("", `{"displayName":"小明 🐼","avatar":"https://example.com/a.png"}`)
	f.Add("columns=display_name,score", `{"displayName":"x","score":1000000}`)
	f.Add("id=shop/boss", `{"owner":"shop","name":"boss","isAdmin":true}`)
	f.Add("", `{"ISADMIN":true,"isadmin":1,"wechat":"oOther","properties":{"wechatOpenId":"oOther"}}`)
	f.Add("columns=wechat", `{"wechat":"oOther"}`)
	f.Add("userId=x&owner=built-in", `{"id":"x","type":"admin","password":"***","address":[""]}`)

	s := harness.Start(f, harness.Options{})
	bearer := s.SignIn(f, "oFuzz").AccessToken
	before := identityFacts(f, s, bearer)
	f.Fuzz(func(t *testing.T, query, body string) {
		r := httptest.NewRequest(http.MethodPost, harness.PathUpdateUser, strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Authorization", "Bearer "+bearer)
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		var answer struct{ Status string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), w.Body)
		assert.Contains(t, []string{"ok", "error"}, answer.Status)
		assert.Less(t, w.Code, http.StatusInternalServerError, w.Body)
		if answer.Status == "ok" {
			assert.Equal(t, before, identityFacts(t, s, bearer), "query %s body %s", url.QueryEscape(query), body)
		}
	})
}

// identityFacts are the parts of an account that its user must not change.
func identityFacts(t testing.TB, s *harness.Server, bearer string) map[string]any {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, harness.PathAccount, nil)
	r.Header.Set("Authorization", "Bearer "+bearer)
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	var account struct {
		Data map[string]any `json:"data"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &account))
	require.NotEmpty(t, account.Data)
	for _, own := range []string{
		"displayName", "avatar", "firstName", "lastName", "gender", "birthday", "region", "location", "language", "bio",
		"homepage", "title", "affiliation", "education", "address", "email", "emailVerified", "password", "updatedTime",
	} {
		delete(account.Data, own)
	}
	return account.Data
}
