package controllers

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// However many failures come in while an address is blocked already, it is free again a minute after the last one.
func TestFailuresBlockForAMinuteAtMost(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 5, 300} {
		now := time.Now()
		b := newBuckets(perMinute, func() time.Time { return now })
		var wait time.Duration
		for range 2500 {
			wait = b.charge("address", min(strictWeight, perMinute))
		}
		assert.Positive(t, wait)
		assert.LessOrEqual(t, wait, time.Minute, perMinute)
		now = now.Add(wait)
		assert.Zero(t, b.take("address"), perMinute)
	}
}

// Who would wait too long behind all who are under way is turned away at once, with a platform that answers soon or late.
func TestTooManyForTheirPace(t *testing.T) {
	t.Parallel()
	l := NewLimits(LimitsConfig{MaxSignIns: 1000, MaxWaiting: 1000})
	signIn := func() (*pass, error) { return l.signIn(t.Context(), "192.0.2.1") }
	for range 300 { // nobody knows yet how long one takes
		_, err := signIn()
		require.NoError(t, err)
	}
	l.signIns.add(-300)
	now := time.Now()
	for range 300 {
		l.pace.done(now.Add(-time.Second), now) // all have waited; one is done every 50 ms
		now = now.Add(50 * time.Millisecond)
	}
	admitted := 0
	for ; admitted < 1000; admitted++ {
		if _, err := signIn(); err != nil {
			e := apiError(err)
			assert.Equal(t, http.StatusServiceUnavailable, e.Status)
			assert.Positive(t, e.RetryAfter)
			break
		}
	}
	assert.InDelta(t, 200, admitted, 5) // in 10 s
	_, err := l.work(t.Context())
	require.NoError(t, err, "it does not wait for those who are at the platform")
	l.working.add(200)
	_, err = l.work(t.Context())
	assert.Error(t, err)
}

// One that is alone sets the pace by what it takes itself, however long nobody came before.
func TestPaceOfTheIdle(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Now()
	for range 300 {
		now = now.Add(time.Hour)
		p.done(now.Add(-time.Millisecond), now)
	}
	assert.InDelta(t, time.Second, p.wait(1000), float64(10*time.Millisecond))
}
