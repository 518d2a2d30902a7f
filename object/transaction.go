package object

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// transact runs each fn, in order, in one transaction.
func (s *statements) transact(ctx context.Context, fns ...func(*txn) error) error {
	if s.closed.Load() {
		return errClosed
	}
	t := &txn{ctx: ctx, stmts: s}
	if err := t.runAll(fns); err != nil {
		return err
	}
	for _, query := range t.fresh {
		// Where this fails the next transaction does without.
		_, _ = s.prepare(ctx, query)
	}
	return nil
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

// runAll is the whole transaction.
func (t *txn) runAll(fns []func(*txn) error) (err error) {
	defer func() { t.end(err) }()
	if t.stmts.sends == nil {
		if err := t.begin(); err != nil {
			return err
		}
	}
	for _, fn := range fns {
		if err := fn(t); err != nil {
			return err
		}
	}
	return t.commit()
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

// statement is one whose outcome the transaction does not depend on.
type statement struct {
	query   string
	args    []any
	taken   error  // what a key that another row has means; nil: nothing that is expected
	changed *int64 // where to put how many rows it changed; nil: nobody asks
}

// send runs a statement in the transaction, at its end at the latest: a server gets all that is sent in one message.
func (t *txn) send(s statement) error {
	if t.tx != nil {
		return t.run(s)
	}
	t.sent = append(t.sent, s)
	return nil
}

// run runs what was sent, now.
func (t *txn) run(s statement) error {
	n, err := t.exec(s.query, s.args...)
	if s.changed != nil {
		*s.changed = n
	}
	if s.taken != nil && isDuplicate(err) {
		return s.taken
	}
	return err
}

// commit makes durable what was run and sent.
func (t *txn) commit() error {
	if t.tx == nil && len(t.sent) > 0 {
		err := t.stmts.send(t.ctx, t.sent)
		if !isDuplicate(err) {
			return err
		}
		// One after the other, they show whose key is taken.
		if err := t.begin(); err != nil {
			return err
		}
	}
	if t.tx == nil {
		return nil
	}
	return t.tx.Commit()
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

// release gives a connection back, or ends one on which nothing can be written: a new one may reach the server that has
// taken the other's place. The driver of MySQL does so itself.
func (s *statements) release(conn *sql.Conn, err error) {
	if sqlState(err) == pgReadOnly {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = conn.Close()
}
