package controllers_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// limited starts a server that takes its clients' addresses from a proxy on the loopback.
func limited(t *testing.T, limits controllers.LimitsConfig, o harness.Options) *harness.Server {
	t.Helper()
	o.Limits = limits
	o.Deps = func(deps *controllers.Deps) {
		deps.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	return harness.Start(t, o)
}

// tooMany asserts that a reply is a refusal for want of patience, in the form of its route.
func tooMany(t *testing.T, reply harness.Reply, atLeast time.Duration) {
	t.Helper()
	assert.Equal(t, http.StatusTooManyRequests, reply.Status, reply.Body)
	seconds, err := strconv.Atoi(reply.Header.Get("Retry-After"))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, seconds, int(atLeast/time.Second))
	assert.LessOrEqual(t, seconds, 60)
	body := reply.Map(t)
	if _, casdoor := body["status"]; casdoor {
		assert.Equal(t, "error", body["status"])
		return
	}
	assert.Equal(t, "slow_down", body["error"])
}

func signInWith(t *testing.T, s *harness.Server, code string) harness.Reply {
	t.Helper()
	return s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(code))
}

func TestLimitPerIP(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := limited(t, controllers.LimitsConfig{PerIP: 3}, harness.Options{Now: clock.Now})
	account := func(address string) harness.Reply {
		return s.From(address).Call(t, "GET", harness.PathAccount, "", nil)
	}
	for _, address := range []string{"203.0.113.1", "198.51.100.1", "2001:db8:1:1::1"} {
		for range 3 {
			assert.Equal(t, http.StatusOK, account(address).Status)
		}
		tooMany(t, account(address), 20*time.Second)
	}
	tooMany(t, signInWith(t, s.From("203.0.113.1"), "x"), 20*time.Second)
	tooMany(t, account("2001:db8:1:1:ffff::9"), 20*time.Second)
	for _, neighbour := range []string{"2001:db8:1::1", "2001:db8:1:2::1"} {
		assert.Equal(t, http.StatusOK, account(neighbour).Status, "another household")
	}
	for range 10 {
		assert.Equal(t, http.StatusOK, s.From("203.0.113.1").Call(t, "GET", "/api/health", "", nil).Status)
		assert.Equal(t, http.StatusOK, account("").Status, "a proxy that names nobody")
	}
	tooMany(t, s.From("203.0.113.1").Call(t, "GET", "/api/mini-program/push/health", "", nil), 20*time.Second)
	clock.Advance(20 * time.Second)
	assert.Equal(t, http.StatusOK, account("203.0.113.1").Status)
	tooMany(t, account("203.0.113.1"), 20*time.Second)

	assert.InDelta(t, 7, s.Metric(t, `minidoor_turned_away_total{limit="ip"}`), 0)
	assert.NotEmpty(t, s.Log.Lines("requests are turned away", `"reason":"ip"`))
}

// A client that waits for as many seconds as it is told to is let in, and not a second before.
func TestLimitTellsHowLongToWait(t *testing.T) {
	t.Parallel()
	for perMinute, seconds := range map[int]int{1: 60, 7: 9, 60: 1, 6000: 1} {
		clock := harness.NewClock()
		s := limited(t, controllers.LimitsConfig{PerOpenID: perMinute, PerIP: perMinute}, harness.Options{Now: clock.Now})
		ask := func() harness.Reply { return s.From("203.0.113.1").Call(t, "GET", harness.PathAccount, "", nil) }
		for range perMinute {
			require.Equal(t, http.StatusOK, ask().Status, perMinute)
		}
		for left := seconds; left > 0; left-- {
			reply := ask()
			tooMany(t, reply, time.Second)
			assert.Equal(t, strconv.Itoa(left), reply.Header.Get("Retry-After"), perMinute)
			clock.Advance(time.Second)
		}
		assert.Equal(t, http.StatusOK, ask().Status, perMinute)
	}
}

func TestLimitPerApplication(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	const other = "otherclient000000000"
	s := limited(t, controllers.LimitsConfig{PerApplication: 2}, harness.Options{Now: clock.Now, Rows: harness.Rows{
		"applications": {harness.App("app-other", other, harness.Provider)},
	}})
	ask := func(clientID string) harness.Reply {
		return s.Call(t, "POST", harness.PathToken, "", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {harness.ClientSecret},
		})
	}
	for range 2 {
		assert.Equal(t, http.StatusOK, ask(harness.ClientID).Status)
	}
	tooMany(t, ask(harness.ClientID), 30*time.Second)
	tooMany(t, signInWith(t, s, s.NewCode("oApp")), 30*time.Second)
	assert.Zero(t, s.Fake.Calls(fakewechat.PathCode2Session), "refused before WeChat is asked")
	assert.Equal(t, http.StatusOK, ask(other).Status)
	for range 5 {
		assert.Equal(t, http.StatusUnauthorized, ask("unknown").Status)
	}
	assert.InDelta(t, 2, s.Metric(t, `minidoor_turned_away_total{limit="application"}`), 0)
	assert.NotEmpty(t, s.Log.Lines("requests are turned away", `"reason":"application"`))
	assert.Empty(t, s.Log.Lines(`"status":429`), "there is no line for each")
	clock.Advance(30 * time.Second)
	assert.Equal(t, http.StatusOK, ask(harness.ClientID).Status)
}

func TestLimitPerOpenID(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := limited(t, controllers.LimitsConfig{PerOpenID: 2}, harness.Options{Now: clock.Now})
	for range 2 {
		s.SignIn(t, "oOften")
	}
	tooMany(t, signInWith(t, s, s.NewCode("oOften")), 30*time.Second)
	assert.Equal(t, "2", s.Value(t, "SELECT COUNT(*) FROM token"))
	s.SignIn(t, "oSeldom")
	clock.Advance(30 * time.Second)
	s.SignIn(t, "oOften")
	assert.InDelta(t, 1, s.Metric(t, `minidoor_turned_away_total{limit="openid"}`), 0)
	assert.InDelta(t, 1, s.Metric(t, `minidoor_sign_ins_total{errcode="",kind="",outcome="slow_down"}`), 0)
}

// What WeChat is asked about the profile of a user counts as their sign-ins do: one user cannot use up the quota.
func TestContentChecksCountForTheOpenID(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := limited(t, controllers.LimitsConfig{PerOpenID: 4}, harness.Options{Now: clock.Now, Rows: harness.Rows{
		"miniProgramProviders": {{"owner": "admin", "name": harness.Provider, "checkNickname": true, "checkAvatar": "sync"}},
	}})
	token, other := s.SignIn(t, "oOften").AccessToken, s.SignIn(t, "oSeldom").AccessToken
	update := func(bearer, field, value string) harness.Reply {
		return s.Call(t, "POST", harness.PathUpdateUser, bearer, map[string]string{field: value})
	}
	body, contentType := pictureForm(t)
	avatar := func() harness.Reply {
		return s.Call(t, "POST", harness.PathAvatar, token, harness.Text{ContentType: contentType, Body: body})
	}
	for _, name := range []string{"one", "two"} {
		assert.Contains(t, update(token, "displayName", name).Body, `"Affected"`)
	}
	assert.Equal(t, http.StatusOK, avatar().Status)
	tooMany(t, update(token, "displayName", "three"), 15*time.Second)
	tooMany(t, avatar(), 15*time.Second)
	assert.Equal(t, 2, s.Fake.Calls(fakewechat.PathCheckText))
	assert.Equal(t, 1, s.Fake.Calls(fakewechat.PathCheckImage))
	assert.Contains(t, update(token, "displayName", "two").Body, `"Unaffected"`)
	assert.Contains(t, update(token, "title", "Dr.").Body, `"Affected"`, "WeChat is not asked about it")
	assert.Contains(t, update(other, "displayName", "three").Body, `"Affected"`)
	assert.Equal(t, "two", s.Account(t, token)["displayName"])
	clock.Advance(15 * time.Second)
	assert.Contains(t, update(token, "displayName", "three").Body, `"Affected"`)
}

func TestFailedSignInsUseUpTheirOwnBudget(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	const budget = 5
	s := limited(t, controllers.LimitsConfig{FailedPerIP: budget}, harness.Options{Now: clock.Now})
	bad, good := s.From("203.0.113.1"), s.From("198.51.100.1")
	for range 10 {
		assert.Equal(t, http.StatusOK, signInWith(t, bad, s.NewCode("oGood")).Status, "what succeeds costs nothing")
		assert.Equal(t, http.StatusBadRequest, signInWith(t, bad, "\x7f").Status, "nor what WeChat is not asked about")
	}
	for range 2 * budget {
		assert.Equal(t, http.StatusBadRequest, signInWith(t, s.From(""), "made-up").Status, "a proxy that names nobody")
	}
	for range budget {
		assert.Equal(t, http.StatusBadRequest, signInWith(t, bad, "made-up").Status)
	}
	asked := s.Fake.Calls(fakewechat.PathCode2Session)
	for range 20 {
		tooMany(t, signInWith(t, bad, "made-up"), 12*time.Second)
	}
	assert.Equal(t, asked, s.Fake.Calls(fakewechat.PathCode2Session))
	assert.Equal(t, http.StatusOK, signInWith(t, good, s.NewCode("oGood")).Status)
	clock.Advance(12 * time.Second)
	assert.Equal(t, http.StatusBadRequest, signInWith(t, bad, "made-up").Status)
	tooMany(t, signInWith(t, bad, s.NewCode("oGood")), 12*time.Second)
	assert.InDelta(t, 21, s.Metric(t, `minidoor_turned_away_total{limit="failed"}`), 0)
}

// Who has signed in cannot go on guessing where other codes are taken.
func TestBadCodesOfSignedInUsersCountToo(t *testing.T) {
	t.Parallel()
	const budget = 6
	for name, c := range map[string]struct{ path, upstream string }{
		"account":  {harness.PathDelete, fakewechat.PathCode2Session},
		"phone":    {harness.PathPhone, fakewechat.PathPhone},
		"sign-ins": {harness.PathToken, fakewechat.PathCode2Session},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := harness.NewClock()
			s := limited(t, controllers.LimitsConfig{FailedPerIP: budget}, harness.Options{Now: clock.Now})
			bad, good := s.From("203.0.113.1"), s.From("198.51.100.1")
			token := bad.SignIn(t, "oGuesser").AccessToken
			send := func(from *harness.Server, path, code string) harness.Reply {
				return from.Call(t, "POST", path, token, harness.SignInForm(code))
			}
			for range 2 * budget {
				assert.Equal(t, http.StatusBadRequest, send(bad, c.path, "\x7f").Status, "WeChat is not asked about it")
			}
			for n := range budget {
				code := fmt.Sprintf("made-up-%d", n)
				assert.Equal(t, http.StatusBadRequest, send(bad, c.path, code).Status)
			}
			asked := s.Fake.Calls(c.upstream)
			for _, path := range []string{harness.PathDelete, harness.PathPhone, harness.PathToken} {
				tooMany(t, send(bad, path, "made-up"), 10*time.Second)
			}
			assert.Equal(t, asked, s.Fake.Calls(c.upstream))
			assert.Equal(t, http.StatusBadRequest, send(good, c.path, "made-up").Status, "another address")
			clock.Advance(10 * time.Second)
			code := s.NewCode("oGuesser")
			if c.path == harness.PathPhone {
				code = s.Fake.NewPhoneCode("oGuesser", fakewechat.Phone{CountryCode: "86", Number: "13800000000"})
			}
			assert.Equal(t, http.StatusOK, send(bad, c.path, code).Status)
		})
	}
}

// A storm from many addresses leaves each of them less.
func TestFailedShareOfAnApplication(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ share, good, allowed int }{
		"strict": {50, 0, 2}, "off": {0, 0, 20}, "above": {100, 0, 20}, "most succeed": {50, 150, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := limited(t, controllers.LimitsConfig{FailedPerIP: 20, FailedShare: c.share},
				harness.Options{Now: harness.NewClock().Now})
			for n := range 100 {
				address := fmt.Sprintf("203.0.113.%d", n)
				assert.Equal(t, http.StatusBadRequest, signInWith(t, s.From(address), "made-up").Status)
			}
			for range c.good {
				assert.Equal(t, http.StatusOK, signInWith(t, s.From("192.0.2.1"), s.NewCode("oGood")).Status)
			}
			storm := s.From("198.51.100.1")
			for range c.allowed {
				assert.Equal(t, http.StatusBadRequest, signInWith(t, storm, "made-up").Status)
			}
			tooMany(t, signInWith(t, storm, "made-up"), 0)
			assert.Equal(t, http.StatusOK, signInWith(t, s.From("192.0.2.1"), s.NewCode("oGood")).Status)
		})
	}
}

func TestNoLimits(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Deps: func(deps *controllers.Deps) { deps.Limits = nil }})
	for range 20 {
		assert.Equal(t, http.StatusBadRequest, signInWith(t, s, "made-up").Status)
		s.Account(t, s.SignIn(t, "oFree").AccessToken)
	}
}
