package idp

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

// exchange tries n new codes and returns the last error.
func (f *fixture) exchange(t *testing.T, n int) (err error) {
	t.Helper()
	for range n {
		_, err = f.wechat.Exchange(t.Context(), f.code())
	}
	return err
}

func TestBreakerOpensAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Status(500), 11)
		calls := func() int { return f.fake.Calls(fakewechat.PathCode2Session) }

		f.fails(t, provider.KindUnavailable, f.exchange(t, 10))
		assert.Equal(t, 10, calls())
		assert.Contains(t, f.logs.String(), `level=WARN msg="provider is down"`)

		time.Sleep(2 * time.Second)
		e := f.fails(t, provider.KindUnavailable, f.exchange(t, 5))
		assert.Equal(t, 3*time.Second, e.RetryAfter)
		assert.Equal(t, 10, calls(), "an open breaker sends nothing")

		time.Sleep(3 * time.Second)
		f.fails(t, provider.KindUnavailable, f.exchange(t, 5))
		assert.Equal(t, 11, calls(), "one call tries, fails, and opens it again")
		assert.NotContains(t, f.logs.String(), "provider is back")

		time.Sleep(5 * time.Second)
		require.NoError(t, f.exchange(t, 20))
		assert.Equal(t, 31, calls())
		assert.Contains(t, f.logs.String(), `level=INFO msg="provider is back"`)
		f.assertSilent(t, f.logs.String())
	})
}

// Who signs in while the machine is paused is refused then, but not those who come next.
func TestBreakerOfAPausedProcess(t *testing.T) {
	t.Parallel()
	for took, opens := range map[time.Duration]bool{
		5 * time.Second: true, 5500 * time.Millisecond: true, 40 * time.Second: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBreaker(slog.New(slog.DiscardHandler), func(time.Time) {})
			for range breakerFailures {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				outage := &provider.Error{Op: "op", Kind: provider.KindUnavailable, Err: context.DeadlineExceeded}
				assert.ErrorIs(t, b.run(ctx, "op", func() error {
					time.Sleep(took)
					return outage
				}), outage)
				cancel()
			}
			assert.Equal(t, opens, b.run(t.Context(), "op", func() error { return nil }) != nil, took)
		})
	}
}

func TestBreakerLetsOneCallTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Empty(), 10)
		f.fails(t, provider.KindUnavailable, f.exchange(t, 10))
		time.Sleep(5 * time.Second)

		f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Slow(time.Second), 1)
		ctx, leave := context.WithCancel(t.Context())
		go f.wechat.Exchange(ctx, f.code()) //nolint:errcheck // it leaves
		synctest.Wait()
		leave()
		e := f.fails(t, provider.KindUnavailable, f.exchange(t, 1))
		assert.Equal(t, time.Second, e.RetryAfter)
		time.Sleep(time.Second)
		synctest.Wait()
		require.NoError(t, f.exchange(t, 1), "the try of a caller who left counts too")
	})
}

func TestBreakerCountsOutagesOnly(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault fakewechat.Fault
		opens bool
	}{
		"busy":            {fakewechat.Errcode(-1), true},
		"reset":           {fakewechat.Reset(), true},
		"html":            {fakewechat.HTML(), true},
		"invalid code":    {fakewechat.Errcode(40029), false},
		"refused":         {fakewechat.Errcode(40226), false},
		"throttled":       {fakewechat.Errcode(45011), false},
		"misconfigured":   {fakewechat.Errcode(40125), false},
		"unknown errcode": {fakewechat.Errcode(99999), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			f.fake.Inject(fakewechat.PathCode2Session, c.fault, 9)
			require.Error(t, f.exchange(t, 9))
			require.NoError(t, f.exchange(t, 1), "9 are not 10")
			f.fake.Inject(fakewechat.PathCode2Session, c.fault, 10)
			require.Error(t, f.exchange(t, 10))
			assert.Equal(t, c.opens, f.exchange(t, 1) != nil)
		})
	}
}

func TestBreakerIgnoresCallersWhoLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Slow(time.Second), 20)
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := f.wechat.Exchange(ctx, f.code())
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		time.Sleep(2 * time.Second)
		require.NoError(t, f.exchange(t, 1))
	})
}

func TestBreakersAreApart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Empty(), 10)
	f.fails(t, provider.KindUnavailable, f.exchange(t, 11))
	other := newFixture(t, nil)
	require.NoError(t, other.exchange(t, 1))
}
