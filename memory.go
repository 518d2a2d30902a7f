package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/minidoor/minidoor/conf"
)

// gcPercent lets the heap grow to eleven times what lives, a few MB, before it is swept. Who signs in meanwhile waits:
// at 400, with two sweeps a second, that were two in a hundred.
const gcPercent = 1000

// memoryTarget is the size, in bytes, from which on the heap is swept more often instead of growing: somewhat above
// what 2,000 sign-ins in flight hold, stacks and all, as it would be swept without pause at just that size.
const memoryTarget = 150 << 20

// Connections beyond those of that crowd, which clients keep, move the target by twice what lives of each.
const (
	crowdConnections = 2500
	perConnection    = 20 << 10
)

// syncingThreads is how many threads wait for SQLite's fsync, each in a processor's place: that of a commit, and the
// one that copies the log beside it. Sign-ins go on meanwhile.
const syncingThreads = 2

// tune sets what Go's runtime may take, where the environment does not say. open counts the connections of clients. end
// ends what goes on meanwhile.
func tune(ctx context.Context, cfg *conf.Config, env lookup, open *atomic.Int64) (end func()) {
	if _, set := env("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	if _, set := env("GOMAXPROCS"); !set && cfg.DriverName == "sqlite" && !cfg.Remote() {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + syncingThreads)
	}
	if _, set := env("GOMEMLIMIT"); set {
		return func() {}
	}
	debug.SetMemoryLimit(memoryTarget)
	return inBackground(ctx, func(ctx context.Context) { moveTarget(ctx, open) })
}

// moveTarget looks once a second where the memory target should be, until ctx ends.
func moveTarget(ctx context.Context, open *atomic.Int64) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
			debug.SetMemoryLimit(memoryTarget + perConnection*max(open.Load()-crowdConnections, 0))
		}
	}
}
