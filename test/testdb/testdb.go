// Package testdb gives tests an empty database of each kind that the product runs on.
package testdb

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// Where the servers are, unless TEST_POSTGRES_DSN and TEST_MYSQL_DSN say otherwise. The user must be allowed to create
// databases.
const (
	defaultPostgres = "host=127.0.0.1 port=5432 user=postgres sslmode=disable"
	defaultMySQL    = "root@tcp(127.0.0.1:3306)/"
)

// serverPatience is how long a server may take to answer before it counts as absent.
const serverPatience = 2 * time.Second

// Each runs test once for each kind of database, in parallel.
func Each(t *testing.T, test func(t *testing.T, cfg object.StoreConfig)) {
	t.Helper()
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			test(t, kind.Empty(t))
		})
	}
}

// Kind is a kind of database.
type Kind struct {
	Name  string // Casdoor's driverName
	Empty func(t testing.TB) object.StoreConfig
}

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{{"sqlite", SQLite}, {"postgres", Postgres}, {"mysql", MySQL}}
}

// SQLite returns a database in a file that does not exist yet.
func SQLite(t testing.TB) object.StoreConfig {
	t.Helper()
	return object.StoreConfig{
		DriverName: "sqlite", DataSourceName: "file:" + filepath.Join(t.TempDir(), "test.db"),
	}
}

// Postgres returns a database that does not exist yet, and that is dropped when the test ends. The test is skipped
// where no server answers; with CI=true it fails.
func Postgres(t testing.TB) object.StoreConfig {
	t.Helper()
	cfg := object.StoreConfig{
		DriverName: "postgres", DataSourceName: cmp.Or(os.Getenv("TEST_POSTGRES_DSN"), defaultPostgres), DBName: newName(),
	}
	server := cfg
	server.DBName = "postgres"
	need(t, server, "TEST_POSTGRES_DSN")
	t.Cleanup(func() { run(t, server, `DROP DATABASE IF EXISTS "`+cfg.DBName+`" WITH (FORCE)`) })
	return cfg
}

// MySQL is Postgres for MySQL and MariaDB.
func MySQL(t testing.TB) object.StoreConfig {
	t.Helper()
	cfg := object.StoreConfig{
		DriverName: "mysql", DataSourceName: cmp.Or(os.Getenv("TEST_MYSQL_DSN"), defaultMySQL), DBName: newName(),
	}
	server := cfg
	server.DBName = ""
	need(t, server, "TEST_MYSQL_DSN")
	t.Cleanup(func() { run(t, server, "DROP DATABASE IF EXISTS `"+cfg.DBName+"`") })
	return cfg
}

func newName() string { return "minidoor_test_" + strings.ToLower(rand.Text()) }

// need skips the test, or fails it where all servers must be there, unless the server of cfg answers.
func need(t testing.TB, cfg object.StoreConfig, variable string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), serverPatience)
	defer cancel()
	driver, name := DataSource(t, cfg)
	db, err := sql.Open(driver, name)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	if err = db.PingContext(ctx); err == nil {
		return
	}
	const advice = "no %s server answers (%s says where it is): %v"
	if os.Getenv("CI") == "true" {
		t.Fatalf(advice, cfg.DriverName, variable, err)
	}
	t.Skipf(advice, cfg.DriverName, variable, err)
}

func run(t testing.TB, cfg object.StoreConfig, statement string) {
	t.Helper()
	driver, name := DataSource(t, cfg)
	db, err := sql.Open(driver, name)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	_, err = db.Exec(statement)
	require.NoError(t, err)
}

// Connect returns the database itself, for a look past the store. It must exist; it is closed when the test ends.
func Connect(t testing.TB, cfg object.StoreConfig) *sql.DB {
	t.Helper()
	driver, name := DataSource(t, cfg)
	db, err := sql.Open(driver, name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// DataSource returns the names by which database/sql knows the driver and the database of cfg.
func DataSource(t testing.TB, cfg object.StoreConfig) (driver, name string) {
	t.Helper()
	switch cfg.DriverName {
	case "sqlite":
		return "sqlite", cfg.DataSourceName + "?_pragma=busy_timeout(10000)"
	case "mysql":
		dsn, err := mysql.ParseDSN(cfg.DataSourceName)
		require.NoError(t, err)
		dsn.DBName = cfg.DBName
		return "mysql", dsn.FormatDSN()
	default:
		return "pgx", postgresDSN(t, cfg)
	}
}

func postgresDSN(t testing.TB, cfg object.StoreConfig) string {
	t.Helper()
	if !strings.Contains(cfg.DataSourceName, "://") {
		return cfg.DataSourceName + " dbname=" + cfg.DBName
	}
	u, err := url.Parse(cfg.DataSourceName)
	require.NoError(t, err)
	u.Path = "/" + cfg.DBName
	return u.String()
}
