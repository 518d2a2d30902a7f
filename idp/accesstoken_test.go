package idp

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

func (f *fixture) token(t *testing.T) string {
	t.Helper()
	token, err := f.wechat.accessToken(t.Context())
	require.NoError(t, err)
	return token
}

func TestAccessTokenIsCachedByItsLife(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	first := f.token(t)
	f.clock.Advance(2*time.Hour - 4*time.Minute - time.Second)
	assert.Equal(t, first, f.token(t))
	assert.Equal(t, 1, f.fake.Calls(fakewechat.PathStableToken))
	f.clock.Advance(time.Second)
	assert.NotEqual(t, first, f.token(t))
	assert.Equal(t, 2, f.fake.Calls(fakewechat.PathStableToken))
}

func TestAccessTokenOfAnotherInstance(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	first := f.token(t)
	f.clock.Advance(time.Hour)
	second := newTestWeChat(t, Options{
		Endpoint: "http://wechat.test", HTTPClient: &http.Client{Transport: direct{f.fake}}, Now: f.clock.Now,
	})
	token, err := second.accessToken(t.Context())
	require.NoError(t, err)
	assert.Equal(t, first, token, "instances share the stable token")
	f.clock.Advance(56 * time.Minute)
	token, err = second.accessToken(t.Context())
	require.NoError(t, err)
	assert.NotEqual(t, first, token, "the life is what remained, not 2 hours")
}

func TestRenewAfter(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]time.Duration{
		2 * time.Hour:               116 * time.Minute,
		5 * time.Minute:             time.Minute,
		4*time.Minute + time.Second: time.Second,
		4 * time.Minute:             2 * time.Minute,
		2 * time.Second:             time.Second,
	} {
		assert.Equal(t, want, renewAfter(life), life)
	}
}

func TestAccessTokenForManyIsOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.fake.Inject(fakewechat.PathStableToken, fakewechat.Slow(time.Second), 1)
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { assert.NotEmpty(t, f.token(t)) })
		}
		group.Wait()
		assert.Equal(t, 1, f.fake.Calls(fakewechat.PathStableToken))
	})
}

func TestAccessTokenFailures(t *testing.T) {
	t.Parallel()
	body := func(text string) fakewechat.Fault { return fakewechat.Body(http.StatusOK, "", text) }
	life := func(seconds string) fakewechat.Fault {
		return body(fmt.Sprintf(`{"access_token":"t","expires_in":%s}`, seconds))
	}
	cases := map[string]struct {
		fault fakewechat.Fault
		kind  provider.Kind
	}{
		"bad secret":    {fakewechat.Errcode(40001), provider.KindMisconfigured},
		"wrong secret":  {fakewechat.Errcode(40125), provider.KindMisconfigured},
		"ip refused":    {fakewechat.Errcode(89506), provider.KindMisconfigured},
		"quota":         {fakewechat.Errcode(45009), provider.KindThrottled},
		"busy":          {fakewechat.Errcode(-1), provider.KindUnavailable},
		"500":           {fakewechat.Status(500), provider.KindUnavailable},
		"html":          {fakewechat.HTML(), provider.KindUnavailable},
		"truncated":     {fakewechat.Truncated(), provider.KindUnavailable},
		"wrong types":   {fakewechat.WrongTypes(), provider.KindUnavailable},
		"oversized":     {fakewechat.Oversized(), provider.KindUnavailable},
		"reset":         {fakewechat.Reset(), provider.KindUnavailable},
		"empty":         {fakewechat.Empty(), provider.KindUnavailable},
		"no token":      {body(`{"expires_in":7200}`), provider.KindUnavailable},
		"no life":       {body(`{"access_token":"t"}`), provider.KindUnavailable},
		"negative life": {life("-1"), provider.KindUnavailable},
		"endless life":  {life("7201"), provider.KindUnavailable},
		"long token": {
			body(`{"access_token":"` + strings.Repeat("t", 3000) + `","expires_in":7200}`), provider.KindUnavailable,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			f.fake.Inject(fakewechat.PathStableToken, c.fault, 1)
			_, err := f.wechat.accessToken(t.Context())
			e := f.fails(t, c.kind, err)
			assert.Equal(t, opStableToken, e.Op)
			assert.Equal(t, c.kind == provider.KindMisconfigured, e.Hint != "")
			assert.Equal(t, c.kind == provider.KindMisconfigured, e.Fault != "")
			assert.NotEmpty(t, f.token(t), "a failure is not cached")
		})
	}
}

func TestInvalidateDropsOnlyThatToken(t *testing.T) {
	t.Parallel()
	var c tokenCache
	now := time.Now()
	assert.Empty(t, c.get(now))
	c.put("new", now.Add(time.Minute))
	c.invalidate("old")
	assert.Equal(t, "new", c.get(now))
	assert.Empty(t, c.get(now.Add(time.Minute)))
	c.invalidate("new")
	assert.Empty(t, c.get(now))
}
