package object

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/object/sqlitefile"
)

// Backup copies a SQLite database into the new file target, which its owner alone may read. It may run while servers
// and a Casdoor use the database, and keeps nobody waiting: the copy is the database at one moment after Backup was
// called. target is complete and on the disk once it is there under its name; an existing file is fs.ErrExist and stays
// as it is. The database itself is not changed.
func Backup(ctx context.Context, cfg StoreConfig, target string) error {
	if cfg.DriverName != "sqlite" {
		return fmt.Errorf("driverName %s: only SQLite is backed up so; use the database's own tools", cfg.DriverName)
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "back up into", Path: target, Err: fs.ErrExist}
	}
	if err := sqliteFileIsThere(cfg.DataSourceName); err != nil {
		return fmt.Errorf("there is no database yet: %w", err)
	}
	folder := filepath.Dir(target)
	temp, err := os.CreateTemp(folder, ".backup-") // for its owner alone
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	defer os.Remove(temp.Name() + "-journal") // SQLite leaves it behind where the disk is full
	defer temp.Close()
	if err := vacuumInto(ctx, cfg.DataSourceName, temp.Name()); err != nil {
		return fmt.Errorf("copy %s into %s: %w", cfg.DataSourceName, folder, err)
	}
	if err := temp.Sync(); err != nil { // SQLite leaves that to its caller
		return err
	}
	if err := place(temp.Name(), target); err != nil {
		return err
	}
	return syncFolder(folder)
}

// place gives a file its name. Where no file can have two, as on exFAT and some shares, one that somebody else has made
// under that name since Backup has looked is replaced.
func place(temp, target string) error {
	err := os.Link(temp, target)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return os.Rename(temp, target)
	}
	return err
}

// vacuumInto writes what a read transaction sees into an empty file.
func vacuumInto(ctx context.Context, dataSourceName, file string) error {
	source, _ := sqlitefile.Parse(dataSourceName)
	db, err := sql.Open("sqlite", "file:"+source+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", file)
	return err
}

func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(blob.SyncFolder(f), f.Close())
}
