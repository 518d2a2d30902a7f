package object

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"
)

// checkpointer copies SQLite's write-ahead log into the database file beside the commits. SQLite itself would do so within
// a commit, and everybody who signs in would wait for it.
type checkpointer struct {
	reads, writes *sql.DB // writes has one connection: who holds it is alone
	log           *slog.Logger
	wake          chan struct{} // holds one
	stop          context.CancelFunc
	running       sync.WaitGroup
}

// Lengths of the log, in pages. Every read looks through it; the disk syncs a few pages without holding up a commit for long.
const (
	checkpointPages = 250  // that are not copied, and then are
	restartPages    = 4000 // in all, from where on it is to start anew
)

func newCheckpointer(reads, writes *sql.DB, log *slog.Logger) *checkpointer {
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpointer{reads: reads, writes: writes, log: log, wake: make(chan struct{}, 1), stop: stop}
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
	failed := false
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		err := c.checkpoint(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			c.log.Warn("SQLite's write-ahead log cannot be copied into the database, and grows", "cause", err)
		}
		if failed = err != nil; failed {
			sleep(ctx, checkpointPause)
		}
	}
}

// checkpointPause is how long one that failed rests.
const checkpointPause = time.Second

// checkpoint copies what there is to copy while others commit. Only a log that is copied to its end starts anew: one that is
// long is therefore copied once more, what has come meanwhile, while nobody commits.
func (c *checkpointer) checkpoint(ctx context.Context) error {
	log, err := walCheckpoint(ctx, c.reads, "NOOP")
	if err != nil || log.pages-log.copied < checkpointPages {
		return err
	}
	if log, err = walCheckpoint(ctx, c.reads, "PASSIVE"); err == nil && log.pages >= restartPages {
		_, err = walCheckpoint(ctx, c.writes, "PASSIVE")
	}
	return err
}

// wal is the state of the write-ahead log.
type wal struct{ pages, copied int }

// walCheckpoint runs a checkpoint and returns what it left behind (https://sqlite.org/pragma.html#pragma_wal_checkpoint).
func walCheckpoint(ctx context.Context, db *sql.DB, mode string) (log wal, err error) {
	var busy bool // somebody else runs one
	err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log.pages, &log.copied)
	return log, err
}
