package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// crowd is many sign-ins in flight, all the time, while WeChat takes its time: what they cost and whether all succeed.
type crowd struct {
	DB        string  `json:"db"`
	Instances int     `json:"instances"`
	Users     int     `json:"users"`
	Algorithm string  `json:"algorithm"`
	InFlight  int     `json:"inFlight"`
	SignIns   int     `json:"signIns"` // that succeeded
	Rate      float64 `json:"rate"`    // of them, a second
	Floor     float64 `json:"floor"`   // floor's rate under the same crowd, right before; 0: not measured
	Failures  int64   `json:"failures"`
	PeakMiB   float64 `json:"peakMiB"` // of the server, from its start
	P99       float64 `json:"p99"`     // milliseconds
}

// crowdTime is at least how long a crowd stays: each has signed in, and some again.
const crowdTime = 3 * time.Second

// measureCrowds sets a crowd upon a fresh server on each database. Its tokens are signed with the first algorithm: the
// default that has most to do.
func (b *bench) measureCrowds(ctx context.Context, r *report) error {
	if b.crowd == 0 {
		return nil
	}
	for _, s := range b.sites {
		b.say("measuring a crowd of %d on %s with %d users", b.crowd, s.kind, s.users)
		s.stop()
		err := s.start(ctx)
		if err != nil {
			return err
		}
		c := crowd{DB: s.kind, Instances: 1, Users: s.users, Algorithm: b.algorithms[0].label, InFlight: b.crowd}
		err = b.wechat.during(b.latency, func() error { return b.measureCrowd(ctx, target{s, 1}, &c) })
		if err != nil {
			return fmt.Errorf("a crowd on %s: %w", s.kind, err)
		}
		r.Crowds = append(r.Crowds, c)
		s.stop()
	}
	return nil
}

func (b *bench) measureCrowd(ctx context.Context, t target, c *crowd) error {
	op, a := operations()[0], b.algorithms[0]
	var failed atomic.Int64
	l := load{
		addresses: t.addresses(), workers: b.crowd, duration: max(b.duration, crowdTime), want: []byte(op.want),
		failed: &failed,
	}
	if b.duration < time.Second { // a smoke test
		l.duration = b.duration
	}
	var ours, floors []sample
	if f := b.floorBeside(t, op, a); f != nil {
		if err := b.runOnFloor(ctx, l, f, op.requests(t.site, a, nil), &floors); err != nil {
			return err
		}
		c.Floor = floors[0].Rate
		failed.Store(0) // which are floor's
	}
	if err := b.run(ctx, l, op.requests(t.site, a, nil), &ours); err != nil {
		return err
	}
	peak, err := t.servers[0].PeakRSS()
	c.SignIns, c.Rate, c.P99 = ours[0].Count, ours[0].Rate, milliseconds(ours[0].P99)
	c.Failures, c.PeakMiB = failed.Load(), mebibytes(peak)
	return err
}
