package controllers

import (
	"context"
	"errors"
	"time"

	"github.com/minidoor/minidoor/provider"
)

// strictWeight is what a failed sign-in counts while most of its application's fail.
const strictWeight = 10

// failures is the budget of codes that the platform refuses. A client address that has used it up is turned away before
// the platform is asked. Those in flight at that moment still fail: they are counted, and lengthen the wait, to a
// minute at most. So that they are not many again when it is over, no more codes are in flight than the budget has left
// once half of it is used up: the good ones of a campus, which use up next to nothing, go as they come.
type failures struct {
	*limit
	share   int // per cent; 0: none
	blocked *blocks
	shares  *shares
	sent    tally // codes at the platform, of addresses that have used up half of it
}

func newFailures(cfg LimitsConfig, shared *sharedLimits) *failures {
	l := newLimit(overFailed, cfg.FailedPerIP, cfg.Now, shared)
	if l == nil {
		return nil
	}
	return &failures{limit: l, share: cfg.FailedShare, blocked: newBlocks(cfg.Now), shares: newShares(cfg.Now)}
}

// send lets a code of a client address go to the platform, or returns how long it has to wait. back must be called when
// what came of the code has been judged.
func (f *failures) send(network string) (back func(), wait time.Duration) {
	back = func() {}
	if f == nil {
		return back, 0
	}
	if wait = f.blocked.left(network); wait > 0 {
		return back, wait
	}
	left := f.local.left(network)
	if left >= f.local.burst/2 {
		return back, 0
	}
	if !f.sent.enter(network, max(left, 1)) {
		return back, time.Second
	}
	return func() { f.sent.leave(network) }, 0
}

// judge counts what came of a code, also when its client has left.
func (f *failures) judge(ctx context.Context, network, clientID string, err error) {
	upstream, _ := errors.AsType[*provider.Error](err)
	bad := upstream != nil && upstream.Code != 0 && // else nobody was asked
		(upstream.Kind == provider.KindInvalidCode || upstream.Kind == provider.KindInvalidPhoneCode)
	if bad || err == nil {
		f.count(context.WithoutCancel(ctx), network, clientID, bad)
	}
}

// count counts a code that the platform has judged.
func (f *failures) count(ctx context.Context, network, clientID string, bad bool) {
	if f == nil {
		return
	}
	strict := f.shares.count(clientID, bad) > f.share && f.share > 0
	if !bad || network == "" {
		return
	}
	weight := 1
	if strict {
		weight = min(strictWeight, f.local.burst)
	}
	wait := max(f.local.charge(network, weight), f.shared.take(ctx, f.name+":"+network, f.local.burst, weight))
	if wait > 0 {
		f.blocked.add(network, wait)
	}
}

// spend has do send a code to the platform for an application's user who is signed in, unless the client address has
// used up its budget.
func (l *Limits) spend(ctx context.Context, network, clientID string, do func() error) error {
	return l.attempt(ctx, network, do, func(err error) { l.failed.judge(ctx, network, clientID, err) })
}

// attempt has do try what may fail, unless the client address has used up its budget, and judge count what came of it.
func (l *Limits) attempt(ctx context.Context, network string, do func() error, judge func(err error)) error {
	back, wait := l.failed.send(network)
	defer back()
	if err := l.judge(ctx, overFailed, wait); err != nil {
		return err
	}
	err := do()
	judge(err)
	return err
}
