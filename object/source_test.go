package object

import (
	"bytes"
	"context"
	"database/sql"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"xorm.io/xorm"
	"xorm.io/xorm/core"
)

func TestSQLiteSource(t *testing.T) {
	t.Parallel()
	for given, file := range map[string]string{
		"file:casdoor.db?cache=shared": "casdoor.db", // Casdoor's default
		"casdoor.db":                   "casdoor.db",
		"file:/var/lib/x.db":           "/var/lib/x.db",
		"./x.db?_pragma=foreign_keys(1)&cache=shared&mode=rwc": "./x.db",
		"x.db?%zz":               "x.db",
		"x#1%41.db?mode=rwc":     "x%231%2541.db",
		"file:x%231.db#?mode=rw": "x%231.db",
	} {
		got := sqliteSource(given)
		for _, source := range []string{got.read, got.write} {
			name, query, _ := strings.Cut(source, "?")
			assert.Equal(t, "file:"+file, name)
			params, err := url.ParseQuery(query)
			require.NoError(t, err)
			assert.NotContains(t, params, "cache")
			assert.Subset(t, params["_pragma"], []string{"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"})
			assert.Equal(t, strings.Contains(given, "foreign_keys"), strings.Contains(query, "foreign_keys"))
			assert.Equal(t, strings.Contains(given, "mode=rwc"), params.Get("mode") == "rwc")
			assert.Equal(t, source == got.write, params.Get("_txlock") == "immediate")
		}
		assert.Contains(t, got.read, "cache_size(-512)")
		assert.Contains(t, got.write, "cache_size(-4096)")
		assert.Contains(t, got.write, "wal_autocheckpoint(0)")
	}
}

// What a name means to SQLite is the file that is made for its owner alone.
func TestSQLiteFileNames(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"数据 %41#1.db": "数据 %41#1.db", "file:%41#1.db": "A", "file:a b?mode=rwc": "a b", "//a.db": "a.db",
	} {
		folder := t.TempDir()
		scheme, rest := "", name
		if uri, found := strings.CutPrefix(name, "file:"); found {
			scheme, rest = "file:", uri
		}
		slashes := ""
		if strings.HasPrefix(rest, "//") {
			slashes, rest = "/", rest[2:]
		}
		s, _, err := Open(t.Context(), StoreConfig{
			DriverName: "sqlite", DataSourceName: scheme + slashes + folder + "/" + rest,
		})
		require.NoError(t, err)
		s.Close()
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		if assert.Len(t, entries, 1, name) {
			assert.Equal(t, file, entries[0].Name())
			info, err := entries[0].Info()
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode())
		}
	}
}

// What is no escape in a URI SQLite takes by the letter, and others would not: nobody guesses.
func TestSQLiteFileNamesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"/a%zz.db", "/a%"} {
		folder := t.TempDir()
		_, _, err := Open(t.Context(), StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + folder + name})
		assert.ErrorContains(t, err, "invalid URL escape", name)
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		assert.Empty(t, entries)
	}
}

// A Casdoor is to wait for what we write to its file, and to read what is there then.
func TestCasdoorWaits(t *testing.T) {
	t.Parallel()
	const warned = `let dataSourceName be "file:casdoor.db?_pragma=busy_timeout(10000)", without cache=shared`
	for given, waits := range map[string]bool{
		"file:casdoor.db?cache=shared":                               false,
		"file:casdoor.db":                                            false,
		"casdoor.db?_pragma=foreign_keys(1)":                         false,
		"file:casdoor.db?cache=shared&_pragma=busy_timeout(10000)":   false,
		"file:casdoor.db?_pragma=busy_timeout(10000)":                true,
		"casdoor.db?_pragma=foreign_keys(1)&_pragma=busy_timeout=99": true,
	} {
		sqlite, err := dialectOf("sqlite")
		require.NoError(t, err)
		found := (&Store{dialect: sqlite, beside: true}).DiagnoseWaiting(given)
		if waits {
			assert.Empty(t, found, given)
		} else if assert.Len(t, found, 1, given) {
			assert.Equal(t, Warning, found[0].Severity)
			assert.Contains(t, found[0].Text, warned)
		}
		assert.Empty(t, (&Store{dialect: sqlite}).DiagnoseWaiting(given), "nobody else writes to a file of our own")
		mysql, err := dialectOf("mysql")
		require.NoError(t, err)
		assert.Empty(t, (&Store{dialect: mysql, beside: true}).DiagnoseWaiting(given))
	}
}

// An empty file is none that a start has made, and stays empty.
func TestSQLiteAsItIs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "casdoor.db")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := OpenAsItIs(t.Context(), StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + file + "?cache=shared"})
	var missing NotMadeError
	require.ErrorAs(t, err, &missing)
	assert.Equal(t, "the schema is made at the first start", missing.Error())
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := entries[0].Info()
	require.NoError(t, err)
	assert.Zero(t, info.Size())
}

// The driver runs pragmas in an order of its own, so what is asked for is not yet what holds.
func TestSQLitePragmas(t *testing.T) {
	t.Parallel()
	for query, cache := range map[string][2]string{
		"":                             {"-512", "-4096"},
		"?_pragma=cache_size(-20000)":  {"-20000", "-20000"},
		"?_pragma=synchronous(NORMAL)": {"-512", "-4096"},
	} {
		s, _, err := Open(t.Context(), StoreConfig{
			DriverName: "sqlite", DataSourceName: filepath.Join(t.TempDir(), "casdoor.db") + query,
		})
		require.NoError(t, err)
		defer s.Close()
		ask := func(db *sql.DB, pragma string) (value string) {
			require.NoError(t, db.QueryRow("PRAGMA "+pragma).Scan(&value))
			return value
		}
		synchronous := "2" // FULL
		if strings.Contains(query, "NORMAL") {
			synchronous = "1"
		}
		for i, db := range []*sql.DB{s.reads.db, s.writes.db} {
			assert.Equal(t, cache[i], ask(db, "cache_size"), query)
			assert.Equal(t, "wal", ask(db, "journal_mode"), query)
			assert.Equal(t, synchronous, ask(db, "synchronous"), query)
			assert.Equal(t, "10000", ask(db, "busy_timeout"), query)
		}
		assert.Equal(t, "0", ask(s.writes.db, "wal_autocheckpoint"), query)
		assert.Equal(t, "67108864", ask(s.writes.db, "journal_size_limit"), query)
	}
}

// The database holds secrets: its files are their owner's.
func TestSQLiteFileMode(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]os.FileMode{"new.db": 0o600, "old.db": 0o640} {
		file := filepath.Join(t.TempDir(), name)
		if mode != 0o600 {
			require.NoError(t, os.WriteFile(file, nil, mode))
		}
		s, _, err := Open(t.Context(), StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + file + "?cache=shared"})
		require.NoError(t, err)
		defer s.Close()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(file + suffix)
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode(), name+suffix)
		}
	}
	for _, name := range []string{":memory:", "file::memory:?cache=shared", "file:x?mode=memory", "file:y.db?mode=ro", ""} {
		require.NoError(t, makeSQLiteFile(name))
	}
	assert.NoFileExists(t, "x")
	assert.NoFileExists(t, "y.db")
	assert.NoFileExists(t, ":memory:")
}

func TestMySQLDSN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ given, database, want, user, password string }{
		{"root:123456@tcp(localhost:3306)/", "casdoor", "casdoor", "root", "123456"}, // Casdoor's default
		{"root:123456@tcp(localhost:3306)/shop", "casdoor", "shop", "root", "123456"},
		{"u:p@ss:w/rd@tcp(db:3306)/?timeout=3s", "casdoor", "casdoor", "u", "p@ss:w/rd"},
		{"u@unix(/tmp/mysql.sock)/casdoor?clientFoundRows=true&columnsWithAlias=true&charset=utf8", "", "casdoor", "u", ""},
	} {
		got, err := mysqlDSN(StoreConfig{DataSourceName: c.given, DBName: c.database})
		require.NoError(t, err, c.given)
		assert.Equal(t, []string{c.want, c.user, c.password}, []string{got.DBName, got.User, got.Passwd}, c.given)
		assert.Contains(t, got.FormatDSN(), "charset=utf8mb4")
		assert.False(t, got.ClientFoundRows || got.ColumnsWithAlias)
		assert.True(t, got.RejectReadOnly)
	}
}

// halfShaken is a connection that breaks when the driver has read the server's greeting.
type halfShaken struct {
	net.Conn
	greeting *bytes.Reader
}

func (c halfShaken) Read(p []byte) (int, error)     { return c.greeting.Read(p) }
func (halfShaken) Write([]byte) (int, error)        { return 0, syscall.ECONNRESET }
func (halfShaken) Close() error                     { return nil }
func (halfShaken) SetDeadline(time.Time) error      { return nil }
func (halfShaken) SetWriteDeadline(time.Time) error { return nil }

func TestMySQLHandshakeBreaks(t *testing.T) {
	t.Parallel()
	const zeros = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	const greeting = "\x2f\x00\x00\x00" + // 47 bytes, packet 0
		"\x0a" + "8\x00" + "\x01\x00\x00\x00" + "saltsalt\x00" + // protocol, version, connection, salt
		"\x01\x82" + zeros + "and12of salt\x00" // capabilities, what is not asked, the rest of the salt
	tries := 0
	mysql.RegisterDialContext("half", func(context.Context, string) (net.Conn, error) {
		tries++
		return halfShaken{greeting: bytes.NewReader([]byte(greeting))}, nil
	})
	defer mysql.DeregisterDialContext("half")
	db, err := dialect{driver: "mysql"}.open("root@half(server)/minidoor")
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	err = db.PingContext(t.Context())
	assert.True(t, IsUnavailable(err), "%v", err)
	assert.Greater(t, tries, 1, "nothing was asked yet: another connection may do")
}

func TestPostgresDSN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ given, database, want, password string }{
		{"user=postgres password=p host=localhost port=5432 sslmode=disable dbname=", "casdoor", "casdoor", "p"}, // Casdoor's
		{"user=postgres password=postgres host=localhost sslmode=disable", "casdoor", "casdoor", "postgres"},
		{"user=postgres password=x host=localhost dbname=shop", "", "shop", "x"},
		{"user=postgres password=x host=localhost dbname=shop", "casdoor", "shop", "x"},
		{"user = postgres password = x host=localhost", "casdoor", "casdoor", "x"},
		{"user=postgres password='a b\\'c' host=localhost", `it's\`, `it's\`, "a b'c"},
		{"postgres://postgres:p%40ss@localhost:5432?sslmode=disable", "casdoor", "casdoor", "p@ss"},
		{"postgresql://postgres:p@localhost/shop", "", "shop", "p"},
		{"postgres://postgres:p@localhost/shop", "casdoor", "shop", "p"},
		{"postgres://postgres:p@localhost/?sslmode=disable", "casdoor", "casdoor", "p"},
	} {
		got, err := postgresDSN(StoreConfig{DataSourceName: c.given, DBName: c.database})
		require.NoError(t, err, c.given)
		parsed, err := pgx.ParseConfig(got)
		require.NoError(t, err, got)
		assert.Equal(t, []string{c.want, c.password, "localhost"},
			[]string{parsed.Database, parsed.Password, parsed.Host}, c.given)

		d := dialect{driver: "pgx"}
		db, err := d.open(got)
		require.NoError(t, err, got)
		_, err = xorm.NewEngineWithDB(d.driver, d.nameForXorm(got), core.FromDB(db))
		require.NoError(t, err, "xorm reads %s otherwise", c.given)
		require.NoError(t, db.Close())
	}
}

func TestSourceErrorsHoldNoPassword(t *testing.T) {
	t.Parallel()
	for driver, names := range map[string][]string{
		"mysql":    {"root:SECRET", "root:SECRET@tcp(localhost:3306", "root:SECRET@tcp(127.0.0.1:1)/"},
		"postgres": {"password=SECRET host", "postgres://u:SECRET@:bad/", "user=u password=SECRET host=127.0.0.1 port=1"},
	} {
		for _, name := range names {
			_, _, err := Open(t.Context(), StoreConfig{DriverName: driver, DataSourceName: name, DBName: "x"})
			require.Error(t, err, name)
			assert.NotContains(t, err.Error(), "SECRET")
		}
	}
}

// A file that a start could not write to is named: -shm is of whoever has used the database last.
func TestDiagnoseFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	cfg := StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + path + "?cache=shared"}
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	found, err := DiagnoseFiles(cfg)
	require.NoError(t, err)
	assert.Empty(t, found)
	require.NoError(t, os.Mkdir(path+"-shm", 0o700)) // which nobody can write to, root neither
	found, err = DiagnoseFiles(cfg)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, Problem, found[0].Severity)
	assert.Contains(t, found[0].Text, "database: it cannot be written to: open "+path+"-shm: ")
	cfg.DriverName = "postgres"
	found, err = DiagnoseFiles(cfg)
	require.NoError(t, err)
	assert.Empty(t, found)
}

// SQLite itself does not say which file it is.
func TestReadOnlyFileIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, _, err := Open(t.Context(), StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + path + "?mode=ro"})
	require.ErrorContains(t, err, "may not write to the SQLite file")
}

// Of two names for the database a server of its own would make the wrong one, and start with nothing in it.
func TestPostgresNamesOneDatabase(t *testing.T) {
	t.Parallel()
	_, err := postgresSource(t.Context(), StoreConfig{
		DataSourceName: "host=127.0.0.1 port=1 user=postgres password=secret dbname=shop", DBName: "casdoor",
	})
	require.ErrorContains(t, err, "different databases")
	assert.NotContains(t, err.Error(), "secret")
}
