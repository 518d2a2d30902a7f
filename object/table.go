package object

import (
	"database/sql"
	"encoding/json"
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
	t := &table[T]{name: d.quote(engine.TableName(bean)), dialect: d, byName: map[string]int{}}
	if t.inserts, err = lru.New[string, string](maxInserts); err != nil {
		return nil, err
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
		col := column{name: c.Name, field: field.Index, json: storedAsJSON(field.Type), binary: c.SQLType.IsBlob(), auto: c.IsAutoIncrement}
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

// pick returns the columns of those names that the database has, in that order; all of them when there are no names.
func (t *table[T]) pick(names ...string) []column {
	if len(names) == 0 {
		return t.columns
	}
	picked := make([]column, 0, len(names))
	for _, name := range names {
		if i, ok := t.byName[name]; ok {
			picked = append(picked, t.columns[i])
		}
	}
	return picked
}

// has reports whether the database has all these columns.
func (t *table[T]) has(names ...string) bool { return len(t.pick(names...)) == len(names) }

// texts returns those fields of a row, by their columns, that the database has. All of them are strings.
func (t *table[T]) texts(row *T, names []string) []reflect.Value {
	var texts []reflect.Value
	if len(names) == 0 {
		return nil
	}
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
		tag, _, _ := strings.Cut(reflect.TypeFor[T]().FieldByIndex(c.field).Tag.Get("json"), ",")
		if tag == name && name != "" {
			return c.name, true
		}
	}
	return "", false
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
		cells[i] = cell{v.FieldByIndex(c.field), c.json}
		dest[i] = &cells[i]
	}
	return dest
}

// values returns the columns of a row as arguments of a statement.
func (t *table[T]) values(row *T, columns []column) ([]any, error) {
	values := make([]any, len(columns))
	v := reflect.ValueOf(row).Elem()
	for i, c := range columns {
		field := v.FieldByIndex(c.field)
		if !c.json || field.Kind() == reflect.Pointer && field.IsNil() {
			if field.Kind() == reflect.Int && field.Int() != int64(int32(field.Int())) && t.dialect.driver != "sqlite" {
				return nil, refuse(InvalidRequest, "%s is out of range", c.name) // of INTEGER, which servers have 4 bytes for
			}
			values[i] = plainValue(field)
			continue
		}
		text, err := json.Marshal(field.Interface())
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
		if c.binary {
			values[i] = text
		} else {
			values[i] = string(text)
		}
	}
	return values, nil
}

// plainValue returns a bare string for a text of any type: a driver would ask a Secret how it prints.
func plainValue(field reflect.Value) any {
	switch field.Kind() {
	case reflect.Pointer:
		return nil
	case reflect.String:
		return field.String()
	}
	return field.Interface()
}

// insert adds a row, with suffix behind the INSERT, and reports whether it did: with an "or ignore" suffix it may
// not.
func (t *table[T]) insert(tx *txn, row *T, suffix string) (bool, error) {
	s, err := t.insertSQL(row, suffix)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(s.query, s.args...)
	return n == 1, err
}

// sendInsert is insert for a transaction that needs not know. taken is the error when another row has the key.
func (t *table[T]) sendInsert(tx *txn, row *T, suffix string, taken error) error {
	s, err := t.insertSQL(row, suffix)
	if err != nil {
		return err
	}
	s.taken = taken
	return tx.send(s)
}

// insertSQL is an INSERT. Most fields of most rows are empty; those stand in the statement itself, which is several
// times cheaper than an argument.
func (t *table[T]) insertSQL(row *T, suffix string) (statement, error) {
	marks := make([]byte, len(t.columns), len(t.columns)+len(suffix))
	var filled []column
	v := reflect.ValueOf(row).Elem()
	for i, c := range t.columns {
		switch {
		case c.auto:
			marks[i] = '-'
		case c.zero != "" && v.FieldByIndex(c.field).IsZero():
			marks[i] = '0'
		default:
			marks[i] = '?'
			filled = append(filled, c)
		}
	}
	form := string(append(marks, suffix...))
	query, known := t.inserts.Get(form)
	if !known {
		query = t.insertText(marks, suffix)
		t.inserts.Add(form, query)
	}
	values, err := t.values(row, filled)
	return statement{query: query, args: values}, err
}

// insertText returns the text of an INSERT, as the driver takes it; marks tells for each column whether it is left out (-),
// zero (0) or an argument (?).
func (t *table[T]) insertText(marks []byte, suffix string) string {
	var names, values []string
	for i, c := range t.columns {
		switch marks[i] {
		case '0':
			names, values = append(names, c.name), append(values, c.zero)
		case '?':
			names, values = append(names, c.name), append(values, "?")
		}
	}
	return t.dialect.rebind(fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)%s",
		t.name, t.dialect.quoteAll(names), strings.Join(values, ", "), suffix))
}

// rowsAtOnce are as many as one INSERT adds; such an INSERT is kept prepared.
const rowsAtOnce = 200

// insertAll adds rows with few columns, many in one statement, with suffix behind each INSERT, and returns how many
// there are more now.
func (t *table[T]) insertAll(tx *txn, rows []*T, suffix string) (n int64, err error) {
	for part := range slices.Chunk(rows, rowsAtOnce) {
		marks := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
		query := fmt.Sprintf("%s INTO %s (%s) VALUES %s%s%s", t.dialect.insertSeveral(), t.name, t.list(t.columns, ""), marks,
			strings.Repeat(", "+marks, len(part)-1), suffix)
		var values []any
		for _, row := range part {
			more, err := t.values(row, t.columns)
			if err != nil {
				return n, err
			}
			values = append(values, more...)
		}
		run := tx.execOnce
		if len(part) == rowsAtOnce { // the next of that size has the same words
			run = tx.exec
		}
		inserted, err := run(query, values...)
		if err != nil {
			return n, err
		}
		n += inserted
	}
	return n, nil
}

// clear empties fields of a row by their columns, and returns the columns that were not empty. Those that the database
// does not have are left out.
func (t *table[T]) clear(row *T, names ...string) (cleared []string) {
	v := reflect.ValueOf(row).Elem()
	for _, c := range t.pick(names...) {
		if field := v.FieldByIndex(c.field); !field.IsZero() {
			field.SetZero()
			cleared = append(cleared, c.name)
		}
	}
	return cleared
}

// update writes columns of the row that where selects and returns how many rows it met. Columns that the database does
// not have are left out.
func (t *table[T]) update(tx *txn, row *T, names []string, where string, args ...any) (int64, error) {
	s, err := t.updateSQL(row, names, where, args)
	if err != nil || s.query == "" {
		return 0, err
	}
	return tx.exec(s.query, s.args...)
}

// sendUpdate is update for a transaction that needs not know; changed is how many rows it met, once that is committed.
// It may be nil.
func (t *table[T]) sendUpdate(tx *txn, row *T, changed *int64, names []string, where string, args ...any) error {
	s, err := t.updateSQL(row, names, where, args)
	if err != nil || s.query == "" {
		return err
	}
	s.changed = changed
	return tx.send(s)
}

// updateSQL is an UPDATE, or none where the database has none of the columns.
func (t *table[T]) updateSQL(row *T, names []string, where string, args []any) (statement, error) {
	columns := t.pick(names...)
	if len(names) == 0 || len(columns) == 0 {
		return statement{}, nil
	}
	values, err := t.values(row, columns)
	if err != nil {
		return statement{}, err
	}
	sets := make([]string, len(columns))
	for i, c := range columns {
		sets[i] = t.dialect.quote(c.name) + "=?"
	}
	query := fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.name, strings.Join(sets, ", "), where)
	return statement{query: query, args: slices.Concat(values, args)}, nil
}

// find reads the rows that the rest of the query selects, such as "WHERE owner=?".
func (t *table[T]) find(q querier, rest string, args ...any) ([]*T, error) {
	return t.findFrom(q, t.name+" "+rest, args...)
}

// findFrom is find with the name of the table before the rest.
func (t *table[T]) findFrom(q querier, from string, args ...any) ([]*T, error) {
	return t.findColumns(q, t.columns, from, args...)
}

// findColumns is findFrom for some of the columns.
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

// byName is the condition that names a row, by the key that all of Casdoor's tables have.
const byName = "owner=? AND name=?"

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
