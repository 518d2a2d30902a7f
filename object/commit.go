package object

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// What a commit costs is the wait for the disk and, on a server, the way there. Those who write at the same time share
// both:
//
//   - SQLite has one writer. All transactions that wait run one after the other within one, with one fsync
//     (commitBatch, by the queue Store.commits). Its log is copied into the database beside that (checkpoint.go).
//   - A server has many. Each caller has a transaction of its own (transaction.go). One that has asked for no outcome
//     by its end goes in one message, which those of others share (pipeline.go, by the queue statements.sends).
//
// In the same way those who look somebody up by a key at the same time share a query (lookup.go), and signatures are
// made, as many at a time as there are processors (Service.signing). All of them wait in a queue (queue.go).

// write runs fn in a transaction that is durable when write returns nil, and undone when it returns an error. fn may
// run more than once, and must do nothing but read and write through its txn and set variables that each run sets
// anew. A value that the database refuses is a *Refusal with InvalidRequest.
func (s *Store) write(ctx context.Context, fn func(*txn) error) error {
	s.writing.Add(1)
	defer s.writing.Add(-1)
	start := time.Now()
	err := unfit(s.runTransaction(ctx, fn))
	if s.observer != nil {
		broken := err
		if !IsUnavailable(err) || errors.Is(err, errRaced) || errors.Is(err, context.Canceled) {
			broken = nil // fn's own doing, or that of a client who has left
		}
		s.observer.Written(time.Since(start), broken)
	}
	return err
}

// runTransaction hands a transaction to SQLite's one writer or, for a server, runs it here: again, where the server has
// undone it for the sake of others.
func (s *Store) runTransaction(ctx context.Context, fn func(*txn) error) error {
	if s.commits != nil {
		return s.commits.do(ctx, fn)
	}
	const attempts = 5
	for attempt := 1; ; attempt++ {
		err := s.writes.transact(ctx, fn)
		if err == nil || attempt == attempts || !isTransient(err) {
			return err
		}
		if !sleep(ctx, rand.N(time.Duration(attempt)*20*time.Millisecond)) {
			return ctx.Err()
		}
	}
}

// Writing returns how many transactions run or wait to.
func (s *Store) Writing() int { return int(s.writing.Load()) }

// commitBatch lets transactions share one commit of SQLite, whose cost is one fsync. Where one of several fails, all
// are undone and each is run again alone, so that it is judged by itself; but not where the database could not be
// written to: one after the other would wait for it as long.
func (s *statements) commitBatch(batch []*job[func(*txn) error]) {
	fns := make([]func(*txn) error, len(batch))
	for i, j := range batch {
		fns[i] = j.ask
	}
	// A shared commit must not end with one caller's patience.
	err := s.transact(context.Background(), fns...)
	again := err != nil && len(batch) > 1 && !isBusy(err)
	for _, j := range batch {
		if again {
			j.done <- s.transact(context.Background(), j.ask)
		} else {
			j.done <- err
		}
	}
}
