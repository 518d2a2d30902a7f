package object

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDialect(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ quoted, bound, orIgnore, orUpdate string }{
		"sqlite": {
			"`user`", "a=? AND b IN (?, ?)", " ON CONFLICT DO NOTHING",
			" ON CONFLICT (k, l) DO UPDATE SET a=excluded.a, b=excluded.b",
		},
		"postgres": {
			`"user"`, "a=$1 AND b IN ($2, $3)", " ON CONFLICT DO NOTHING",
			" ON CONFLICT (k, l) DO UPDATE SET a=excluded.a, b=excluded.b",
		},
		"mysql": {
			"`user`", "a=? AND b IN (?, ?)", " ON DUPLICATE KEY UPDATE k=k",
			" ON DUPLICATE KEY UPDATE a=VALUES(a), b=VALUES(b)",
		},
	} {
		d, err := dialectOf(name)
		require.NoError(t, err)
		assert.Equal(t, want.quoted, d.quote("user"))
		assert.Equal(t, want.bound, d.rebind("a=? AND b IN (?, ?)"))
		assert.Equal(t, want.orIgnore, d.orIgnore("k"))
		assert.Equal(t, want.orUpdate, d.orUpdate([]string{"k", "l"}, []string{"a", "b"}))
	}
	for _, name := range []string{"", "MySQL", "oracle"} {
		_, err := dialectOf(name)
		assert.ErrorContains(t, err, fmt.Sprintf("%q", name))
	}
}

func TestRebindManyMarks(t *testing.T) {
	t.Parallel()
	d := dialect{numbered: true}
	assert.Equal(t, "$1$2$3$4$5$6$7$8$9$10$11 小", d.rebind("??????????? 小"))
}

func TestIsTransient(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		&mysql.MySQLError{Number: 1213}, &mysql.MySQLError{Number: 1205}, &mysql.MySQLError{Number: 1020},
		&pgconn.PgError{Code: "40001"},
		&pgconn.PgError{Code: "40P01"}, &pgconn.PgError{Code: "23505"}, fmt.Errorf("x: %w", &pgconn.PgError{Code: "40P01"}),
	} {
		assert.True(t, isTransient(err), "%v", err)
	}
	for _, err := range []error{
		nil, errRaced, &mysql.MySQLError{Number: 1062}, &pgconn.PgError{Code: "42P01"}, context.Canceled,
	} {
		assert.False(t, isTransient(err), "%v", err)
	}
}

func TestIsUnavailable(t *testing.T) {
	t.Parallel()
	tooLong := errors.Join(&mysql.MySQLError{Number: 1406}, driver.ErrBadConn)
	for _, err := range []error{
		driver.ErrBadConn, sql.ErrConnDone, context.DeadlineExceeded, errClosed, errRaced, &pgconn.PgError{Code: "57P01"},
		&mysql.MySQLError{Number: 1040}, mysql.ErrInvalidConn, fmt.Errorf("write: %w", driver.ErrBadConn),
	} {
		assert.True(t, IsUnavailable(err), "%v", err)
	}
	for _, err := range []error{nil, ErrNotFound, refuse(InvalidGrant, "x"), errors.New("x"), tooLong} {
		assert.False(t, IsUnavailable(err), "%v", err)
	}
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	for said, err := range map[string]error{
		"error 1406":     errors.Join(&mysql.MySQLError{Number: 1406, Message: "secret"}, driver.ErrBadConn),
		"error 1366":     fmt.Errorf("add: %w", &mysql.MySQLError{Number: 1366, Message: "secret"}),
		"SQLSTATE 22001": &pgconn.PgError{Code: "22001", Message: "secret"},
		"SQLSTATE 22021": fmt.Errorf("add: %w", &pgconn.PgError{Code: "22021", Message: "secret"}),
	} {
		refused := unfit(err)
		assert.False(t, isTransient(err))
		assert.False(t, IsUnavailable(refused))
		assert.EqualError(t, refused, "invalid_request: a value is too long, out of range or of the wrong kind: "+
			"the database refuses a value: "+said)
	}
	for _, err := range []error{
		nil, ErrNotFound, &mysql.MySQLError{Number: 1231}, &pgconn.PgError{Code: "25006"}, driver.ErrBadConn,
	} {
		assert.Equal(t, err, unfit(err))
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, refuse(InvalidGrant, "%s is wrong", "it"), "invalid_grant: it is wrong")
	wrapped := &Refusal{Code: InvalidToken, Message: "the token is invalid", Err: errOfJob}
	assert.EqualError(t, wrapped, "invalid_token: the token is invalid: job fails")
	assert.ErrorIs(t, wrapped, errOfJob)
}
