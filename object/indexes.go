package object

import (
	"fmt"
	"reflect"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"xorm.io/xorm"
)

// index is an index of ours beside those that Casdoor's tables have.
type index struct {
	name    string // empty: as Casdoor names it, who has the same
	row     any
	columns []string
	where   string // SQLite and PostgreSQL leave other rows out
	text    string // the column that PostgreSQL is to look up by its beginning
}

// indexes are what users and tokens are looked up by, and the lists of the management API are ordered by. Each makes a
// sign-in or sign-up dearer: a little where rows that are made together lie together in it, and more where they do not.
// Casdoor has two more, of the hashes of tokens, in which rows lie anywhere; here a token itself says which row is its
// own.
func indexes() []index {
	return []index{
		{row: new(sdk.User), columns: []string{"id"}},
		{row: new(sdk.User), columns: []string{"email"}},
		{row: new(sdk.User), columns: []string{"phone"}},
		{name: "mp_user_made", row: new(sdk.User), columns: []string{"owner", "created_time", "name"}},
		{name: "mp_user_made_all", row: new(sdk.User), columns: []string{"created_time", "name", "owner"}},
		{
			name: "mp_user_nick", row: new(sdk.User), columns: []string{"owner", "display_name", "name"},
			where: "display_name<>''", text: "display_name",
		},
		{name: "mp_token_name", row: new(sdk.Token), columns: []string{"organization", "name"}},
		{name: "mp_token_user", row: new(sdk.Token), columns: []string{"organization", "user"}},
		{name: "mp_resource_user", row: new(sdk.Resource), columns: []string{"owner", "user"}},
		{name: "mp_record_home", row: new(sdk.Record), columns: []string{"organization", "id"}},
	}
}

// patternIndexes are what PostgreSQL needs besides to look a text up by its beginning.
func patternIndexes() []index {
	return []index{
		{name: "mp_user_name", row: new(sdk.User), columns: []string{"owner", "name"}, text: "name"},
		{name: "mp_user_phone", row: new(sdk.User), columns: []string{"phone"}, text: "phone", where: "phone<>''"},
		{name: "mp_user_email", row: new(sdk.User), columns: []string{"email"}, text: "email", where: "email<>''"},
	}
}

// makeIndexes makes those that are missing. It is for tables that are ours: a Casdoor's stay as they are.
func (s *Store) makeIndexes(session *xorm.Session) error {
	all := indexes()
	if s.dialect.driver == "pgx" {
		all = append(all, patternIndexes()...)
	}
	for _, i := range all {
		if err := s.makeIndex(session, i); err != nil {
			return fmt.Errorf("index of %s (%s): %w", s.engine.TableName(i.row), strings.Join(i.columns, ", "), err)
		}
	}
	return nil
}

func (s *Store) makeIndex(session *xorm.Session, i index) error {
	table := s.engine.TableName(i.row)
	name := "IDX_" + table + "_" + strings.Join(i.columns, "_")
	if i.name != "" {
		name = s.indexPrefix(table, i.row) + i.name
	}
	// Of tables with several prefixes earlier versions gave the name without one to the first, which keeps it.
	if known, err := s.hasIndex(session, table, name, i.name); err != nil || known {
		return err
	}
	columns := make([]string, len(i.columns))
	for n, column := range i.columns {
		columns[n] = s.dialect.quote(column)
		if column == i.text && s.dialect.driver == "pgx" {
			columns[n] += " varchar_pattern_ops"
		}
	}
	create, where := "CREATE INDEX IF NOT EXISTS", "" // PostgreSQL cuts long names, and hasIndex does not find them
	if s.dialect.driver == "mysql" {
		create = "CREATE INDEX"
	} else if i.where != "" {
		where = " WHERE " + i.where
	}
	_, err := session.Exec(fmt.Sprintf("%s %s ON %s (%s)%s",
		create, s.dialect.quote(name), s.dialect.quote(table), strings.Join(columns, ", "), where))
	return err
}

// indexPrefix returns what the table's name begins with before Casdoor's, where the indexes of all tables share one
// name space.
func (s *Store) indexPrefix(table string, row any) string {
	if s.dialect.driver == "mysql" {
		return ""
	}
	return strings.TrimSuffix(table, tableNames{}.Obj2Table(reflect.TypeOf(row).Elem().Name()))
}

// hasIndex reports whether a table has an index of one of two names.
func (s *Store) hasIndex(session *xorm.Session, table, name, formerName string) (bool, error) {
	query := map[string]string{
		"sqlite": "SELECT 1 FROM sqlite_master WHERE type='index' AND tbl_name=? AND name",
		"pgx":    "SELECT 1 FROM pg_indexes WHERE schemaname=current_schema() AND tablename=? AND indexname",
		"mysql": "SELECT 1 FROM information_schema.statistics WHERE table_schema=DATABASE() AND table_name=? " +
			"AND index_name",
	}[s.dialect.driver]
	return session.SQL(query+" IN (?, ?)", table, name, formerName).Exist()
}
