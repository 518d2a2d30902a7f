package idp

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

func (f *fixture) signInAndCheck(t *testing.T) error {
	t.Helper()
	s, err := f.wechat.Exchange(t.Context(), f.code())
	require.NoError(t, err)
	return f.wechat.CheckSession(t.Context(), s.OpenID, s.SessionKey)
}

func TestSign(t *testing.T) {
	t.Parallel()
	for key, want := range map[provider.Secret]string{
		"o0q0otL8aEzpcZL/FT9WsQ==": "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128",
		"tiihtNczf5v6AKRyjwEUhQ==": "7154f9f8b4b76b92f541cbf0e37d48840fa06e5e42da92a6f80168a1516a4735",
	} {
		assert.Equal(t, want, sign(key))
	}
}

func TestCheckSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	s, err := f.wechat.Exchange(t.Context(), f.code())
	require.NoError(t, err)
	require.NoError(t, f.wechat.CheckSession(t.Context(), s.OpenID, s.SessionKey))

	require.NoError(t, f.exchange(t, 1))
	err = f.wechat.CheckSession(t.Context(), s.OpenID, s.SessionKey)
	assert.Equal(t, 87009, f.fails(t, provider.KindInvalidSession, err).Code)
	err = f.wechat.CheckSession(t.Context(), "nobody", s.SessionKey)
	assert.Equal(t, 87007, f.fails(t, provider.KindInvalidSession, err).Code)
	assert.Equal(t, 1, f.fake.Calls(fakewechat.PathStableToken))
}

func TestCheckSessionWithoutKeyOrUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.fails(t, provider.KindInvalidSession, f.wechat.CheckSession(t.Context(), testOpenID, ""))
	f.fails(t, provider.KindInvalidSession, f.wechat.CheckSession(t.Context(), "", "o0q0otL8aEzpcZL/FT9WsQ=="))
	assert.Zero(t, f.fake.Calls(fakewechat.PathStableToken))
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []int{40001, 40014, 42001} {
		f := newFixture(t, nil)
		f.fake.Inject(fakewechat.PathCheckSession, fakewechat.Errcode(code), 1)
		require.NoError(t, f.signInAndCheck(t))
		assert.Equal(t, 2, f.fake.Calls(fakewechat.PathStableToken))
		assert.Equal(t, 2, f.fake.Calls(fakewechat.PathCheckSession))

		f = newFixture(t, nil)
		f.fake.Inject(fakewechat.PathCheckSession, fakewechat.Errcode(code), -1)
		assert.Equal(t, code, f.fails(t, provider.KindUnavailable, f.signInAndCheck(t)).Code)
		assert.Equal(t, 2, f.fake.Calls(fakewechat.PathCheckSession))
	}
}

func TestTokenThatWeChatForgot(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	require.NoError(t, f.signInAndCheck(t))
	f.fake.ExpireTokens()
	require.NoError(t, f.signInAndCheck(t))
}

func TestCheckSessionFailures(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fakewechat.Fault{
		"busy":        fakewechat.Errcode(-1),
		"500":         fakewechat.Status(500),
		"html":        fakewechat.HTML(),
		"truncated":   fakewechat.Truncated(),
		"wrong types": fakewechat.WrongTypes(),
		"oversized":   fakewechat.Oversized(),
		"reset":       fakewechat.Reset(),
		"empty":       fakewechat.Empty(),
		"no errcode":  fakewechat.Body(http.StatusOK, "", `{}`),
		"null":        fakewechat.Body(http.StatusOK, "", `null`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			f.fake.Inject(fakewechat.PathCheckSession, fault, 1)
			e := f.fails(t, provider.KindUnavailable, f.signInAndCheck(t))
			assert.Equal(t, opCheckSession, e.Op)
		})
	}
	f := newFixture(t, nil)
	f.fake.Inject(fakewechat.PathStableToken, fakewechat.Errcode(40164), 1)
	e := f.fails(t, provider.KindMisconfigured, f.signInAndCheck(t))
	assert.Equal(t, opStableToken, e.Op, "the error is that of the token")
}

func TestCheckSessionHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.fake.Inject(fakewechat.PathStableToken, fakewechat.Slow(3*time.Second), 1)
		f.fake.Inject(fakewechat.PathCheckSession, fakewechat.Hang(), 1)
		start := time.Now()
		f.fails(t, provider.KindUnavailable, f.signInAndCheck(t))
		assert.Equal(t, 5*time.Second, time.Since(start), "the limit is for all of it")
	})
}

func TestSameCheckAtTheSameTimeIsOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		s, err := f.wechat.Exchange(t.Context(), f.code())
		require.NoError(t, err)
		f.fake.Inject(fakewechat.PathCheckSession, fakewechat.Slow(time.Second), -1)
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() { assert.NoError(t, f.wechat.CheckSession(t.Context(), s.OpenID, s.SessionKey)) })
		}
		group.Wait()
		assert.Equal(t, 1, f.fake.Calls(fakewechat.PathCheckSession))
	})
}
