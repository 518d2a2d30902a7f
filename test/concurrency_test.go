package test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// together runs f n times at once, and returns what each run gave.
func together[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			results[i] = f(i)
		})
	}
	close(start)
	group.Wait()
	return results
}

func TestManyFirstSignIns(t *testing.T) {
	t.Parallel()
	const n = 64
	s := harness.Start(t, harness.Options{})
	codes := make([]string, n)
	for i := range codes {
		codes[i] = s.NewCode("oFirst")
	}
	replies := together(n, func(i int) harness.Reply {
		return s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(codes[i]))
	})
	seen, newUsers := map[string]bool{}, 0
	for _, reply := range replies {
		tokens := reply.Tokens(t)
		if *tokens.NewUser {
			newUsers++
		}
		seen[tokens.AccessToken], seen[tokens.RefreshToken] = true, true
	}
	assert.Len(t, seen, 2*n, "everybody has tokens of their own")
	assert.Equal(t, 1, newUsers)
	assert.Equal(t, "1", s.Value(t, "SELECT COUNT(*) FROM user WHERE wechat='oFirst'"))
	assert.Equal(t, "1", s.Value(t, "SELECT COUNT(*) FROM mini_program_identity"))
	assert.Equal(t, "1", s.Value(t, "SELECT COUNT(*) FROM mini_program_session"))
	ids := map[any]bool{}
	for _, reply := range replies {
		ids[s.Account(t, reply.Tokens(t).AccessToken)["id"]] = true
	}
	assert.Len(t, ids, 1)
	assert.Equal(t, n, s.Fake.Calls(fakewechat.PathCode2Session))
}

// Two pages of a mini program that send the same code must both get in: WeChat would refuse the second.
func TestOneCodeTwice(t *testing.T) {
	t.Parallel()
	const n = 2
	s := harness.Start(t, harness.Options{UpstreamTimeout: patience})
	// WeChat answers when both are there, and a little later, so that the second has come as far as the first.
	s.Fake.Inject(fakewechat.PathCode2Session, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		assert.Eventually(t, func() bool { return s.Metric(t, "minidoor_sign_ins_in_flight") == n }, 10*time.Second,
			time.Millisecond)
		fakewechat.Slow(2*time.Second)(w, r, answer)
	}, 1)
	code := s.NewCode("oTwice")
	replies := together(n, func(int) harness.Reply {
		return s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(code))
	})
	assert.Equal(t, 1, s.Fake.Calls(fakewechat.PathCode2Session))
	first, second := replies[0].Tokens(t), replies[1].Tokens(t)
	assert.NotEqual(t, first.AccessToken, second.AccessToken)
	assert.NotEqual(t, *first.NewUser, *second.NewUser)
	assert.Equal(t, s.Account(t, first.AccessToken)["id"], s.Account(t, second.AccessToken)["id"])
}

// Of simultaneous refreshes with one token at most one wins, and whoever comes too late ends what the winner got.
func TestOneRefreshTokenTwice(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	tokens := s.SignIn(t, "oRefresh")
	var won []harness.Tokens
	for _, reply := range together(8, func(int) harness.Reply {
		return s.Call(t, "POST", harness.PathRefresh, "", refreshForm(tokens.RefreshToken))
	}) {
		if reply.Status == http.StatusOK {
			won = append(won, reply.Tokens(t))
		} else {
			assert.Equal(t, "invalid_grant", reply.Map(t)["error"])
		}
	}
	require.LessOrEqual(t, len(won), 1)
	for _, w := range won {
		flow{Server: s}.dead(t, w.AccessToken)
	}
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM token"))
}

// Updates of different fields at once must all stay.
func TestConcurrentUpdates(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	u := newSelf(t, s, "oUpdates")
	fields := []string{"bio", "title", "location", "region", "affiliation", "education", "language", "gender"}
	for _, reply := range together(len(fields), func(i int) harness.Reply {
		return s.Call(t, "POST", harness.PathUpdateUser, u.token, fieldsOf{fields[i]: "x" + fields[i]})
	}) {
		assert.Equal(t, "Affected", reply.Map(t)["data"])
	}
	account := s.Account(t, u.token)
	for _, field := range fields {
		assert.Equal(t, "x"+field, account[field])
	}
}
