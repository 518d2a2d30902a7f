// Package testdb gives tests an empty database of each kind that the product runs on.
package testdb

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/dbserver"
)

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
	return dbserver.SQLite(filepath.Join(t.TempDir(), "test.db"))
}

// Postgres returns a database that does not exist yet, and that is dropped when the test ends. The test is skipped
// where no server answers; with CI=true it fails.
func Postgres(t testing.TB) object.StoreConfig {
	t.Helper()
	return onServer(t, dbserver.Postgres(newName()), dbserver.PostgresVariable)
}

// MySQL is Postgres for MySQL and MariaDB.
func MySQL(t testing.TB) object.StoreConfig {
	t.Helper()
	return onServer(t, dbserver.MySQL(newName()), dbserver.MySQLVariable)
}

func newName() string { return dbserver.NewName("minidoor_test_") }

// onServer skips the test, or fails it where all servers must be there, unless the server of cfg answers.
func onServer(t testing.TB, cfg object.StoreConfig, variable string) object.StoreConfig {
	t.Helper()
	if err := dbserver.Answers(t.Context(), cfg); err != nil {
		absent(t, cfg.DriverName, variable, err)
	}
	t.Cleanup(func() { require.NoError(t, dbserver.Drop(context.Background(), cfg)) })
	return cfg
}

// absent skips the test, or fails it where all servers must be there.
func absent(t testing.TB, server, variable string, err error) {
	t.Helper()
	const advice = "no %s server answers (%s says where it is): %v"
	if os.Getenv("CI") == "true" {
		t.Fatalf(advice, server, variable, err)
	}
	t.Skipf(advice, server, variable, err)
}

// Connect returns the database itself, for a look past the store. It must exist; it is closed when the test ends.
func Connect(t testing.TB, cfg object.StoreConfig) *sql.DB {
	t.Helper()
	db, err := dbserver.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// DataSource returns the names by which database/sql knows the driver and the database of cfg.
func DataSource(t testing.TB, cfg object.StoreConfig) (driver, name string) {
	t.Helper()
	driver, name, err := dbserver.DataSource(cfg)
	require.NoError(t, err)
	return driver, name
}
