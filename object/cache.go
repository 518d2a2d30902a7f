package object

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// cachePatience bounds a read that several may wait for.
const cachePatience = 10 * time.Second

// maxCached bounds the values of a cache. Past it the one that was used least recently is read anew.
const maxCached = 4096

// cache keeps values by their names, and reads each once for all who ask for it at the same time.
type cache struct {
	now    func() time.Time
	life   time.Duration // of a value
	flight singleflight.Group
	known  *lru.Cache[string, cached]
	age    atomic.Int64 // how often all was forgotten
}

type cached struct {
	value any
	until time.Time
	age   int64 // of the cache when it was asked for
}

func newCache(now func() time.Time, life time.Duration) *cache {
	return &cache{now: now, life: life, known: newLRU[string, cached](maxCached)}
}

// newLRU returns a cache of at most so many entries, which is more than none.
func newLRU[K comparable, V any](most int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](most)
	if err != nil {
		panic(err)
	}
	return c
}

// load returns the value of name, read at most the cache's life ago. Only what exists is kept: strangers choose the
// names. A name that PostgreSQL cannot hold names nothing, and is not asked for: the answer would be an error, not
// ErrNotFound.
func load[T any](
	ctx context.Context, c *cache, name string, read func(context.Context) (T, error),
) (value T, err error) {
	if !storable(name) {
		return value, ErrNotFound
	}
	if value, ok := recent[T](c, name); ok {
		return value, nil
	}
	age := c.age.Load()
	flight := strconv.FormatInt(age, 10) + "/" + name // what was being read when all was forgotten is old
	return together(ctx, &c.flight, flight, cachePatience, func(ctx context.Context) (T, error) {
		if value, ok := recent[T](c, name); ok { // since this caller looked
			return value, nil
		}
		value, err := read(ctx)
		if err != nil {
			c.known.Remove(name)
			return value, err
		}
		c.known.Add(name, cached{value, c.now().Add(c.life), age})
		c.tidy()
		return value, nil
	})
}

// recent returns the value of name, and whether it may still be used.
func recent[T any](c *cache, name string) (value T, ok bool) {
	known, ok := c.known.Get(name)
	if !ok || known.age != c.age.Load() || !c.now().Before(known.until) {
		return value, false
	}
	return known.value.(T), true
}

// tidy removes values of which the life is over, from the one on that was used least recently: with thousands of
// applications, each used now and then, they would fill the memory, and be swept around without pause.
func (c *cache) tidy() {
	for now := c.now(); ; {
		name, oldest, ok := c.known.GetOldest()
		if !ok || now.Before(oldest.until) {
			return
		}
		c.known.Remove(name) // if somebody has just read it anew, the next one does so again
	}
}

// forget has everything read anew, so that a change made here counts at once.
func (c *cache) forget() {
	c.age.Add(1)
	c.known.Purge()
}

// together does something once for all who ask for it by one name at the same time. The first caller may leave; the
// others still wait for it, but for no longer than patience.
func together[T any](
	ctx context.Context, flight *singleflight.Group, name string, patience time.Duration,
	do func(context.Context) (T, error),
) (value T, err error) {
	answer := flight.DoChan(name, func() (_ any, err error) {
		defer recovered(&err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return do(ctx)
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return value, a.Err
		}
		return a.Val.(T), nil
	case <-ctx.Done():
		return value, ctx.Err()
	}
}
