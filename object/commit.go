package object

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// querier reads: outside a transaction (Store.read) or inside (*txn).
type querier interface {
	query(query string, args ...any) (*sql.Rows, error)
}

// statements keeps queries prepared: SQLite alone would spend longer on parsing an INSERT of 190 columns than on
// running it.
type statements struct {
	db      *sql.DB
	dialect dialect
	mu      sync.RWMutex
	known   map[string]*sql.Stmt
	sends   *queue[[]statement] // where transactions that are only sent share a round trip; nil where there is no way to go
	closed  atomic.Bool         // database/sql has no error of its own for it
}

// maxPrepared bounds the statements that are kept: which columns an update has is up to its sender.
const maxPrepared = 200

func newStatements(db *sql.DB, d dialect) *statements {
	return &statements{db: db, dialect: d, known: map[string]*sql.Stmt{}}
}

// get returns the prepared query, or nil when it is not prepared.
func (s *statements) get(query string) *sql.Stmt {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known[query]
}

// prepare prepares a query once; past maxPrepared, and where the driver does it, it returns nil. It waits for a
// connection without the lock, which the transactions that hold all connections may need to get on.
func (s *statements) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	if s.dialect.preparesItself() {
		return nil, nil
	}
	s.mu.RLock()
	known, full := s.known[query], len(s.known) >= maxPrepared
	s.mu.RUnlock()
	if known != nil || full {
		return known, nil
	}
	stmt, err := s.db.PrepareContext(ctx, s.dialect.rebind(query))
	if err != nil {
		return nil, err
	}
	if first := s.keep(query, stmt); first != stmt {
		_ = stmt.Close()
		return first, nil
	}
	return stmt, nil
}

// keep returns the statement to use for a query: stmt, or the one that another caller prepared meanwhile.
func (s *statements) keep(query string, stmt *sql.Stmt) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[query]; known != nil {
		return known
	}
	s.known[query] = stmt
	return stmt
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

// readOnce is read for queries in words that come seldom: keeping them prepared would leave no room for those of sign-ins.
func (s *Store) readOnce(ctx context.Context) reader {
	return reader{ctx: ctx, stmts: s.reads, observer: s.observer, once: true}
}

func (r reader) run(query string, args ...any) (*sql.Rows, error) {
	var stmt *sql.Stmt
	if !r.once {
		var err error
		if stmt, err = r.stmts.prepare(r.ctx, query); err != nil {
			return nil, err
		}
	} else if r.stmts.closed.Load() {
		return nil, errClosed
	}
	if stmt == nil {
		return r.stmts.db.QueryContext(r.ctx, r.stmts.dialect.rebind(query), args...)
	}
	return stmt.QueryContext(r.ctx, args...)
}

// txn is a transaction, and the querier inside it. On a server it begins with the first statement whose outcome it
// depends on; one that has none takes one round trip, which it may share.
type txn struct {
	ctx   context.Context
	stmts *statements
	conn  *sql.Conn // nil before it begins, as tx
	tx    *sql.Tx
	sent  []statement // that wait
	fresh []string    // queries to prepare when the connection is free again
}

// begin begins the transaction, with what has been sent.
func (t *txn) begin() (err error) {
	if t.tx != nil {
		return nil
	}
	if t.conn, err = t.stmts.db.Conn(t.ctx); err != nil {
		return err
	}
	if t.tx, err = t.conn.BeginTx(t.ctx, nil); err != nil {
		return err
	}
	for _, s := range t.sent {
		if err := t.run(s); err != nil {
			return err
		}
	}
	return nil
}

// end undoes what was not committed, and gives the connection back. Err is what the transaction ended with.
func (t *txn) end(err error) {
	if t.tx != nil {
		_ = t.tx.Rollback()
	}
	if t.conn != nil {
		t.stmts.release(t.conn, err)
	}
}

func (t *txn) query(query string, args ...any) (*sql.Rows, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	if stmt := t.stmts.get(query); stmt != nil {
		return t.tx.StmtContext(t.ctx, stmt).QueryContext(t.ctx, args...)
	}
	t.fresh = append(t.fresh, query)
	return t.tx.QueryContext(t.ctx, t.stmts.dialect.rebind(query), args...)
}

// execOnce is exec for a large statement that will not be run again in the same words: it is not kept prepared.
func (t *txn) execOnce(query string, args ...any) (int64, error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	result, err := t.tx.ExecContext(t.ctx, t.stmts.dialect.rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// exec runs a statement and returns how many rows it changed.
func (t *txn) exec(query string, args ...any) (n int64, err error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	var result sql.Result
	if stmt := t.stmts.get(query); stmt != nil {
		result, err = t.tx.StmtContext(t.ctx, stmt).ExecContext(t.ctx, args...)
	} else {
		t.fresh = append(t.fresh, query)
		result, err = t.tx.ExecContext(t.ctx, t.stmts.dialect.rebind(query), args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// writeNow is write.
func (s *Store) writeNow(ctx context.Context, fn func(*txn) error) error {
	if s.commits != nil {
		return s.commits.do(ctx, fn)
	}
	const attempts = 5
	for attempt := 1; ; attempt++ {
		err := s.writes.transact(ctx, fn)
		if err == nil || attempt == attempts || !isTransient(err) {
			return err
		}
		select {
		case <-time.After(rand.N(time.Duration(attempt) * 20 * time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// transact runs each fn, in order, in one transaction.
func (s *statements) transact(ctx context.Context, fns ...func(*txn) error) error {
	if s.closed.Load() {
		return errClosed
	}
	fresh, err := s.transactOn(ctx, fns)
	if err != nil {
		return err
	}
	for _, query := range fresh {
		// Where this fails the next transaction does without.
		_, _ = s.prepare(ctx, query)
	}
	return nil
}

// transactOn runs the transaction and returns the queries that are not prepared yet.
func (s *statements) transactOn(ctx context.Context, fns []func(*txn) error) (fresh []string, err error) {
	t := &txn{ctx: ctx, stmts: s}
	defer func() { t.end(err) }()
	if s.sends == nil {
		if err := t.begin(); err != nil {
			return nil, err
		}
	}
	for _, fn := range fns {
		if err := fn(t); err != nil {
			return nil, err
		}
	}
	return t.fresh, t.commit()
}

// release gives a connection back, or ends one on which nothing can be written: a new one may reach the server that has
// taken the other's place. The driver of MySQL does so itself.
func (s *statements) release(conn *sql.Conn, err error) {
	if sqlState(err) == pgReadOnly {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = conn.Close()
}

// commitBatch lets transactions share one commit of SQLite, whose cost is one fsync. Where one of several fails, all are
// undone and each is run again alone, so that it is judged by itself; but not where the database could not be written
// to: one after the other would wait for it as long.
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
