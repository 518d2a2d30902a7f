package controllers

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxBuckets bounds what is kept of each kind, at about 250 bytes each. Past it the one that was used least recently is
// forgotten, and begins anew.
const maxBuckets = 1 << 15

// buckets are token buckets by key.
type buckets struct {
	limit rate.Limit
	burst int
	now   func() time.Time
	known *lru.Cache[string, *rate.Limiter]
}

func newBuckets(perMinute int, now func() time.Time) *buckets {
	perSecond := rate.Limit(float64(perMinute) / time.Minute.Seconds())
	return &buckets{perSecond, perMinute, now, newLRU[*rate.Limiter](maxBuckets)}
}

// newLRU returns a cache of at most so many entries, which is more than none.
func newLRU[V any](most int) *lru.Cache[string, V] {
	c, err := lru.New[string, V](most)
	if err != nil {
		panic(err)
	}
	return c
}

func (b *buckets) of(key string) *rate.Limiter {
	if known, ok := b.known.Get(key); ok {
		return known
	}
	fresh := rate.NewLimiter(b.limit, b.burst)
	if first, known, _ := b.known.PeekOrAdd(key, fresh); known {
		return first
	}
	return fresh
}

// take takes a token, and returns 0, or else how long to wait for one.
func (b *buckets) take(key string) time.Duration {
	bucket, now := b.of(key), b.now()
	if bucket.AllowN(now, 1) {
		return 0
	}
	return max(b.untilNext(bucket, now), time.Millisecond)
}

// charge takes n tokens whether they are there or not, and returns how long it takes until there is one again: a minute
// at most, however many are missing, for the others behind an address are kept out too.
func (b *buckets) charge(key string, n int) time.Duration {
	bucket, now := b.of(key), b.now()
	if n = min(n, int(bucket.TokensAt(now))+b.burst-1); n > 0 {
		bucket.ReserveN(now, n)
	}
	return b.untilNext(bucket, now)
}

// left returns how many tokens there are.
func (b *buckets) left(key string) int {
	bucket, known := b.known.Peek(key)
	if !known {
		return b.burst
	}
	return int(bucket.TokensAt(b.now()))
}

func (b *buckets) untilNext(bucket *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - bucket.TokensAt(now)
	return time.Duration(missing / float64(b.limit) * float64(time.Second))
}

// blocks are keys that have to wait.
type blocks struct {
	now   func() time.Time
	until *lru.Cache[string, time.Time]
}

func newBlocks(now func() time.Time) *blocks { return &blocks{now, newLRU[time.Time](maxBuckets)} }

func (b *blocks) add(key string, wait time.Duration) { b.until.Add(key, b.now().Add(wait)) }

func (b *blocks) left(key string) time.Duration {
	until, _ := b.until.Get(key)
	return until.Sub(b.now())
}

// shares watches how many of an application's sign-ins fail.
type shares struct {
	now   func() time.Time
	mu    sync.Mutex
	known *lru.Cache[string, *share]
}

// share counts the sign-ins of the window that runs and of the one before.
type share struct {
	began            time.Time
	all, bad         int
	lastAll, lastBad int
}

const (
	shareWindow = 30 * time.Second
	shareLeast  = 100 // sign-ins, below which a share says nothing
	maxShares   = 1024
)

func newShares(now func() time.Time) *shares {
	return &shares{now: now, known: newLRU[*share](maxShares)}
}

// count counts a sign-in, and returns the share that failed lately, in per cent.
func (s *shares) count(key string, bad bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	w, ok := s.known.Get(key)
	if !ok {
		w = &share{began: now}
		s.known.Add(key, w)
	}
	if age := now.Sub(w.began); age >= shareWindow {
		old := *w
		*w = share{began: now}
		if age < 2*shareWindow {
			w.lastAll, w.lastBad = old.all, old.bad
		}
	}
	w.all++
	if bad {
		w.bad++
	}
	if all := w.all + w.lastAll; all >= shareLeast {
		return 100 * (w.bad + w.lastBad) / all
	}
	return 0
}
