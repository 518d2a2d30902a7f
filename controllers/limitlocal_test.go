package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
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

// What a client has used up comes back as time passes.
func TestLimitsRefillByTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimits(LimitsConfig{PerIP: 1})
		require.NoError(t, l.request(t.Context(), "192.0.2.1"))
		require.Error(t, l.request(t.Context(), "192.0.2.1"))
		time.Sleep(time.Minute)
		require.NoError(t, l.request(t.Context(), "192.0.2.1"))
	})
}

// Whoever comes from very many addresses does not have the limit forgotten of one that goes on.
func TestLimitOfWhoGoesOnIsNotForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := newBuckets(1, func() time.Time { return now })
	require.Zero(t, b.take("busy"))
	for n := range 2 * maxBuckets {
		b.take(strconv.Itoa(n))
		if n%1000 == 0 {
			require.Positive(t, b.take("busy"))
		}
	}
}

// An address whose codes are refused has no more of them in flight than it may send. One that uses up less than half of
// its budget is let through, however many it sends at a time.
func TestCodesInFlightOfABadAddress(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := NewLimits(LimitsConfig{FailedPerIP: 10, Now: func() time.Time { return now }})
	send := func(address string) (*pass, error) { return l.signIn(t.Context(), address) }
	refused := func(p *pass) {
		p.end(t.Context(), "app", &provider.Error{Kind: provider.KindInvalidCode, Code: 40029})
	}
	var sent []*pass
	for range 100 {
		p, err := send("192.0.2.1")
		require.NoError(t, err)
		sent = append(sent, p)
	}
	for _, p := range sent[:5] {
		refused(p)
	}
	for range 100 {
		_, err := send("192.0.2.1")
		require.NoError(t, err, "half of its budget is left")
	}
	refused(sent[5])
	sent = nil
	for range 4 {
		p, err := send("192.0.2.1")
		require.NoError(t, err)
		sent = append(sent, p)
	}
	_, err := send("192.0.2.1")
	assert.Equal(t, http.StatusTooManyRequests, apiError(err).Status)
	for range 100 {
		_, err := send("192.0.2.2")
		require.NoError(t, err, "another address")
	}
	require.NoError(t, sent[0].exchanged(t.Context(), "wx", "oGood"))
	again, err := send("192.0.2.1")
	require.NoError(t, err, "in the place of a good code")
	refused(again)
	_, err = send("192.0.2.1")
	assert.Equal(t, http.StatusTooManyRequests, apiError(err).Status, "three are in flight, and three may be")
	sent[0].end(t.Context(), "app", nil)
	now = now.Add(time.Minute)
	for range 100 {
		_, err := send("192.0.2.1")
		require.NoError(t, err, "it has behaved for a minute")
	}
}

// Only codes that the platform has refused use up the budget: an address is not blocked for a platform that fails, or
// for a secret that is wrong.
func TestWhatUsesUpTheBudget(t *testing.T) {
	t.Parallel()
	const address, budget = "192.0.2.1", 10
	for name, c := range map[string]struct {
		err error
		bad bool
	}{
		"good":               {nil, false},
		"code":               {&provider.Error{Kind: provider.KindInvalidCode, Code: 40029}, true},
		"phone code":         {&provider.Error{Kind: provider.KindInvalidPhoneCode, Code: 40029}, true},
		"nobody asked":       {&provider.Error{Kind: provider.KindInvalidCode}, false},
		"quota":              {&provider.Error{Kind: provider.KindThrottled, Code: 45011}, false},
		"wrong AppSecret":    {&provider.Error{Kind: provider.KindMisconfigured, Code: 40125}, false},
		"platform fails":     {&provider.Error{Kind: provider.KindUnavailable, Code: -1}, false},
		"not sent":           {upstreamError(&provider.Error{Kind: provider.KindUnavailable, Unsent: true}), false},
		"code, as an answer": {upstreamError(&provider.Error{Kind: provider.KindInvalidCode, Code: 40029}), true},
		"client leaves":      {context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLimits(LimitsConfig{FailedPerIP: budget})
			err := l.spend(t.Context(), address, "app", func() error { return c.err })
			assert.Equal(t, c.err, err)
			assert.Equal(t, c.bad, l.failed.local.left(address) < budget)
		})
	}
}

// A password that is wrong uses up the budget too, and a server that is busy does not.
func TestWhichPasswordsUseUpTheBudget(t *testing.T) {
	t.Parallel()
	const address, budget = "192.0.2.1", 10
	for name, c := range map[string]struct {
		err       error
		all, used int
	}{
		"right":         {nil, 1, 0},
		"wrong":         {&object.Refusal{Code: object.AccessDenied}, 1, 1},
		"busy":          {&object.Refusal{Code: object.Unavailable}, 0, 0},
		"server fails":  {errors.New("disk"), 0, 0},
		"client leaves": {context.Canceled, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Deps{Limits: NewLimits(LimitsConfig{FailedPerIP: budget})}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/login", nil)
			r.RemoteAddr = address + ":1234"
			assert.Equal(t, c.err, d.guess(r, func() error { return c.err }))
			assert.Equal(t, budget-c.used, d.Limits.failed.local.left(address))
			known, counted := d.Limits.failed.shares.known.Get(passwords)
			assert.Equal(t, c.all > 0, counted)
			if counted {
				assert.Equal(t, share{began: known.began, all: c.all, bad: c.used}, *known)
			}
		})
	}
}

// However a sign-in ends, or is turned away, it gives the places that it has taken free, once.
func TestSignInsGiveTheirPlacesBack(t *testing.T) {
	t.Parallel()
	const address, most = "192.0.2.1", 10
	for name, c := range map[string]struct {
		before func(l *Limits) // makes them turn the sign-in away
		end    func(p *pass)
	}{
		"too many failed":          {before: func(l *Limits) { l.failed.blocked.add(address, time.Minute) }},
		"too many of its address":  {before: func(l *Limits) { l.failed.sent.inside = map[string]int{address: most} }},
		"too many wait":            {before: func(l *Limits) { l.working.add(most) }},
		"too many at the platform": {before: func(l *Limits) { l.signIns.add(most) }},
		"good": {end: func(p *pass) {
			require.NoError(t, p.exchanged(t.Context(), "wx", "oGood"))
			p.end(t.Context(), "app", nil)
		}},
		"bad code": {end: func(p *pass) {
			p.end(t.Context(), "app", &provider.Error{Kind: provider.KindInvalidCode, Code: 40029})
		}},
		"client leaves": {end: func(p *pass) { p.end(t.Context(), "app", context.Canceled) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLimits(LimitsConfig{FailedPerIP: 10, MaxSignIns: most, MaxWaiting: most})
			l.failed.local.charge(address, 7) // so that those of its address are counted
			if c.before != nil {
				c.before(l)
			}
			places := func() []any {
				return []any{l.signIns.count(), l.working.count(), maps.Clone(l.failed.sent.inside)}
			}
			l.failed.sent.enter(address, math.MaxInt) // another one
			free := places()
			p, err := l.signIn(t.Context(), address)
			if c.end == nil {
				assert.Error(t, err)
			} else {
				require.NoError(t, err)
				assert.NotEqual(t, free, places())
				c.end(p)
			}
			assert.Equal(t, free, places())
		})
	}
}

// So does an upload: whoever was turned away while all places were taken has as many as before.
func TestUploadsGiveTheirPlacesBack(t *testing.T) {
	t.Parallel()
	l := NewLimits(LimitsConfig{MaxUploads: 1})
	leave, err := l.upload(t.Context(), "first")
	require.NoError(t, err)
	for range maxUploadsPerUser + 1 {
		_, err := l.upload(t.Context(), "second")
		assert.Equal(t, http.StatusServiceUnavailable, apiError(err).Status)
	}
	leave()
	leave, err = l.upload(t.Context(), "second")
	require.NoError(t, err)
	leave()
	assert.Zero(t, l.uploads.count())
	assert.Empty(t, l.uploaders.inside)
}

// A user has a few uploads at a time, and a back end as many as there is room for.
func TestUploadsAtOnceOfEach(t *testing.T) {
	t.Parallel()
	const all = 3 * maxUploadsPerUser
	for name, c := range map[string]struct {
		user           string
		room, admitted int
	}{
		"user": {"alice", all, maxUploadsPerUser}, "back end": {"", all, all}, "no limit": {"alice", 0, all},
	} {
		l, admitted := NewLimits(LimitsConfig{MaxUploads: c.room}), 0
		for range all {
			if _, err := l.upload(t.Context(), c.user); err == nil {
				admitted++
			}
		}
		assert.Equal(t, c.admitted, admitted, name)
	}
}

// An upload that has ended leaves no file behind, open or on disk: the server would run out of either.
func TestUploadsLeaveNoFile(t *testing.T) {
	t.Parallel()
	left := 0
	u := &upload{form: &formBody{left: maxFormRest}, leave: func() { left++ }}
	require.NoError(t, u.takeFile(strings.NewReader("picture")))
	if runtime.GOOS != "windows" { // where an open one cannot be removed
		assert.NoFileExists(t, u.file.Name(), "a crash leaves none either")
		require.NoError(t, os.WriteFile(u.file.Name(), nil, 0o600))
	}
	u.close()
	assert.ErrorIs(t, u.file.Close(), os.ErrClosed)
	assert.NoFileExists(t, u.file.Name())
	assert.Equal(t, 1, left)
}

// Who would wait too long behind all who are under way is turned away at once, with a platform that answers soon or
// late.
func TestTooManyForTheirPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testTooManyForTheirPace)
}

func testTooManyForTheirPace(t *testing.T) {
	l := NewLimits(LimitsConfig{MaxSignIns: 1000, MaxWaiting: 1000})
	signIn := func() (*pass, error) { return l.signIn(t.Context(), "192.0.2.1") }
	for range 300 { // nobody knows yet how long one takes
		_, err := signIn()
		require.NoError(t, err)
	}
	l.signIns.add(-300)
	began := time.Now()
	l.working.add(300 + 2000)
	for range 2000 { // all have waited; one is done every 50 ms
		time.Sleep(50 * time.Millisecond)
		l.leave(began)
	}
	l.working.add(-300)
	admitted := 0
	for ; admitted < 1000; admitted++ {
		if _, err := signIn(); err != nil {
			e := apiError(err)
			assert.Equal(t, http.StatusServiceUnavailable, e.Status)
			assert.Positive(t, e.RetryAfter)
			assert.True(t, e.Told, "a line in the log for each would make the storm worse")
			break
		}
	}
	assert.InDelta(t, 200, admitted, 5) // in 10 s
	work := func() error {
		_, err := worked(t.Context(), l, func() (struct{}, error) { return struct{}{}, nil })
		return err
	}
	require.NoError(t, work(), "it does not wait for those who are at the platform")
	assert.Zero(t, l.working.count(), "it is done")
	l.working.add(201)
	assert.Error(t, work())
	l.working.max = 0
	assert.NoError(t, work(), "there is no limit")
}

// Those who are turned away together do not come again together.
func TestBusyRetrySpreads(t *testing.T) {
	t.Parallel()
	waits := map[time.Duration]bool{}
	for range 1000 {
		wait := busyRetry()
		assert.LessOrEqual(t, time.Second, wait)
		assert.Less(t, wait, 5*time.Second)
		waits[wait.Truncate(time.Second)] = true
	}
	assert.Len(t, waits, 4)
}

// What one takes who is alone, or the first of many, does not tell how many could be served, and a stall tells little.
func TestPaceOfTheIdle(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Now()
	done := func(gap, took time.Duration, others int64) {
		now = now.Add(gap)
		p.done(now.Add(-took), now, others)
	}
	for range 300 {
		done(time.Second, 2*time.Second, few-1)
	}
	done(time.Second, time.Second, few) // the first of a crowd
	assert.Zero(t, p.wait(1000))
	for range 2000 {
		done(time.Millisecond, time.Second, few)
	}
	assert.InDelta(t, time.Second, p.wait(1000), float64(10*time.Millisecond))
	done(5*time.Second, 6*time.Second, few)
	assert.Less(t, p.wait(1000), 2*time.Second, "after a stall")
	done(time.Second, time.Second, 0)
	assert.NotZero(t, p.wait(1000), "what is known stays")
}

// toldCounts are the counts that lines of a log about client addresses tell.
type toldCounts chan int

// Write implements io.Writer.
func (c toldCounts) Write(line []byte) (int, error) {
	var told struct {
		Reason string
		Count  int
	}
	err := json.Unmarshal(line, &told)
	if told.Reason == overIP {
		c <- told.Count
	}
	return len(line), err
}

// Of a storm the log tells the first at once, and all: its counts add up, also when nobody comes any more.
func TestRefusalsAddUpInTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := make(toldCounts, 10)
		r := newRefusals(nil, NewLogger(told, slog.LevelInfo, "json"))
		var all []int
		counts := func() []int {
			synctest.Wait()
			for len(told) > 0 {
				all = append(all, <-told)
			}
			return all
		}
		r.add(t.Context(), overIP)
		assert.Equal(t, []int{1}, counts())
		for range 5 {
			r.add(t.Context(), overIP)
			r.add(t.Context(), overFailed)
		}
		assert.Equal(t, []int{1}, counts())
		time.Sleep(refusalPause + time.Second)
		assert.Equal(t, []int{1, 5}, counts(), "the end of the storm")
		r.add(t.Context(), overIP)
		time.Sleep(10 * refusalPause)
		assert.Equal(t, []int{1, 5, 1}, counts())
		r.add(t.Context(), overIP)
		assert.Equal(t, []int{1, 5, 1, 1}, counts(), "another storm is told at once, too")
		time.Sleep(refusalPause) // the timer ends
	})
}

// What failed in this half minute and the one before tells whether most of an application's sign-ins fail, and nothing
// older.
func TestSharesForget(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newShares(func() time.Time { return now })
	count := func(n int, bad bool) (share int) {
		for range n {
			share = s.count("app", bad)
		}
		return share
	}
	assert.Zero(t, count(shareLeast-1, true), "few say nothing")
	assert.Equal(t, 100, count(1, true))
	assert.Equal(t, 50, count(shareLeast, false))
	assert.Zero(t, s.count("another", true))
	now = now.Add(shareWindow)
	assert.Equal(t, 40, count(50, false), "the last half minute's count")
	now = now.Add(shareWindow)
	assert.Equal(t, 50, count(50, true))
	now = now.Add(2 * shareWindow)
	assert.Zero(t, count(shareLeast-1, true), "few again")
}

// A Redis that does not answer is asked by one request a second, since each that asks it may wait.
func TestDeadRedisIsAskedSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &sharedLimits{began: time.Now(), log: slog.New(slog.NewTextHandler(&log, nil))}
		assert.True(t, s.mayAsk())
		for range 3 {
			s.note(t.Context(), errors.New("no answer"))
		}
		assert.Equal(t, 1, strings.Count(log.String(), "Redis does not answer"))
		assert.False(t, s.mayAsk())
		for range 2 { // though who asked first has said nothing yet
			time.Sleep(redisPause)
			assert.True(t, s.mayAsk())
			assert.False(t, s.mayAsk())
		}
		s.note(t.Context(), nil)
		assert.True(t, s.mayAsk())
		assert.True(t, s.mayAsk())
	})
}

// A client that leaves while Redis is asked says nothing of Redis.
func TestLeavingClientsTakeNoRedisDown(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = client.Close() })
	s := newSharedLimits(LimitsConfig{Redis: client, RedisPatience: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	assert.Zero(t, s.take(ctx, "x", 1, 1))
	assert.Zero(t, s.take(t.Context(), "x", 1, 1))
	assert.Positive(t, s.take(t.Context(), "x", 1, 1), "it is asked")
	s.note(t.Context(), errors.New("no answer"))
	assert.Zero(t, s.take(t.Context(), "x", 1, 1), "one that is dead is not")
}
