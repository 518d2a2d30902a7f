package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/go-jose/go-jose/v4"

	"github.com/minidoor/minidoor/object/sqlitefile"
)

// DiagnoseSchema names what the first start of this version adds to tables that an earlier one has made.
func (s *Store) DiagnoseSchema() []Finding {
	if len(s.unmade) == 0 {
		return nil
	}
	return []Finding{found(Fine, "database: an earlier version has made it, and the first start of this one adds %s",
		strings.Join(s.unmade, ", "))}
}

// DiagnoseWriting tries whether a server lets us write where sign-ins do, by statements that reach no row, in a
// transaction that is undone.
func (s *Store) DiagnoseWriting(ctx context.Context) ([]Finding, error) {
	if s.dialect.driver == "sqlite" {
		return nil, nil // it was opened to be read; see DiagnoseFiles
	}
	tried := slices.Concat(tries(s.users), tries(s.tokens))
	if s.records != nil {
		tried = append(tried, tries(s.records)...)
	}
	if !s.bare {
		tried = slices.Concat(tried, tries(s.identities), tries(s.sessions), tries(s.unions), tries(s.marks))
	}
	errUndo := errors.New("all is undone")
	err := s.writes.transact(ctx, func(tx *txn) error {
		for _, query := range tried {
			if _, err := tx.execOnce(query); err != nil {
				what, _, _ := strings.Cut(query, " (") // without the many columns
				return fmt.Errorf("%s: %w", what, s.dialect.explain(err))
			}
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		return nil, err
	}
	return s.diagnoseRights(ctx)
}

// tries returns statements that write to a table, and change nothing. There are none where the table is still to be
// made.
func tries[T any](t *table[T]) []string {
	if len(t.columns) == 0 {
		return nil
	}
	column := t.dialect.quote(t.columns[0].name)
	return []string{
		fmt.Sprintf("INSERT INTO %[1]s (%[2]s) SELECT %[2]s FROM %[1]s WHERE 1=0", t.name, t.list(t.columns, "")),
		fmt.Sprintf("UPDATE %[1]s SET %[2]s=%[2]s WHERE 1=0", t.name, column),
		fmt.Sprintf("DELETE FROM %s WHERE 1=0", t.name),
	}
}

// diagnoseRights asks PostgreSQL for the rights that only a row would show, or the first start.
func (s *Store) diagnoseRights(ctx context.Context) ([]Finding, error) {
	asked := map[string]string{}
	if s.dialect.driver == "pgx" && s.records != nil {
		asked["the sequence of the ids of records cannot be used"] =
			"SELECT COALESCE(has_sequence_privilege(pg_get_serial_sequence('" + s.records.name + "', 'id'), 'USAGE'), TRUE)"
	}
	if s.dialect.driver == "pgx" && s.bare {
		asked["no tables can be made in the schema"] = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
	}
	all := []Finding{}
	for wrong, query := range asked {
		var allowed bool
		if err := scanOne(s.read(ctx), []any{&allowed}, query); err != nil {
			return nil, err
		}
		if !allowed {
			all = append(all, found(Problem, "database: %s", wrong))
		}
	}
	if len(all) == 0 {
		all = append(all, found(Fine, "database: it can be written to"))
	}
	return all, nil
}

// DiagnoseUpstream compares the keys that the Casdoor behind a gateway serves with those of the database: they must be
// on the same one.
func (s *Store) DiagnoseUpstream(ctx context.Context, served []jose.JSONWebKey) ([]Finding, error) {
	rows, err := s.certs.find(s.read(ctx), "")
	if err != nil {
		return nil, err
	}
	finding := found(Problem, "casdoorUpstream: none of the keys that it serves is in this database: "+
		"it has another one, or is no Casdoor")
	for _, row := range rows {
		key, err := s.keyring.parse(row)
		if err != nil || !slices.ContainsFunc(served, func(k jose.JSONWebKey) bool { return key.isPublic(k.Key) }) {
			continue
		}
		if !key.isCasdoorsOwn() {
			return []Finding{found(Fine, "casdoorUpstream: it serves the keys of this database")}, nil
		}
		finding = found(Fine, "casdoorUpstream: it answers; whether it is on this database its keys do not tell")
	}
	return []Finding{finding}, nil
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
	file, params := sqlitefile.Parse(dataSource)
	waits := slices.ContainsFunc(params["_pragma"], func(p string) bool { return strings.HasPrefix(p, "busy_timeout") })
	if waits && params.Get("cache") != "shared" {
		return nil
	}
	return []Finding{found(Warning, "database: Casdoor fails with \"database is locked\" where it does not wait: "+
		"in its app.conf let dataSourceName be \"file:%s?_pragma=busy_timeout(10000)\", without cache=shared", file)}
}
