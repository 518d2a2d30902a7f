package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// openIDFormat makes an OpenID of a user's number, counted from 0. In front stands a hash of the number, so that
// neighbours do not lie side by side in an index: real users do not either.
const openIDFormat = "o%08xBenchmark%010d"

func openID(n int) string { return fmt.Sprintf(openIDFormat, spread(n), n) }

// spread is a bijection of the 32-bit numbers, and spreadSQL the same in SQLite.
func spread(n int) uint32 { return uint32(n) * 2654435761 }

const spreadSQL = "(n * 2654435761) & 4294967295"

// substitute is a text in the rows of user 0, and the format that makes another user's out of spread(n) and n.
type substitute struct{ old, format string }

// multiply makes users 1 to count-1 out of user 0, the only one who has signed in, each with an identity, a session and
// a token. The server must not run.
func multiply(ctx context.Context, file string, count int) error {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=synchronous(OFF)&_pragma=cache_size(-500000)")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	first := openID(0)
	var name, id, token, access, refresh string
	row := db.QueryRowContext(ctx, "SELECT u.name, u.id, t.name, t.access_token_hash, t.refresh_token_hash "+
		"FROM user u JOIN token t ON t.organization=u.owner AND t.user=u.name WHERE u.wechat=?", first)
	if err := row.Scan(&name, &id, &token, &access, &refresh); err != nil {
		return fmt.Errorf("the user to copy: %w", err)
	}
	substitutes := []substitute{
		{first, openIDFormat},
		{id, "%08x-0000-4000-8000-%012d"},
		{token, "%08x-0000-4000-9000-%012d"},
		{access, "%08xaaaa%052d"},
		{refresh, "%08xbbbb%052d"},
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, r := range []struct{ table, column, value string }{
		{"user", "name", name},
		{"token", "user", name},
		{"mini_program_identity", "open_id", first},
		{"mini_program_session", "open_id", first},
	} {
		query := fmt.Sprintf("SELECT * FROM `%s` WHERE `%s`=?", r.table, r.column)
		columns, values, err := oneRow(ctx, tx, query, r.value)
		if err == nil {
			err = insertCopies(ctx, tx, r.table, columns, values, substitutes, count)
		}
		if err != nil {
			return fmt.Errorf("copy the row of %s: %w", r.table, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return flush(ctx, db, file)
}

// flush brings everything to the disk: else the server's first commits would wait for what was written here.
func flush(ctx context.Context, db *sql.DB, file string) error {
	if _, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// oneRow returns the column names and the values of the one row that a query has.
func oneRow(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, []any, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, nil, err
	}
	values := make([]any, len(columns))
	dest := make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	if !rows.Next() {
		return nil, nil, sql.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return nil, nil, err
	}
	if rows.Next() {
		return nil, nil, fmt.Errorf("more than one row")
	}
	return columns, values, rows.Err()
}

// insertCopies inserts a row count-1 times, with the substitutes in it made those of users 1 to count-1.
func insertCopies(
	ctx context.Context, tx *sql.Tx, table string, columns []string, values []any, substitutes []substitute, count int,
) error {
	expressions := make([]string, len(columns))
	args := []any{count}
	for i, value := range values {
		expressions[i] = "?"
		args = append(args, value)
		text, _ := value.(string)
		for _, s := range substitutes {
			if strings.Contains(text, s.old) {
				expressions[i] = fmt.Sprintf("replace(%s, ?, printf(?, %s, n))", expressions[i], spreadSQL)
				args = append(args, s.old, s.format)
			}
		}
	}
	query := fmt.Sprintf("WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM numbers WHERE n+1 < ?) "+
		"INSERT INTO `%s` (`%s`) SELECT %s FROM numbers WHERE n > 0",
		table, strings.Join(columns, "`,`"), strings.Join(expressions, ","))
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}
