package picture

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/semaphore"
)

// gate bounds the memory of the pictures that are worked on at once. What a finished one leaves behind counts until it
// is collected: by itself the collector lets garbage grow as large as what is alive.
type gate struct {
	size    int64
	sem     *semaphore.Weighted
	mu      sync.Mutex
	spent   int64 // bytes of finished pictures that still count
	large   bool  // one of them was large
	waiting int   // callers in enter
}

func newGate(size int64) *gate { return &gate{size: size, sem: semaphore.NewWeighted(size)} }

// enter waits until there are n bytes, at most size, or ctx ends.
func (g *gate) enter(ctx context.Context, n int64) error {
	if g.sem.TryAcquire(n) {
		return nil
	}
	g.wait(1)
	defer g.wait(-1)
	return g.sem.Acquire(ctx, n)
}

// wait notes that a caller begins (1) or ceases (-1) to wait. While one waits nothing stays uncollected.
func (g *gate) wait(change int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting += change
	if g.waiting > 0 {
		g.collect()
	}
}

// leave ends what enter began.
func (g *gate) leave(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spent += n
	g.large = g.large || n > g.size/3
	if g.waiting > 0 || g.spent > g.size/2 {
		g.collect()
	}
}

func (g *gate) collect() {
	if g.spent == 0 {
		return
	}
	if g.large {
		debug.FreeOSMemory() // the hole that it leaves may fit nobody else
	} else {
		runtime.GC()
	}
	g.sem.Release(g.spent)
	g.spent, g.large = 0, false
}
