package test

import (
	"context"
	"fmt"
	"net"
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

// upstreamFaults are the ways in which WeChat fails to answer as it should.
func upstreamFaults() map[string]fakewechat.Fault {
	return map[string]fakewechat.Fault{
		"hang":      fakewechat.Hang(),
		"slow body": fakewechat.SlowBody(),
		"reset":     fakewechat.Reset(),
		"500":       fakewechat.Status(500),
		"502":       fakewechat.Status(502),
		"404":       fakewechat.Status(404),
		"redirect":  fakewechat.Status(302),
		"HTML":      fakewechat.HTML(),
		"truncated": fakewechat.Truncated(),
		"oversized": fakewechat.Oversized(),
		"header":    fakewechat.OversizedHeader(),
		"types":     fakewechat.WrongTypes(),
		"empty":     fakewechat.Empty(),
		"busy":      fakewechat.Errcode(-1),
		"busy text": fakewechat.ErrcodeText(-1),
		"unknown":   fakewechat.Errcode(12345),
		"null":      fakewechat.Body(200, "text/plain", "null"),
		"no openid": fakewechat.Body(200, "text/plain", `{"session_key":"HyVFkGl5F5OQWJZZaNzBBg=="}`),
		"bad key":   fakewechat.Body(200, "text/plain", `{"openid":"oX","session_key":"x"}`),
		"bad openid": fakewechat.Body(200, "text/plain",
			`{"openid":"../boss","session_key":"HyVFkGl5F5OQWJZZaNzBBg=="}`),
	}
}

// patience is how long WeChat may take where nothing hangs: on a busy machine, when it answers as it should.
const patience = 18 * time.Second

// limitFor is how long WeChat may take in a test with a fault: as short as limit only where the fault is to take
// longer.
func limitFor(fault string, limit time.Duration) time.Duration {
	if hangs(fault) {
		return limit
	}
	return patience
}

func hangs(fault string) bool { return fault == "hang" || fault == "slow body" || fault == "DNS hangs" }

// unavailable asserts that a reply says so, in the form of its route.
func unavailable(t *testing.T, reply harness.Reply, retry bool) {
	t.Helper()
	assert.Equal(t, http.StatusServiceUnavailable, reply.Status, reply.Body)
	body := reply.Map(t)
	if _, oauth := body["error"]; oauth {
		assert.Len(t, body, 2)
		assert.Equal(t, "temporarily_unavailable", body["error"])
		assert.NotEmpty(t, body["error_description"])
	} else {
		assert.Len(t, body, 4)
		assert.Equal(t, "error", body["status"])
		assert.NotEmpty(t, body["msg"])
	}
	assert.Equal(t, retry, reply.Header.Get("Retry-After") != "")
}

func TestUpstreamFaults(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	hurried := harness.Start(t, harness.Options{UpstreamTimeout: limit})
	patient := harness.Start(t, harness.Options{UpstreamTimeout: patience})
	for name, fault := range upstreamFaults() {
		t.Run(name, func(t *testing.T) {
			s := patient
			if hangs(name) {
				s = hurried
			}
			openID := "oFault_" + strings.ReplaceAll(name, " ", "_")
			before := s.Fake.Calls(fakewechat.PathCode2Session)
			s.Fake.Inject(fakewechat.PathCode2Session, fault, 1)
			start := time.Now()
			reply := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode(openID)))
			assert.Less(t, time.Since(start), limit+4*time.Second)
			unavailable(t, reply, true)
			assert.Equal(t, before+1, s.Fake.Calls(fakewechat.PathCode2Session), "a code is never sent twice")
			assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM user WHERE name=?", "wechat-"+openID))
			assert.Equal(t, new(true), s.SignIn(t, openID).NewUser, "a new code works")
		})
	}
}

// A mini program whose settings are wrong must not be locked out when they have been mended.
func TestErrorsOfOthersDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for range 20 {
		reply := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm("made-up"))
		assert.Equal(t, http.StatusBadRequest, reply.Status)
	}
	s.Fake.Inject(fakewechat.PathCode2Session, fakewechat.Errcode(40125), 20)
	for range 20 {
		unavailable(t, s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oMend"))), false)
	}
	s.SignIn(t, "oMend")
}

func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := harness.Start(t, harness.Options{Now: clock.Now})
	tokens := s.SignIn(t, "oGone")
	client := url.Values{"client_id": {harness.ClientID}, "client_secret": {harness.ClientSecret}}
	with := func(form url.Values) url.Values {
		for name, values := range client {
			form[name] = values
		}
		return form
	}
	requests := map[string]func() harness.Reply{
		"sign-in": func() harness.Reply {
			return s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oGone")))
		},
		"first sign-in": func() harness.Reply {
			return s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oNew")))
		},
		"refresh": func() harness.Reply {
			return s.Call(t, "POST", harness.PathRefresh, "", refreshForm(tokens.RefreshToken))
		},
		"client credentials": func() harness.Reply {
			return s.Call(t, "POST", harness.PathToken, "", with(url.Values{"grant_type": {"client_credentials"}}))
		},
		"introspect": func() harness.Reply {
			return s.Call(t, "POST", harness.PathIntrospect, "", with(url.Values{"token": {tokens.AccessToken}}))
		},
		"account":  func() harness.Reply { return s.Call(t, "GET", harness.PathAccount, tokens.AccessToken, nil) },
		"userinfo": func() harness.Reply { return s.Call(t, "GET", "/api/userinfo", tokens.AccessToken, nil) },
		"update": func() harness.Reply {
			return s.Call(t, "POST", harness.PathUpdateUser, tokens.AccessToken, fieldsOf{"bio": "x"})
		},
		"profile": func() harness.Reply {
			return s.Call(t, "POST", harness.PathProfile, tokens.AccessToken, fieldsOf{"nickName": "x"})
		},
		"logout": func() harness.Reply { return s.Call(t, "POST", "/api/logout", tokens.AccessToken, nil) },
		"health": func() harness.Reply { return s.Call(t, "GET", "/api/health", "", nil) },
	}
	health := requests["health"]
	assert.Equal(t, http.StatusOK, health().Status)
	clock.Advance(time.Second) // it is remembered for so long
	s.Store.Close()
	for _, settings := range []string{"known", "forgotten"} {
		for name, request := range requests {
			t.Run(name+", settings "+settings, func(t *testing.T) { unavailable(t, request(), true) })
		}
		clock.Advance(time.Minute)
	}
	for _, path := range []string{"jwks", "app-shop/jwks", "app-shop/openid-configuration"} {
		unavailable(t, s.Call(t, "GET", "/.well-known/"+path, "", nil), true)
	}
	for _, line := range s.Log.Lines(`"level":"ERROR"`) {
		assert.NotContains(t, line, "panic")
	}
}

// A mini program in the background loses its connections after 5 s: nothing may break by that.
func TestClientLeavesDuringSignIn(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	ctx, leave := context.WithCancel(t.Context())
	stay := make(chan struct{})
	s.Fake.Inject(fakewechat.PathCode2Session, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		leave()
		<-stay
		answer(w, r)
	}, 1)
	code := s.NewCode("oLeft")
	r, err := http.NewRequestWithContext(ctx, "POST", s.URL+harness.PathToken+"?"+harness.SignInForm(code).Encode(),
		nil)
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(r)
	require.ErrorIs(t, err, context.Canceled)
	require.Never(t, func() bool { return len(s.Log.Lines(`"msg":"sign-in"`)) > 0 }, 50*time.Millisecond,
		time.Millisecond, "the exchange is still under way, and counted")
	close(stay)
	require.Eventually(t, func() bool { return len(s.Log.Lines(`"msg":"sign-in"`)) == 1 }, 10*time.Second,
		time.Millisecond)
	assert.InDelta(t, 1, s.Metric(t, `minidoor_sign_ins_total{errcode="",kind="",outcome="client_left"}`), 0)
	assert.Empty(t, s.Log.Lines(`"level":"ERROR"`))
	assert.Equal(t, new(true), s.SignIn(t, "oLeft").NewUser, "nobody was made for nobody")
	assert.Empty(t, s.Log.Lines("panic"))
}

func TestClientLeavesWithHalfABody(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	address := strings.TrimPrefix(s.URL, "http://")
	for _, sent := range []string{
		"POST " + harness.PathToken + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ntag=wechat",
		"POST " + harness.PathToken + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nta",
		"POST " + harness.PathToken + " HTTP/1.1\r\nHos",
		"nonsense\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, err = fmt.Fprint(conn, sent)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	half := func() bool { return len(s.Log.Lines("request refused", "unexpected EOF")) == 2 }
	require.Eventually(t, half, 10*time.Second, time.Millisecond)
	s.SignIn(t, "oAfter")
	assert.Empty(t, s.Log.Lines("panic"))
}
