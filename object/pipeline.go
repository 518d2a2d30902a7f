package object

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// statement is one whose outcome the transaction does not depend on.
type statement struct {
	query   string
	args    []any
	taken   error  // what a key that another row has means; nil: nothing that is expected
	changed *int64 // where to put how many rows it changed; nil: nobody asks
}

// send runs a statement in the transaction, at its end at the latest: a server gets all that is sent in one message.
func (t *txn) send(s statement) error {
	if t.tx == nil && t.stmts.dialect.pipelines() {
		t.sent = append(t.sent, s)
		return nil
	}
	if err := t.begin(); err != nil {
		return err
	}
	return t.run(s)
}

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
		err := t.stmts.dialect.pipeline(t.ctx, t.conn, t.sent)
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

// rollback undoes what was not committed.
func (t *txn) rollback() {
	if t.tx != nil {
		_ = t.tx.Rollback()
	}
}

// pipelines reports whether sending several statements at once is of use: SQLite has no way to go.
func (d dialect) pipelines() bool { return d.driver != "sqlite" }

// pipeline runs statements as one transaction, in one round trip.
func (d dialect) pipeline(ctx context.Context, conn *sql.Conn, sent []statement) error {
	run := pipelinePostgres
	if d.driver == "mysql" {
		run = pipelineMySQL
	}
	return conn.Raw(func(c any) error { return run(ctx, c, sent) })
}

// pipelinePostgres leaves the transaction to the server: it makes one of all that comes before the client waits.
func pipelinePostgres(ctx context.Context, conn any, sent []statement) error {
	batch := &pgx.Batch{}
	for _, s := range sent {
		batch.Queue(dialect{numbered: true}.rebind(s.query), s.args...).Exec(func(result pgconn.CommandTag) error {
			if s.changed != nil {
				*s.changed = result.RowsAffected()
			}
			return nil
		})
	}
	return conn.(*stdlib.Conn).Conn().SendBatch(ctx, batch).Close()
}

// pipelineMySQL needs a connection that takes several statements at once, with their arguments in them (see
// mysqlSource).
func pipelineMySQL(ctx context.Context, conn any, sent []statement) error {
	text := strings.Builder{}
	var args []driver.NamedValue
	text.WriteString("BEGIN; ")
	for _, s := range sent {
		text.WriteString(s.query)
		text.WriteString("; ")
		for _, value := range s.args {
			arg := driver.NamedValue{Ordinal: len(args) + 1, Value: value}
			if err := conn.(driver.NamedValueChecker).CheckNamedValue(&arg); err != nil {
				return err
			}
			args = append(args, arg)
		}
	}
	text.WriteString("COMMIT")
	exec := conn.(driver.ExecerContext)
	result, err := exec.ExecContext(ctx, text.String(), args)
	if err != nil {
		return errors.Join(err, undoMySQL(ctx, exec))
	}
	counts := result.(mysql.Result).AllRowsAffected()[1:] // BEGIN's is the first
	for i, s := range sent {
		if s.changed != nil {
			*s.changed = counts[i]
		}
	}
	return nil
}

// undoMySQL ends the transaction whose statement failed, or the connection.
func undoMySQL(ctx context.Context, conn driver.ExecerContext) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := conn.ExecContext(ctx, "ROLLBACK", nil); err != nil {
		return driver.ErrBadConn
	}
	return nil
}
