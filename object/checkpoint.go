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
	running       sync.WaitGroup
}

// checkpointPages is how long the log gets before it is copied: every read looks through it.
const checkpointPages = 2000

func newCheckpointer(reads, writes *sql.DB, log *slog.Logger) *checkpointer {
	c := &checkpointer{reads: reads, writes: writes, log: log, wake: make(chan struct{}, 1)}
	c.running.Go(c.work)
	return c
}

// committed tells that the log is longer. It does not wait.
func (c *checkpointer) committed() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// close waits for a checkpoint that is on its way. Nobody may commit any more.
func (c *checkpointer) close() {
	close(c.wake)
	c.running.Wait()
}

func (c *checkpointer) work() {
	failed := false
	for range c.wake {
		err := c.checkpoint(context.Background())
		if err != nil && !failed {
			c.log.Warn("SQLite's write-ahead log cannot be copied into the database, and grows", "cause", err)
		}
		if failed = err != nil; failed {
			time.Sleep(checkpointPause)
		}
	}
}

// checkpointPause is how long one that failed rests.
const checkpointPause = time.Second

// checkpoint copies a long log: most of it while others commit, and what they have added meanwhile while nobody does. Only
// a log that is copied to its end starts anew.
func (c *checkpointer) checkpoint(ctx context.Context) error {
	pages, err := walCheckpoint(ctx, c.reads, "NOOP")
	if err != nil || pages < checkpointPages {
		return err
	}
	if _, err := walCheckpoint(ctx, c.reads, "PASSIVE"); err != nil {
		return err
	}
	_, err = walCheckpoint(ctx, c.writes, "PASSIVE")
	return err
}

// walCheckpoint returns how many pages of the log are not copied when it has run
// (https://sqlite.org/pragma.html#pragma_wal_checkpoint).
func walCheckpoint(ctx context.Context, db *sql.DB, mode string) (int, error) {
	var busy, pages, copied int
	err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &pages, &copied)
	return pages - copied, err
}
