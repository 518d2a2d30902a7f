package object

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Observer hears how the database does. Its methods are called on the way of a sign-in, by many at once.
type Observer interface {
	// Read tells of a query outside a transaction: how long its first row took, and what went wrong.
	Read(took time.Duration, err error)

	// Written tells of a transaction, with its wait for a connection or a shared commit, and what went wrong with the
	// database.
	Written(took time.Duration, err error)
}

// query tells the observer, if there is one.
func (r reader) query(query string, args ...any) (*sql.Rows, error) {
	if r.observer == nil {
		rows, err := r.run(query, args...)
		return rows, unfit(err)
	}
	start := time.Now()
	rows, err := r.run(query, args...)
	broken := err
	if isUnfit(err) || errors.Is(err, context.Canceled) {
		broken = nil // the value's own doing, or that of a client who has left
	}
	r.observer.Read(time.Since(start), broken)
	return rows, unfit(err)
}

// write runs fn in a transaction that is durable when write returns nil, and undone when it returns an error. fn may
// run more than once, and must do nothing but read and write through its txn and set variables that each run sets
// anew. A value that the database refuses is a *Refusal with InvalidRequest.
func (s *Store) write(ctx context.Context, fn func(*txn) error) error {
	s.writing.Add(1)
	defer s.writing.Add(-1)
	if s.observer == nil {
		return unfit(s.writeNow(ctx, fn))
	}
	start := time.Now()
	err := unfit(s.writeNow(ctx, fn))
	broken := err
	if !IsUnavailable(err) || errors.Is(err, errRaced) || errors.Is(err, context.Canceled) {
		broken = nil // fn's own doing, or that of a client who has left
	}
	s.observer.Written(time.Since(start), broken)
	return err
}

// Writing returns how many transactions run or wait to.
func (s *Store) Writing() int { return int(s.writing.Load()) }

// Pools returns how busy the connections are: "all", or "read" and "write" where writes have one of their own.
func (s *Store) Pools() map[string]sql.DBStats {
	if s.writes == s.reads {
		return map[string]sql.DBStats{"all": s.reads.db.Stats()}
	}
	return map[string]sql.DBStats{"read": s.reads.db.Stats(), "write": s.writes.db.Stats()}
}
