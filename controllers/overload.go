package controllers

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// gate counts who is inside, and turns away those who come when max are. Nobody waits. A max of 0 is none.
type gate struct {
	max    int64
	inside atomic.Int64
}

// enter reports whether there was room. Who got in must leave by add(-1).
func (g *gate) enter() bool {
	if g.inside.Add(1) > g.max && g.max > 0 {
		g.inside.Add(-1)
		return false
	}
	return true
}

// add counts who comes in whether there is room or not, or leaves.
func (g *gate) add(n int64) { g.inside.Add(n) }

func (g *gate) count() int64 { return g.inside.Load() }

// pace knows how long it takes from one request that is done to the next, while many wait: what waits takes so many times
// as long.
type pace struct {
	mu   sync.Mutex
	last time.Time     // when the last one was done
	mean time.Duration // of the latest hundred or so; 0: not known yet
}

// A stall, of a disk perhaps, is no pace: it counts as maxGap at most, and as one of several.
const (
	maxGap  = 100 * time.Millisecond
	several = 128
)

// done counts a request that has begun then, and ends now, when so many others are under way. While they are few, or where
// it has not waited for the last one, nothing tells how many more there could be.
func (p *pace) done(began, now time.Time, others int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if others >= few && began.Before(p.last) {
		p.mean += (min(now.Sub(p.last), maxGap) - p.mean) / several
	}
	p.last = now
}

// wait returns how long it takes until so many are done.
func (p *pace) wait(waiting int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(waiting) * p.mean
}

// busyRetry spreads those who were turned away together over some seconds.
func busyRetry() time.Duration { return time.Second + rand.N(4*time.Second) }

// refusals tells of requests that were turned away: each in the metrics, and in the log no more than a line for each
// reason in refusalPause. A line for each would make a storm worse.
type refusals struct {
	metrics *Metrics
	log     *slog.Logger
	now     func() time.Time
	mu      sync.Mutex
	untold  map[string]int
	toldAt  map[string]time.Time
}

const refusalPause = 10 * time.Second

func newRefusals(m *Metrics, log *slog.Logger, now func() time.Time) *refusals {
	return &refusals{metrics: m, log: log, now: now, untold: map[string]int{}, toldAt: map[string]time.Time{}}
}

func (r *refusals) add(ctx context.Context, reason string) {
	r.metrics.limited(reason)
	r.mu.Lock()
	r.untold[reason]++
	count, now := r.untold[reason], r.now()
	tell := now.Sub(r.toldAt[reason]) >= refusalPause
	if tell {
		r.untold[reason], r.toldAt[reason] = 0, now
	}
	r.mu.Unlock()
	if tell {
		r.log.WarnContext(ctx, "requests are turned away", "reason", reason, "count", count)
	}
}
