package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A store beside a Casdoor works in that Casdoor's own tables. It alters none of them: it looks which columns there
// are, as older Casdoors lack some, and does without the others.

// casdoorOnly is a table that every Casdoor since v1.41 has, and that we never make.
const casdoorOnly = "syncer"

// coreColumns are the columns without which nobody can be signed in, by the table's name without its prefix. All of
// them are in Casdoor v1.41.
func coreColumns() map[string][]string {
	return map[string][]string{
		"organization": {"owner", "name"},
		"application": {
			"owner", "name", "organization", "cert", "providers", "client_id", "client_secret", "enable_sign_up",
			"expire_in_hours",
		},
		"provider": {"owner", "name", "type", "client_id", "client_secret"},
		"cert":     {"owner", "name", "private_key"},
		"user": {
			"owner", "name", "id", "created_time", "updated_time", "type", "display_name", "avatar", "signup_application",
			"wechat", "properties", "is_admin", "is_forbidden", "is_deleted",
		},
		"token": {
			"owner", "name", "created_time", "application", "organization", "user", "access_token", "refresh_token",
			"expires_in", "scope", "token_type",
		},
	}
}

// ErrNoCasdoor means that a store was to be opened beside a Casdoor, and the database has no tables of one.
var ErrNoCasdoor = errors.New("the database holds no Casdoor: start Casdoor on it first")

// schema is which columns a Casdoor's tables have.
type schema map[string][]string

// lookAround finds out whether the tables are a Casdoor's, and if so, which columns they have. The schema of a
// database that is ours is nil.
func (s *Store) lookAround(ctx context.Context, cfg StoreConfig) (schema, error) {
	made, err := s.engine.Context(ctx).IsTableExist(cfg.TableNamePrefix + casdoorOnly)
	if err != nil {
		return nil, err
	}
	if !made && cfg.Beside {
		return nil, ErrNoCasdoor
	}
	if !made {
		return nil, nil
	}
	found, err := s.schemaOf(ctx, cfg.TableNamePrefix)
	if err != nil {
		return nil, err
	}
	if err := s.findGroupRules(ctx, cfg.TableNamePrefix); err != nil {
		return nil, err
	}
	return found, found.complete()
}

// schemaOf returns which columns Casdoor's tables have.
func (s *Store) schemaOf(ctx context.Context, prefix string) (found schema, err error) {
	found = schema{}
	for table := range coreColumns() {
		if found[table], err = s.columnsOf(ctx, prefix+table); err != nil {
			return nil, err
		}
	}
	for _, table := range []string{"record", "resource", "role", "permission"} { // which a Casdoor may do without
		known, err := s.engine.Context(ctx).IsTableExist(prefix + table)
		if err != nil {
			return nil, err
		}
		if !known {
			continue
		}
		if found[table], err = s.columnsOf(ctx, prefix+table); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// columnsOf returns the names of a table's columns.
func (s *Store) columnsOf(ctx context.Context, table string) ([]string, error) {
	rows, err := s.engine.DB().DB.QueryContext(ctx, "SELECT * FROM "+s.dialect.quote(table)+" WHERE 1=0")
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", table, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", table, err)
	}
	return columns, rows.Err()
}

// complete returns an error that names all core columns that are missing.
func (s schema) complete() error {
	var missing []string
	for table, columns := range coreColumns() {
		for _, column := range columns {
			if !slices.Contains(s[table], column) {
				missing = append(missing, table+"."+column)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("this Casdoor is older than v1.41 or damaged: its tables lack %s", strings.Join(missing, ", "))
}

// has returns what newTable asks about a table's columns.
func (s schema) has(table string) func(string) bool {
	columns, known := s[table]
	if !known {
		return nil
	}
	return func(column string) bool { return slices.Contains(columns, column) }
}
