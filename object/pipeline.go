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

// errAlone answers a job whose transaction was undone, for its own fault or that of one it was shared with.
var errAlone = errors.New("send it alone")

// sendBatch commits what the jobs of a batch have sent, on a server. A batch of one that is undone is sent again alone,
// too: as others may be waiting for it, it has waited for locks for a second only.
func (s *statements) sendBatch(batch []*job[[]statement]) {
	var sent []statement
	for _, j := range batch {
		sent = append(sent, j.ask...)
	}
	ctx, cancel := untilLast(batch, time.Minute)
	defer cancel()
	err := s.pipeline(ctx, sent, true)
	if (isUndone(err) || isUnsent(err)) && (len(batch) > 1 || !isDuplicate(err) && !isUnfit(err)) {
		err = errAlone
	}
	for _, j := range batch {
		j.done <- err
	}
}

// isUnsent reports whether the driver of PostgreSQL could not put a value into words, so that the server got nothing.
func isUnsent(err error) bool { return isA[pgx.ErrPreprocessingBatch](err) && !IsUnavailable(err) }

// pipeline runs statements as one transaction, in one round trip. The server has all of it then, but must not commit it
// when ctx has ended: the caller was told that it failed, and may have done something else instead.
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

// pipelinePostgres leaves the transaction to the server: it makes one of all that comes before the client waits. When
// ctx ends the driver has it cancelled. One that is shared does not wait long for a lock, which is one job's
// misfortune.
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

// What stands around the statements of a transaction for MySQL. It has no time limit for one: before the COMMIT stands
// an error once it is too late, that of a value that sql_mode cannot have.
const (
	beforeAlone  = "SET @late=UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND; BEGIN; "
	beforeShared = "SET @lock=@@innodb_lock_wait_timeout, @table=@@lock_wait_timeout, innodb_lock_wait_timeout=1, " +
		"lock_wait_timeout=1, @late=UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND; BEGIN; "
	afterAlone  = "SET sql_mode=IF(UTC_TIMESTAMP(6)>@late, 'late', @@sql_mode); COMMIT"
	afterShared = afterAlone + "; SET innodb_lock_wait_timeout=@lock, lock_wait_timeout=@table"
)

// pipelineMySQL needs a connection that takes several statements at once, with their arguments in them (see
// mysqlSource).
func pipelineMySQL(ctx context.Context, conn any, sent []statement, shared bool) error {
	before, after := beforeAlone, afterAlone
	if shared {
		before, after = beforeShared, afterShared
	}
	text := strings.Builder{}
	args := []any{leftOf(ctx).Microseconds()}
	text.WriteString(before)
	for _, s := range sent {
		text.WriteString(s.query)
		text.WriteString("; ")
		args = append(args, s.args...)
	}
	text.WriteString(after)
	named := make([]driver.NamedValue, len(args))
	for i, value := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
		if err := conn.(driver.NamedValueChecker).CheckNamedValue(&named[i]); err != nil {
			return err
		}
	}
	exec := conn.(driver.ExecerContext)
	result, err := exec.ExecContext(ctx, text.String(), named)
	if err != nil && shared {
		return errors.Join(err, driver.ErrBadConn) // its settings are what they should not stay
	}
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

// leftOf returns how long ctx lasts, or an hour where it has no end.
func leftOf(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return time.Hour
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
