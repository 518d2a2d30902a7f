package object

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"
)

// checkpointer copies SQLite's write-ahead log into the database file beside the commits. SQLite itself would do so
// within a commit, and everybody who signs in would wait for it.
type checkpointer struct {
	reads, writes *sql.DB // writes has one connection: who holds it is alone
	log           *slog.Logger
	wake          chan struct{} // holds one
	stop          context.CancelFunc
	running       sync.WaitGroup
	pages         int  // that are copied at a time
	failed        bool // the last one
}

// Lengths of the log, in pages. Every read looks through it.
const (
	mostPages    = 2000 // that wait to be copied: with these a checkpoint begins
	fewestPages  = 100  // the same, where the disk takes long for them
	restartPages = 4000 // in all: with these the log is to start anew
)

// longCheckpoint is how long one may take: while it is synced, so is no commit.
const longCheckpoint = 4 * time.Millisecond

func newCheckpointer(reads, writes *sql.DB, log *slog.Logger) *checkpointer {
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpointer{reads: reads, writes: writes, log: log, wake: make(chan struct{}, 1), stop: stop, pages: mostPages}
	c.running.Go(func() { c.work(ctx) })
	return c
}

// committed tells that the log is longer. It does not wait.
func (c *checkpointer) committed() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// close returns when nothing runs any more. What is not copied then SQLite copies as the last connection closes.
func (c *checkpointer) close() {
	c.stop()
	c.running.Wait()
}

func (c *checkpointer) work(ctx context.Context) {
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		if !c.try(ctx) {
			sleep(ctx, checkpointPause)
		}
	}
}

// checkpointPause is how long one that failed rests.
const checkpointPause = time.Second

// try runs a checkpoint and reports whether it could. Of several in a row that cannot be, the first is logged.
func (c *checkpointer) try(ctx context.Context) bool {
	err := c.checkpoint(ctx)
	if err != nil && !c.failed && ctx.Err() == nil {
		c.log.Warn("SQLite's write-ahead log cannot be copied into the database, and grows", "cause", err)
	}
	c.failed = err != nil
	return !c.failed
}

// checkpoint copies what there is to copy while others commit. Only a log that is copied to its end starts anew: one
// that is long is therefore copied once more, what has come meanwhile, while nobody commits.
func (c *checkpointer) checkpoint(ctx context.Context) error {
	log, err := walCheckpoint(ctx, c.reads, "NOOP")
	if err != nil || log.pages-log.copied < c.pages {
		return err
	}
	began := time.Now()
	log, err = walCheckpoint(ctx, c.reads, "PASSIVE")
	c.adapt(time.Since(began))
	if err == nil && log.pages >= restartPages {
		_, err = walCheckpoint(ctx, c.writes, "PASSIVE")
	}
	return err
}

// adapt chooses how much to copy the next time: as much as the disk takes quickly. The more it is, the less often a
// page that changes again and again is copied; but 2,000 pages that lie here and there in a large database took 30 ms.
func (c *checkpointer) adapt(took time.Duration) {
	if took > longCheckpoint {
		c.pages = max(c.pages/2, fewestPages)
	} else {
		c.pages = min(c.pages+fewestPages/10, mostPages)
	}
}

// wal is the state of the write-ahead log.
type wal struct{ pages, copied int }

// walCheckpoint runs a checkpoint and returns what it left behind
// (https://sqlite.org/pragma.html#pragma_wal_checkpoint).
func walCheckpoint(ctx context.Context, db *sql.DB, mode string) (log wal, err error) {
	var busy bool // somebody else runs one
	err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log.pages, &log.copied)
	return log, err
}
