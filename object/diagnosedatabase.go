package object

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/go-jose/go-jose/v4"
)

// DiagnoseWriting tries whether a server lets us write where sign-ins do, by statements that reach no row.
func (s *Store) DiagnoseWriting(ctx context.Context) ([]Finding, error) {
	if s.dialect.driver == "sqlite" {
		return nil, nil // it was opened to be read
	}
	columns := map[string]string{s.users.name: "owner", s.tokens.name: "owner"} // one of each table
	if !s.bare {
		columns[s.identities.name], columns[s.sessions.name] = "open_id", "open_id"
	}
	for table, column := range columns {
		for _, query := range []string{
			"INSERT INTO %[1]s SELECT * FROM %[1]s WHERE 1=0", "UPDATE %[1]s SET %[2]s=%[2]s WHERE 1=0",
		} {
			if _, err := s.writes.db.ExecContext(ctx, fmt.Sprintf(query, table, column)); err != nil {
				return nil, fmt.Errorf("%s cannot be written to: %w", table, s.dialect.explain(err))
			}
		}
	}
	return []Finding{found(Fine, "database: it can be written to")}, nil
}

// DiagnoseUpstream compares the keys that the Casdoor behind a gateway serves with those of the database: they must be
// on the same one.
func (s *Store) DiagnoseUpstream(ctx context.Context, served []jose.JSONWebKey) ([]Finding, error) {
	rows, err := s.certs.find(s.read(ctx), "")
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		key, err := s.keyring.parse(row)
		if err == nil && slices.ContainsFunc(served, func(k jose.JSONWebKey) bool { return key.isPublic(k.Key) }) {
			return []Finding{found(Fine, "casdoorUpstream: it serves the keys of this database")}, nil
		}
	}
	return []Finding{found(Problem, "casdoorUpstream: none of the keys that it serves is in this database: "+
		"it has another one, or is no Casdoor")}, nil
}

// maxSkew is how far clocks may be apart.
const maxSkew = time.Minute

// CompareClocks compares a clock with another one, which is named.
func CompareClocks(now, other time.Time, whose string) Finding {
	skew := now.Sub(other).Round(time.Second)
	if skew.Abs() > maxSkew {
		return found(Problem, "clock: it differs by %s from %s: tokens and messages are taken as expired, or not yet valid",
			skew, whose)
	}
	return found(Fine, "clock: as %s", whose)
}

// DiagnoseClock compares a clock with that of the database's server, if it has one of its own.
func (s *Store) DiagnoseClock(ctx context.Context, now time.Time) ([]Finding, error) {
	if s.dialect.clock == "" {
		return nil, nil
	}
	var seconds float64
	if err := scanOne(s.read(ctx), []any{&seconds}, s.dialect.clock); err != nil {
		return nil, err
	}
	return []Finding{CompareClocks(now, time.UnixMilli(int64(seconds*1000)), "the database's")}, nil
}

// DiagnoseTexts looks whether MySQL takes nicknames with an emoji, which it does not in the tables of a Casdoor that was
// first set up before v1.16.5.
func (s *Store) DiagnoseTexts(ctx context.Context) ([]Finding, error) {
	if s.dialect.driver != "mysql" {
		return nil, nil
	}
	charset, _, err := s.textOf(ctx, s.engine.TableName(new(sdk.User)), "display_name")
	if err != nil || charset == "utf8mb4" {
		return nil, err
	}
	return []Finding{found(Warning, "database: nicknames with an emoji are left out, as the column takes %s: "+
		"ALTER TABLE %s MODIFY display_name varchar(100) CHARACTER SET utf8mb4", charset, s.users.name)}, nil
}

// DiagnoseWaiting looks whether a Casdoor, of whose file the data source is, waits on SQLite for what we write. It does
// not by itself, and with a shared cache what it reads goes stale meanwhile, which no waiting mends.
func (s *Store) DiagnoseWaiting(dataSource string) []Finding {
	if !s.beside || s.dialect.driver != "sqlite" {
		return nil
	}
	file, params := parseSQLite(dataSource)
	waits := slices.ContainsFunc(params["_pragma"], func(p string) bool { return strings.HasPrefix(p, "busy_timeout") })
	if waits && params.Get("cache") != "shared" {
		return nil
	}
	return []Finding{found(Warning, "database: Casdoor fails with \"database is locked\" where it does not wait: "+
		"in its app.conf let dataSourceName be \"file:%s?_pragma=busy_timeout(10000)\", without cache=shared", file)}
}
