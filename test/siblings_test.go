package test

import (
	"encoding/base64"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/process"
	"github.com/minidoor/minidoor/test/testdb"
)

// testSiblings runs two servers on one database: to clients they are one.
func testSiblings(t *testing.T, binary string) {
	for _, kind := range testdb.Kinds() {
		if kind.Name == "sqlite" {
			continue // is one server's
		}
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			store := kind.Empty(t)
			w := newWorld(t, binary, store)
			w.cfg.Env["sealKey"] = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
			a, b := w.startTwo(t)
			firsts := firstPassword.FindAllString(a.process.Output()+b.process.Output(), -1)
			assert.Len(t, firsts, 1, "one of the two made the first start")

			tokens := signInEverywhere(t, "oTwins", a, b)
			db := testdb.Connect(t, store)
			assert.Equal(t, 1, count(t, db, store, "SELECT COUNT(*) FROM mini_program_identity"))
			assert.Equal(t, 1, count(t, db, store, "SELECT COUNT(*) FROM {user} u WHERE u.name LIKE 'wechat-%'"))
			assert.Equal(t, len(tokens), count(t, db, store, "SELECT COUNT(*) FROM token"))
			for _, c := range []*child{a, b} {
				for _, token := range tokens {
					_, ok := c.holds(t, token.AccessToken)
					require.True(t, ok, "a token is valid on one server only")
				}
			}
			checkLogoutElsewhere(t, a, b, tokens[0])
			checkLogoutElsewhere(t, b, a, tokens[1])
			checkRefreshElsewhere(t, a, b)
			checkRefreshElsewhere(t, b, a)
			checkDeleteElsewhere(t, a, b)
		})
	}
}

// startTwo starts two servers at the same time.
func (w *world) startTwo(t *testing.T) (a, b *child) {
	t.Helper()
	var servers [2]*process.Server
	var errs [2]error
	var starts sync.WaitGroup
	for i := range servers {
		starts.Go(func() { servers[i], errs[i] = process.StartServer(t.Context(), w.cfg) })
	}
	starts.Wait()
	for i := range servers {
		require.NoError(t, errs[i])
	}
	return w.adopt(t, servers[0]), w.adopt(t, servers[1])
}

// signInEverywhere signs one new person in 64 times at once, in turn on each server.
func signInEverywhere(t *testing.T, openID string, servers ...*child) []harness.Tokens {
	t.Helper()
	const times = 64
	var replies [times]string
	var errs [times]error
	var together sync.WaitGroup
	for i := range times {
		c := servers[i%len(servers)]
		form := harness.SignInForm(c.NewCode(openID))
		together.Go(func() { replies[i], errs[i] = c.try(t.Context(), harness.PathToken, "", form) })
	}
	together.Wait()
	tokens := make([]harness.Tokens, times)
	newUsers := 0
	for i, reply := range replies {
		require.NoError(t, errs[i])
		tokens[i] = harness.Reply{Status: http.StatusOK, Body: reply}.Tokens(t)
		require.NotEmpty(t, tokens[i].AccessToken, reply)
		if *tokens[i].NewUser {
			newUsers++
		}
	}
	assert.Equal(t, 1, newUsers, "one of the sign-ins made the user")
	return tokens
}

// checkLogoutElsewhere logs out at one server: the tokens are dead at the other.
func checkLogoutElsewhere(t *testing.T, at, other *child, tokens harness.Tokens) {
	t.Helper()
	at.Call(t, http.MethodPost, "/api/logout", tokens.AccessToken, nil)
	for _, c := range []*child{at, other} {
		_, ok := c.holds(t, tokens.AccessToken)
		assert.False(t, ok, "the access token outlives the logout")
		assert.Equal(t, http.StatusBadRequest, c.refresh(t, tokens.RefreshToken).Status)
	}
}

// checkRefreshElsewhere refreshes at one server what the other has issued.
func checkRefreshElsewhere(t *testing.T, at, other *child) {
	t.Helper()
	old := other.SignIn(t, "oRefresh")
	fresh := at.refresh(t, old.RefreshToken).Tokens(t)
	for _, c := range []*child{at, other} {
		_, ok := c.holds(t, fresh.AccessToken)
		assert.True(t, ok, "the new token is not valid everywhere")
		_, ok = c.holds(t, old.AccessToken)
		assert.False(t, ok, "the old token outlives the refresh")
	}
}

// checkDeleteElsewhere deletes an account at one server: it is gone at the other.
func checkDeleteElsewhere(t *testing.T, at, other *child) {
	t.Helper()
	first, second := at.SignIn(t, "oGone"), other.SignIn(t, "oGone")
	reply := at.Call(t, http.MethodPost, harness.PathDelete, first.AccessToken, fieldsOf{"code": at.NewCode("oGone")})
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	for _, c := range []*child{at, other} {
		for _, tokens := range []harness.Tokens{first, second} {
			_, ok := c.holds(t, tokens.AccessToken)
			assert.False(t, ok, "a token outlives the account")
			assert.Equal(t, http.StatusBadRequest, c.refresh(t, tokens.RefreshToken).Status)
		}
	}
	assert.True(t, *other.SignIn(t, "oGone").NewUser)
}
