package object

import (
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"xorm.io/xorm"
)

// table reads and writes rows of T with the columns that xorm derives from T's tags. xorm itself needs half a
// millisecond for one of Casdoor's 190-column users, many times what a sign-in may cost; so the paths that must be
// fast use this.
type table[T any] struct {
	name    string // quoted
	dialect dialect
	columns []column // that the database has; an older Casdoor lacks some
	byName  map[string]int
	inserts *lru.Cache[string, string] // the text of an INSERT, by which fields are filled and by its suffix
}

// maxInserts bounds the texts of INSERTs that are kept for a table.
const maxInserts = 100

// column is one column of a table and the struct field that holds it.
type column struct {
	name   string
	field  []int
	json   bool   // stored as JSON text
	binary bool   // that text is stored as bytes
	auto   bool   // the database numbers new rows with it
	zero   string // the field's zero value as SQL
}

// newTable maps T to the columns that has approves; nil approves all.
func newTable[T any](engine *xorm.Engine, d dialect, has func(column string) bool) (*table[T], error) {
	bean := new(T)
	info, err := engine.TableInfo(bean)
	if err != nil {
		return nil, fmt.Errorf("columns of %T: %w", bean, err)
	}
	t := &table[T]{
		name: d.quote(engine.TableName(bean)), dialect: d, byName: map[string]int{},
		inserts: newLRU[string, string](maxInserts),
	}
	for _, c := range info.Columns() {
		field, ok := reflect.TypeFor[T]().FieldByName(c.FieldName)
		if !ok {
			return nil, fmt.Errorf("columns of %T: no field %s", bean, c.FieldName)
		}
		if has != nil && !has(c.Name) {
			continue
		}
		t.byName[c.Name] = len(t.columns)
		col := column{
			name: c.Name, field: field.Index, json: storedAsJSON(field.Type), binary: c.SQLType.IsBlob(), auto: c.IsAutoIncrement,
		}
		col.zero = col.zeroOf(field.Type.Kind(), d)
		t.columns = append(t.columns, col)
	}
	return t, nil
}

// zeroOf returns the zero value of a field as SQL, or "" for one that has to be sent as an argument.
func (c column) zeroOf(kind reflect.Kind, d dialect) string {
	switch {
	case c.binary:
		return ""
	case kind == reflect.Pointer:
		return "NULL"
	case c.json:
		return "'null'"
	case kind == reflect.String:
		return "''"
	case kind == reflect.Bool && d.numbered:
		return "FALSE"
	default:
		return "0"
	}
}

func storedAsJSON(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return false
	case reflect.Slice:
		return t != reflect.TypeFor[[]byte]()
	default:
		return true
	}
}

// pick returns the columns of those names that the database has, in that order.
func (t *table[T]) pick(names ...string) []column {
	picked := make([]column, 0, len(names))
	for _, name := range names {
		if i, ok := t.byName[name]; ok {
			picked = append(picked, t.columns[i])
		}
	}
	return picked
}

// plain returns the columns that hold no JSON.
func (t *table[T]) plain() []column {
	return slices.DeleteFunc(slices.Clone(t.columns), func(c column) bool { return c.json })
}

// has reports whether the database has all these columns.
func (t *table[T]) has(names ...string) bool { return len(t.pick(names...)) == len(names) }

// texts returns those fields of a row, by their columns, that the database has. All of them are strings.
func (t *table[T]) texts(row *T, names []string) []reflect.Value {
	var texts []reflect.Value
	for _, c := range t.pick(names...) {
		texts = append(texts, reflect.ValueOf(row).Elem().FieldByIndex(c.field))
	}
	return texts
}

// columnOf returns the column of a name, or of the field that JSON knows by that name.
func (t *table[T]) columnOf(name string) (string, bool) {
	if _, known := t.byName[name]; known {
		return name, true
	}
	for _, c := range t.columns {
		if name != "" && t.jsonName(c) == name {
			return c.name, true
		}
	}
	return "", false
}

// isBool reports whether a column is true or false.
func (t *table[T]) isBool(name string) bool {
	columns := t.pick(name)
	return len(columns) == 1 && reflect.TypeFor[T]().FieldByIndex(columns[0].field).Type.Kind() == reflect.Bool
}

// jsonName returns the name by which JSON knows a column's field, "" where it has none.
func (t *table[T]) jsonName(c column) string {
	tag, _, _ := strings.Cut(reflect.TypeFor[T]().FieldByIndex(c.field).Tag.Get("json"), ",")
	return tag
}

// asText is a column as a text, in SQL.
func (t *table[T]) asText(name string) string {
	quoted := t.dialect.quote(name)
	for _, c := range t.pick(name) {
		if reflect.TypeFor[T]().FieldByIndex(c.field).Type.Kind() == reflect.String || c.json && !c.binary {
			continue
		}
		if t.dialect.driver == "mysql" {
			return "CAST(" + quoted + " AS CHAR)"
		}
		return "CAST(" + quoted + " AS TEXT)"
	}
	return quoted
}

// columnNames returns the names of all columns.
func (t *table[T]) columnNames() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// list names the columns for a SELECT or an INSERT; prefix is the alias with its dot, or empty.
func (t *table[T]) list(columns []column, prefix string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = prefix + t.dialect.quote(c.name)
	}
	return strings.Join(names, ", ")
}

// dest returns where to scan columns of a row to. NULL becomes the zero value.
func (t *table[T]) dest(row *T, columns []column) []any {
	cells := make([]cell, len(columns))
	dest := make([]any, len(columns))
	v := reflect.ValueOf(row).Elem()
	for i, c := range columns {
		cells[i] = cell{field: v.FieldByIndex(c.field), json: c.json}
		dest[i] = &cells[i]
	}
	return dest
}

// find reads the rows that the rest of the query selects, such as "WHERE owner=?".
func (t *table[T]) find(q querier, rest string, args ...any) ([]*T, error) {
	return t.findColumns(q, t.columns, t.name+" "+rest, args...)
}

// findColumns is find for some of the columns. from is the rest with the name of the table before it.
func (t *table[T]) findColumns(q querier, columns []column, from string, args ...any) (found []*T, err error) {
	err = eachRow(q, func(rows *sql.Rows) error {
		row := new(T)
		found = append(found, row)
		return rows.Scan(t.dest(row, columns)...)
	}, "SELECT "+t.list(columns, "")+" FROM "+from, args...)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// damagedRow is what the log says of a row that findReadable has met.
const damagedRow = "a row is damaged: columns of it cannot be read"

// findReadable is findColumns that goes on past damaged rows: what cannot be read of one, such as JSON that was cut off,
// is left empty. damaged is called for each of them with the columns that are, and says whether the row is wanted.
func (t *table[T]) findReadable(
	q querier, columns []column, damaged func(row *T, columns []string) bool, from string, args ...any,
) (found []*T, err error) {
	err = eachRow(q, func(rows *sql.Rows) error {
		row := new(T)
		dest := t.dest(row, columns)
		for _, d := range dest {
			d.(*cell).lenient = true
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		var empty []string
		for i, d := range dest {
			if d.(*cell).spoilt {
				empty = append(empty, columns[i].name)
			}
		}
		if len(empty) == 0 || damaged(row, empty) {
			found = append(found, row)
		}
		return nil
	}, "SELECT "+t.list(columns, "")+" FROM "+from, args...)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// byName is the condition that names a row, by the key that all of Casdoor's tables have.
const byName = "owner=? AND name=?"

// butFor is the end of a condition that leaves a row out. To MySQL a name that differs in case or accents only is equal:
// where somebody is to have another name, the row that has it already may be their own.
const butFor = " AND NOT (" + byName + ")"

// named reads the row of that owner and name, or returns ErrNotFound.
func (t *table[T]) named(q querier, owner, name string) (*T, error) {
	return t.get(q, "WHERE "+byName, owner, name)
}

// get reads the first row that the rest of the query selects, or returns ErrNotFound.
func (t *table[T]) get(q querier, rest string, args ...any) (*T, error) {
	found, err := t.find(q, rest, args...)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	return found[0], nil
}
