package object

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// values returns the columns of a row as arguments of a statement.
func (t *table[T]) values(row *T, columns []column) (values []any, err error) {
	values = make([]any, len(columns))
	v := reflect.ValueOf(row).Elem()
	for i, c := range columns {
		if values[i], err = t.value(v, c); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// same reports whether two rows are the same to the database.
func (t *table[T]) same(a, b *T) (bool, error) {
	one, err := t.values(a, t.columns)
	if err != nil {
		return false, err
	}
	other, err := t.values(b, t.columns)
	return reflect.DeepEqual(one, other), err
}

// value returns a column of a row as an argument.
func (t *table[T]) value(row reflect.Value, c column) (any, error) {
	field := row.FieldByIndex(c.field)
	if !c.json || field.Kind() == reflect.Pointer && field.IsNil() {
		if field.Kind() == reflect.Int && field.Int() != int64(int32(field.Int())) && t.dialect.driver != "sqlite" {
			return nil, refuse(InvalidRequest, "%s is out of range", c.name) // of INTEGER, which servers have 4 bytes for
		}
		return plainValue(field), nil
	}
	text, err := json.Marshal(field.Interface())
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", c.name, err)
	}
	if c.binary {
		return text, nil
	}
	return string(text), nil
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
	var args []any
	v := reflect.ValueOf(row).Elem()
	for i, c := range t.columns {
		switch {
		case c.auto:
			marks[i] = '-'
		case c.zero != "" && v.FieldByIndex(c.field).IsZero():
			marks[i] = '0'
		default:
			marks[i] = '?'
			value, err := t.value(v, c)
			if err != nil {
				return statement{}, err
			}
			args = append(args, value)
		}
	}
	form := string(append(marks, suffix...))
	query, known := t.inserts.Get(form)
	if !known {
		query = t.insertText(marks, suffix)
		t.inserts.Add(form, query)
	}
	return statement{query: query, args: args}, nil
}

// insertText returns the text of an INSERT, as the driver takes it; marks tells for each column whether it is left out
// (-), zero (0) or an argument (?).
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
		row := placeholders(len(t.columns))
		query := fmt.Sprintf("%s INTO %s (%s) VALUES %s%s%s", t.dialect.insertSeveral(), t.name, t.list(t.columns, ""), row,
			strings.Repeat(", "+row, len(part)-1), suffix)
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

// merge sets row to old, where there is one, with the fields that object has. Lists and maps are replaced as a whole:
// decoded into those of old they would mix with what is there, and change old. When a row was made stays where object
// has it empty.
func (t *table[T]) merge(row, old *T, object json.RawMessage) error {
	if old == nil {
		return json.Unmarshal(object, row)
	}
	*row = *old
	v, was := reflect.ValueOf(row).Elem(), reflect.ValueOf(old).Elem()
	for _, c := range t.columns {
		if c.json {
			v.FieldByIndex(c.field).SetZero()
		}
	}
	if err := json.Unmarshal(object, row); err != nil {
		return err
	}
	for _, c := range t.columns {
		if field := v.FieldByIndex(c.field); (c.json || c.name == "created_time") && field.IsZero() {
			field.Set(was.FieldByIndex(c.field))
		}
	}
	return nil
}

// emptyNulls empties the fields that object has as null, which merge leaves as they were; but not when a row was made,
// nor whose it is.
func (t *table[T]) emptyNulls(row *T, object json.RawMessage, home string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return err
	}
	v := reflect.ValueOf(row).Elem()
	for _, c := range t.columns {
		if string(fields[t.jsonName(c)]) == "null" && c.name != "created_time" && c.name != home {
			v.FieldByIndex(c.field).SetZero()
		}
	}
	return nil
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
	if len(columns) == 0 {
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
	hint := ""
	if strings.HasPrefix(where, byName) {
		hint = t.dialect.byKey
	}
	query := fmt.Sprintf("UPDATE %s%s SET %s WHERE %s", t.name, hint, strings.Join(sets, ", "), where)
	return statement{query: query, args: slices.Concat(values, args)}, nil
}
