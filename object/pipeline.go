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

// waitingRoom is for those who find a row held by somebody else. Whoever is not concerned must find a connection, and a
// turn in the server, however many rows are held.
type waitingRoom struct{ places, connections chan struct{} }

const (
	mostWaiting        = 32
	waitingConnections = writeConnections / 4
)

func newWaitingRoom() waitingRoom {
	return waitingRoom{make(chan struct{}, mostWaiting), make(chan struct{}, waitingConnections)}
}

// errHeld refuses whom the waiting room has no place for.
var errHeld = errors.New("a row is held, and enough wait for such rows")

// errAlone answers a job whose transaction was undone, for its own fault or that of one it was shared with.
var errAlone = errors.New("send it alone")

// wait tries until nobody holds the row any more. Those who wait take turns on the connections: a row may be free again
// while others stay held.
func (w waitingRoom) wait(ctx context.Context, try func() error) error {
	select {
	case w.places <- struct{}{}:
		defer func() { <-w.places }()
	default:
		return errHeld
	}
	for {
		select {
		case w.connections <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.turn(try); !isLocked(err) {
			return err
		}
	}
}

// turn tries once, and gives the connection to the next, whatever becomes of it.
func (w waitingRoom) turn(try func() error) error {
	defer func() { <-w.connections }()
	return try()
}

// send commits statements as one transaction, in one message, which they share with those of others if they can. It
// waits for a row that somebody holds for a moment only; see waitingRoom.
func (s *statements) send(ctx context.Context, sent []statement) error {
	err := s.sends.do(ctx, sent)
	alone := func() error { return s.pipeline(ctx, sent, false) }
	if errors.Is(err, errAlone) {
		err = alone()
	}
	if isLocked(err) {
		err = s.waiting.wait(ctx, alone)
	}
	return err
}

// sendBatch commits what the jobs of a batch have sent. A batch of one that is undone is sent again alone, too: it has
// not waited for long.
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
// ctx ends the driver has it cancelled.
func pipelinePostgres(ctx context.Context, conn any, sent []statement, _ bool) error {
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('lock_timeout', '200ms', true)")
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

// mysqlAround returns what stands around the statements of a transaction for MySQL, and what undoes it. There is no time
// limit for a transaction: before the COMMIT stands an error once it is too late, that of a value that sql_mode cannot
// have. A lock is waited for for a second, the least that there is. Where others wait too MariaDB limits a statement to
// less, but not the COMMIT, which nobody is to interrupt; to MySQL that is a comment.
func mysqlAround(shared bool) (before, after, undo string) {
	limits := "@lock=@@innodb_lock_wait_timeout, @table=@@lock_wait_timeout, " +
		"innodb_lock_wait_timeout=1, lock_wait_timeout=1, "
	asBefore := "innodb_lock_wait_timeout=@lock, lock_wait_timeout=@table, "
	if shared {
		limits += "/*M! @statement=@@max_statement_time, max_statement_time=0.2, */ "
		asBefore += "/*M! max_statement_time=@statement, */ "
	}
	return "SET " + limits + "@late=UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND; BEGIN; ",
		"SET " + asBefore + "sql_mode=IF(UTC_TIMESTAMP(6)>@late, 'late', @@sql_mode); COMMIT",
		"ROLLBACK; SET " + asBefore + "@late=NULL"
}

// pipelineMySQL needs a connection that takes several statements at once, with their arguments in them (see
// mysqlSource).
func pipelineMySQL(ctx context.Context, conn any, sent []statement, shared bool) error {
	before, after, undo := mysqlAround(shared)
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
	if err != nil {
		return errors.Join(err, undoMySQL(ctx, exec, undo))
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
func undoMySQL(ctx context.Context, conn driver.ExecerContext, undo string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := conn.ExecContext(ctx, undo, nil); err != nil {
		return driver.ErrBadConn
	}
	return nil
}
