package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/dbserver"
)

// The databases, by Casdoor's driverName.
func databaseKinds() []string { return []string{"sqlite", "postgres", "mysql"} }

// newDatabase returns a database of the benchmark's own, which does not exist yet.
func newDatabase(kind, folder string, users int) object.StoreConfig {
	name := dbserver.NewName("minidoor_bench_")
	switch kind {
	case "postgres":
		return dbserver.Postgres(name)
	case "mysql":
		return dbserver.MySQL(name)
	default:
		return dbserver.SQLite(filepath.Join(folder, fmt.Sprintf("%d.db", users)))
	}
}

// databasesHere returns the kinds whose server answers.
func databasesHere(ctx context.Context) []string {
	var here []string
	for _, kind := range databaseKinds() {
		if kind == "sqlite" || dbserver.Answers(ctx, newDatabase(kind, "", 0)) == nil {
			here = append(here, kind)
		}
	}
	return here
}

// takesSeveral reports whether several instances may work on one database of a kind. A SQLite file is one server's.
func takesSeveral(kind string) bool { return kind != "sqlite" }

// hurry makes the session of db write without care: what is lost in a crash is made anew.
func hurry(ctx context.Context, db *sql.DB, kind string) error {
	statements := map[string][]string{
		"sqlite":   {"PRAGMA synchronous=OFF", "PRAGMA cache_size=-500000"},
		"postgres": {"SET synchronous_commit=off", "SET work_mem='256MB'"},
		"mysql":    {"SET SESSION unique_checks=0", "SET SESSION sort_buffer_size=268435456"},
	}
	return execAll(ctx, db, statements[kind])
}

// settle brings everything to the disk and has the database look at what there is now: else it would do so under the
// measurements.
func settle(ctx context.Context, db *sql.DB, store object.StoreConfig) error {
	tables := []string{"user", "token", "mini_program_identity", "mini_program_session"}
	switch store.DriverName {
	case "postgres":
		return execAll(ctx, db, []string{"VACUUM ANALYZE", "CHECKPOINT"})
	case "mysql":
		quoted := "`" + strings.Join(tables, "`, `") + "`"
		return execAll(ctx, db, []string{"ANALYZE TABLE " + quoted, "FLUSH TABLES " + quoted + " FOR EXPORT", "UNLOCK TABLES"})
	default:
		return settleSQLite(ctx, db, sqliteFile(store))
	}
}

func sqliteFile(store object.StoreConfig) string {
	return strings.TrimPrefix(store.DataSourceName, "file:")
}

// warm reads a SQLite file once, so that all of it is in memory, as that of a busy server on a machine of the right
// size. A kernel may be set to take out what was not used for a while, whether memory is short or not: then what is
// measured would be the disk.
func warm(store object.StoreConfig) error {
	if store.DriverName != "sqlite" {
		return nil
	}
	f, err := os.Open(sqliteFile(store))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for buf := make([]byte, 1<<20); err == nil; {
		_, err = f.Read(buf)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func settleSQLite(ctx context.Context, db *sql.DB, file string) error {
	if err := execAll(ctx, db, []string{"PRAGMA wal_checkpoint(TRUNCATE)"}); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func execAll(ctx context.Context, db *sql.DB, statements []string) error {
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
