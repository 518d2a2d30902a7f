package object

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// querier reads: outside a transaction (Store.read) or inside (*txn).
type querier interface {
	query(query string, args ...any) (*sql.Rows, error)
}

// reader is the querier outside a transaction.
type reader struct {
	ctx      context.Context
	stmts    *statements
	observer Observer // may be nil
	once     bool     // queries are not kept prepared
}

func (s *Store) read(ctx context.Context) reader {
	return reader{ctx: ctx, stmts: s.reads, observer: s.observer}
}

// readOnce is read for queries in words that come seldom: keeping them prepared would leave no room for those of
// sign-ins.
func (s *Store) readOnce(ctx context.Context) reader {
	return reader{ctx: ctx, stmts: s.reads, observer: s.observer, once: true}
}

// query runs a query, and tells the observer, if there is one, how that went.
func (r reader) query(query string, args ...any) (*sql.Rows, error) {
	start := time.Now()
	rows, err := r.run(query, args...)
	if r.observer != nil {
		broken := err
		if isUnfit(err) || errors.Is(err, context.Canceled) {
			broken = nil // the value's own doing, or that of a client who has left
		}
		r.observer.Read(time.Since(start), broken)
	}
	return rows, unfit(err)
}

func (r reader) run(query string, args ...any) (*sql.Rows, error) {
	if r.stmts.closed.Load() {
		return nil, errClosed
	}
	var stmt *sql.Stmt
	if !r.once {
		var err error
		if stmt, err = r.stmts.prepare(r.ctx, query); err != nil {
			return nil, err
		}
	}
	if stmt == nil {
		return r.stmts.db.QueryContext(r.ctx, r.stmts.dialect.rebind(query), args...)
	}
	return stmt.QueryContext(r.ctx, args...)
}

// eachRow calls do for each row of a query.
func eachRow(q querier, do func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.query(query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanOne scans the first row of a query, or returns ErrNotFound.
func scanOne(q querier, dest []any, query string, args ...any) error {
	rows, err := q.query(query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		return rows.Scan(dest...)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return ErrNotFound
}

// exists reports whether a table has a row for the rest of the query, as in exists(tx, "user WHERE owner=?", owner).
func exists(q querier, from string, args ...any) (bool, error) {
	var one int
	err := scanOne(q, []any{&one}, "SELECT 1 FROM "+from+" LIMIT 1", args...)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// refuseIf returns the refusal where there is a row: see exists.
func refuseIf(q querier, no *Refusal, from string, args ...any) error {
	there, err := exists(q, from, args...)
	if err == nil && there {
		return no
	}
	return err
}

// refuseUnless returns the refusal where there is no row: see exists.
func refuseUnless(q querier, no *Refusal, from string, args ...any) error {
	there, err := exists(q, from, args...)
	if err == nil && !there {
		return no
	}
	return err
}
