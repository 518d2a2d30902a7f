package object

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// dialect is what differs between the databases in the few statements that are written by hand.
type dialect struct {
	driver    string // as database/sql and xorm know it
	quoteMark string
	numbered  bool // $1 rather than ?
	lock      string
	unlock    string
	clock     string // selects the seconds since 1970; empty: it runs in our process
	forUpdate string // ends a SELECT that keeps other writers from the row; SQLite has one writer only

	// byKey stands behind the table of an UPDATE whose condition is byName. MySQL would look into each index that begins
	// with the owner to see how many rows it would find: that is 56 pages of 500,000 users in place of 11.
	byKey string
}

// The name, and the number, under which instances that start at once wait for each other.
const (
	setUpLockName   = "minidoor-set-up"
	setUpLockNumber = 0x6d696e69
)

// placeholders returns "(?, ?, …)" for so many values, of which there must be one.
func placeholders(n int) string { return "(?" + strings.Repeat(", ?", n-1) + ")" }

func dialectOf(driverName string) (dialect, error) {
	switch driverName {
	case "sqlite":
		return dialect{driver: "sqlite", quoteMark: "`"}, nil
	case "mysql":
		return dialect{
			driver: "mysql", quoteMark: "`",
			// The server has one name space for the locks of all its databases, of 64 characters. MySQL 9.7 has no MD5.
			lock:   fmt.Sprintf("SELECT GET_LOCK(CONCAT('%s ', CRC32(DATABASE())), 60)", setUpLockName),
			unlock: fmt.Sprintf("SELECT RELEASE_LOCK(CONCAT('%s ', CRC32(DATABASE())))", setUpLockName), forUpdate: " FOR UPDATE",
			clock: "SELECT UNIX_TIMESTAMP() + MICROSECOND(NOW(6)) / 1000000", byKey: " USE INDEX (PRIMARY)",
		}, nil
	case "postgres":
		return dialect{
			driver: "pgx", quoteMark: `"`, numbered: true,
			lock: fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", setUpLockNumber), forUpdate: " FOR UPDATE",
			clock: "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)",
		}, nil
	default:
		return dialect{}, fmt.Errorf("driverName %q: want sqlite, mysql or postgres", driverName)
	}
}

func (d dialect) quote(name string) string { return d.quoteMark + name + d.quoteMark }

func (d dialect) quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = d.quote(name)
	}
	return strings.Join(quoted, ", ")
}

// beginsWith is the condition that a column begins with a value, in the form that an index serves. SQLite's tells case
// apart, as its indexes do.
func (d dialect) beginsWith(column, value string) condition {
	column = d.quote(column)
	if d.driver == "sqlite" {
		return condition{column + ">=? AND " + column + "<?", []any{value, value + string(utf8.MaxRune)}}
	}
	return condition{column + " LIKE ? ESCAPE '!'", []any{escapeLike(value) + "%"}}
}

// sameLogin turns logins that mean the same user into one text: an e-mail address in any case, and a name where the
// database does not tell case apart.
func (d dialect) sameLogin(login string) string {
	login = strings.TrimSpace(login)
	if d.driver == "mysql" || strings.Contains(login, "@") {
		return strings.ToLower(login)
	}
	return login
}

// storable reports whether every database takes a text: PostgreSQL refuses NUL and what is no UTF-8.
func storable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// preparesItself reports whether the driver keeps queries prepared, and forgets them with their connection. A *sql.Stmt
// would hold on to the connections that it was used on, closed ones too, with all that was prepared there, until it is
// used again.
func (d dialect) preparesItself() bool { return d.driver == "pgx" }

// rebind turns the question marks of query into what the driver expects. No query of ours has one inside a string.
func (d dialect) rebind(query string) string {
	if !d.numbered || !strings.Contains(query, "?") {
		return query
	}
	b := make([]byte, 0, len(query)+32)
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b = append(b, before...)
		if !found {
			return string(b)
		}
		b = strconv.AppendInt(append(b, '$'), int64(n), 10)
		query = after
	}
}

// insertSeveral begins an INSERT of several rows, which fails together with its transaction: SQLite is not to keep
// aside what it changes, to undo the statement alone.
func (d dialect) insertSeveral() string {
	if d.driver == "sqlite" {
		return "INSERT OR FAIL"
	}
	return "INSERT"
}

// orIgnore ends an INSERT that changes nothing, and affects no row, when the row exists. It names one column of the
// key.
func (d dialect) orIgnore(column string) string {
	if d.driver == "mysql" {
		return " ON DUPLICATE KEY UPDATE " + column + "=" + column
	}
	return " ON CONFLICT DO NOTHING"
}

// orUpdate ends an INSERT that overwrites columns when a row with the same key exists.
func (d dialect) orUpdate(key []string, columns []string) string {
	return d.orSet(key, columns, "*=VALUES(*)", "*=excluded.*")
}

// orAdd ends an INSERT that adds columns to those of a row with the same key.
func (d dialect) orAdd(table string, key []string, columns []string) string {
	return d.orSet(key, columns, "*=*+VALUES(*)", "*="+table+".*+excluded.*")
}

// orSet ends an INSERT that changes columns when a row with the same key exists, in the words of MySQL or of the
// others, in which a column is "*".
func (d dialect) orSet(key, columns []string, mysqlSet, set string) string {
	if d.driver == "mysql" {
		set = mysqlSet
	}
	sets := make([]string, len(columns))
	for i, c := range columns {
		sets[i] = strings.ReplaceAll(set, "*", c)
	}
	if d.driver == "mysql" {
		return " ON DUPLICATE KEY UPDATE " + strings.Join(sets, ", ")
	}
	return fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s", strings.Join(key, ", "), strings.Join(sets, ", "))
}

// Errors after which the same transaction may succeed when run again.
const (
	mysqlRecordChanged = 1020 // MariaDB with innodb_snapshot_isolation, the default from 11.6 on
	mysqlLockTimeout   = 1205
	mysqlDeadlock      = 1213
	pgSerialization    = "40001"
	pgDeadlock         = "40P01"
	pgUniqueViolation  = "23505" // two transactions that took the same free key: the next run sees the other's row
)

// isLocked reports whether a transaction has waited for somebody else's lock for longer than it may.
func isLocked(err error) bool {
	const pgLockNotAvailable = "55P03"
	my, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && my.Number == mysqlLockTimeout || sqlState(err) == pgLockNotAvailable
}

// pgDataException is the class of SQLSTATEs that blame a value.
const pgDataException = "22"

// pgReadOnly is what a server says whose place another one has taken.
const pgReadOnly = "25006"

func isTransient(err error) bool {
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return slices.Contains([]uint16{mysqlRecordChanged, mysqlLockTimeout, mysqlDeadlock}, my.Number)
	}
	switch sqlState(err) {
	case pgSerialization, pgDeadlock, pgUniqueViolation:
		return true
	}
	return false
}

// isDuplicate reports whether another row has a key already.
func isDuplicate(err error) bool {
	const mysqlDuplicate, sqlitePrimaryKey, sqliteUnique = 1062, 1555, 2067
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return my.Number == mysqlDuplicate
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() == sqlitePrimaryKey || lite.Code() == sqliteUnique
	}
	return sqlState(err) == pgUniqueViolation
}

// isUnfit reports whether the database refuses a value, as it would for ever: it is too long, out of range, or not of
// the kind that its column has.
func isUnfit(err error) bool {
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch my.Number {
		case 1264, 1690, // out of range
			1265, 1292, 1300, 1366, // of another kind, or with characters that the column cannot hold
			1406: // too long
			return true
		}
		return false
	}
	return strings.HasPrefix(sqlState(err), pgDataException)
}

// unfit returns the refusal of a value in place of a database's, and any other error as it is. What the database says
// may quote the value: it is left out.
func unfit(err error) error {
	if !isUnfit(err) {
		return err
	}
	said := "SQLSTATE " + sqlState(err)
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		said = fmt.Sprintf("error %d", my.Number)
	}
	return &Refusal{
		Code: InvalidRequest, Message: "a value is too long, out of range or of the wrong kind",
		Err: fmt.Errorf("%w: %s", errUnfit, said),
	}
}

var errUnfit = errors.New("the database refuses a value")

// explain says more of an error that ends a start. MySQL's driver hides that a server may only be read: see mysqlDSN.
// SQLite does not say which file it is that may not be written to.
func (d dialect) explain(err error) error {
	if isReadOnly(err) {
		return fmt.Errorf("minidoor's user may not write to the SQLite file, to its -wal or -shm, or to the folder: %w", err)
	}
	if d.driver == "mysql" && errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("the connection was lost, or the server may only be read, as a replica: %w", err)
	}
	return err
}

// isUndone reports whether a server has told that it undid a transaction. Where the connection broke it may have
// committed it.
func isUndone(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.SeverityUnlocalized == "ERROR"
	}
	return isA[*mysql.MySQLError](err)
}

// isBusy reports whether somebody else kept writing to SQLite's file for longer than we wait.
func isBusy(err error) bool {
	const busy = 5 // SQLITE_BUSY
	return sqliteCode(err) == busy
}

// isReadOnly reports whether SQLite may not write to its files.
func isReadOnly(err error) bool {
	const readOnly = 8 // SQLITE_READONLY
	return sqliteCode(err) == readOnly
}

// sqliteCode returns what the extended codes of one of SQLite's have in common, or 0 for any other error.
func sqliteCode(err error) int {
	const primary = 0xff
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() & primary
	}
	return 0
}

// sqlState returns PostgreSQL's code of err, or "" for any other error.
func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}
