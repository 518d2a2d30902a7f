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

// tally counts who is inside by a key, and turns away those of a key of which too many are. The zero tally is empty.
type tally struct {
	mu     sync.Mutex
	inside map[string]int
}

// enter reports whether there was room for one more of a key. Who got in must leave.
func (t *tally) enter(key string, most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside[key] >= most {
		return false
	}
	if t.inside == nil {
		t.inside = map[string]int{}
	}
	t.inside[key]++
	return true
}

func (t *tally) leave(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside[key]--; t.inside[key] == 0 {
		delete(t.inside, key)
	}
}

// pace knows how long it takes from one request that is done to the next, while many wait: what waits takes so many
// times as long.
type pace struct {
	mu   sync.Mutex
	last time.Time     // when the last one was done
	mean time.Duration // of the latest hundred or so; 0: not known yet
}

// A stall, of a disk perhaps, is no pace: it counts as maxGap at most, and as one of several. Few tell of no pace, and
// are never behind: so many times maxGap is less than tooLong.
const (
	maxGap  = 100 * time.Millisecond
	several = 128
	few     = 64
)

// done counts a request that has begun then, and ends now, when so many others are under way. While they are few, or
// where it has not waited for the last one, nothing tells how many more there could be.
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
// reason in refusalPause. A line for each would make a storm worse. The first one is told at once, and those that
// follow when a pause is over: so the counts of the lines add up to all.
type refusals struct {
	metrics *Metrics
	log     *slog.Logger
	mu      sync.Mutex
	untold  map[string]int
	pausing map[string]bool // there was a line, and will be one for what is untold
}

const refusalPause = 10 * time.Second

func newRefusals(m *Metrics, log *slog.Logger) *refusals {
	return &refusals{metrics: m, log: log, untold: map[string]int{}, pausing: map[string]bool{}}
}

func (r *refusals) add(ctx context.Context, reason string) {
	r.metrics.limited(reason)
	r.mu.Lock()
	r.untold[reason]++
	first := !r.pausing[reason]
	r.pausing[reason] = true
	r.mu.Unlock()
	if first {
		r.tell(ctx, reason)
	}
}

// tell tells of what is untold, if anything is, and again after each pause until nothing is.
func (r *refusals) tell(ctx context.Context, reason string) {
	r.mu.Lock()
	count := r.untold[reason]
	r.untold[reason], r.pausing[reason] = 0, count > 0
	r.mu.Unlock()
	if count == 0 {
		return
	}
	r.log.WarnContext(ctx, "requests are turned away", "reason", reason, "count", count)
	time.AfterFunc(refusalPause, func() { r.tell(context.Background(), reason) }) // of many requests, and none's
}
