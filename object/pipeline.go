package object

import (
	"context"
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
	if t.tx != nil {
		return t.run(s)
	}
	t.sent = append(t.sent, s)
	return nil
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
		err := t.stmts.queue.do(&job{ctx: t.ctx, sent: t.sent})
		if errors.Is(err, errAlone) {
			err = t.stmts.pipeline(t.ctx, t.sent, false)
		}
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

// errAlone answers a job whose transaction was undone, for its own fault or that of one it was shared with.
var errAlone = errors.New("send it alone")

// senders is how many batches are on their way to a server at a time.
const senders = 2

// sendBatch commits what the jobs of a batch have sent, on a server.
func (s *statements) sendBatch(batch []*job) {
	var sent []statement
	for _, j := range batch {
		sent = append(sent, j.sent...)
	}
	ctx, cancel := lastOf(batch)
	defer cancel()
	err := s.pipeline(ctx, sent, len(batch) > 1)
	if len(batch) > 1 && isUndone(err) {
		err = errAlone
	}
	for _, j := range batch {
		j.done <- err
	}
}

// lastOf returns a context that ends when the most patient caller's does.
func lastOf(batch []*job) (context.Context, context.CancelFunc) {
	var last time.Time
	for _, j := range batch {
		deadline, ok := j.ctx.Deadline()
		if !ok {
			return context.WithCancel(context.Background())
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(context.Background(), last)
}

// pipeline runs statements as one transaction, in one round trip. One that is shared does not wait long for a lock: that
// is one job's misfortune.
func (s *statements) pipeline(ctx context.Context, sent []statement, shared bool) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { s.release(conn, err) }()
	run := pipelinePostgres
	if s.dialect.driver == "mysql" {
		run = pipelineMySQL
	}
	return conn.Raw(func(c any) error { return run(ctx, c, sent, shared) })
}

// pipelinePostgres leaves the transaction to the server: it makes one of all that comes before the client waits.
func pipelinePostgres(ctx context.Context, conn any, sent []statement, shared bool) error {
	batch := &pgx.Batch{}
	if shared {
		batch.Queue("SELECT set_config('lock_timeout', '1s', true)")
	}
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
func pipelineMySQL(ctx context.Context, conn any, sent []statement, shared bool) error {
	text := strings.Builder{}
	var args []driver.NamedValue
	before, after := "BEGIN; ", "COMMIT"
	if shared {
		before = "SET innodb_lock_wait_timeout=1; " + before
		after += "; SET innodb_lock_wait_timeout=DEFAULT"
	}
	text.WriteString(before)
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
	text.WriteString(after)
	exec := conn.(driver.ExecerContext)
	result, err := exec.ExecContext(ctx, text.String(), args)
	if err != nil {
		return errors.Join(err, undoMySQL(ctx, exec))
	}
	counts := result.(mysql.Result).AllRowsAffected()[strings.Count(before, ";"):]
	for i, s := range sent {
		if s.changed != nil {
			*s.changed = counts[i]
		}
	}
	return nil
}

// undoMySQL makes a connection on which a statement failed what it was before, or ends it.
func undoMySQL(ctx context.Context, conn driver.ExecerContext) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := conn.ExecContext(ctx, "ROLLBACK; SET innodb_lock_wait_timeout=DEFAULT", nil); err != nil {
		return driver.ErrBadConn
	}
	return nil
}
