package object

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
)

// Update writes what a JSON object says into a row: all that it mentions, or only the columns named, by the names of
// the JSON fields or of the table's columns. As in Casdoor a null empties. It reports whether there is such a row.
func (f *Family[T]) Update(
	ctx context.Context, c *Caller, owner, name string, columns []string, object json.RawMessage,
) (affected bool, err error) {
	action := "update-" + f.name
	if err := f.open(c, action); err != nil {
		return false, err
	}
	names, err := f.columnNames(columns)
	if err != nil {
		return false, err
	}
	const attempts = 5
	for range attempts {
		old, err := f.table.named(f.authority.tables.read(ctx), owner, name)
		if err != nil {
			return false, ignoreMissing(f.missing(c, action, owner, name, err))
		}
		row, err := f.updated(ctx, c, old, names, object)
		if err != nil {
			return false, err
		}
		err = f.replace(ctx, c, row, old)
		if !errors.Is(err, errRaced) {
			return err == nil, err
		}
	}
	return false, errRaced
}

// updated returns the row that an update makes of the old one.
func (f *Family[T]) updated(
	ctx context.Context, c *Caller, old *T, names []string, object json.RawMessage,
) (*T, error) {
	action := "update-" + f.name
	if err := c.check(action, f.home(old)); err != nil {
		return nil, err
	}
	row := new(T)
	if err := f.table.merge(row, old, object); err != nil {
		return nil, malformed(err)
	}
	if err := f.table.emptyNulls(row, object, f.homeColumn); err != nil {
		return nil, malformed(err)
	}
	f.restore(row, old, names)
	id, was := f.id(row), f.id(old)
	*id.owner = cmp.Or(*id.owner, *was.owner)
	*id.name = cmp.Or(*id.name, *was.name)
	if f.fill != nil {
		if err := f.fill(ctx, c, row, old); err != nil {
			return nil, err
		}
	}
	// A row that moves must not get out of the caller's reach, nor get in where somebody else's is.
	if err := c.check(action, f.home(row)); err != nil {
		return nil, err
	}
	return row, f.validID(id)
}

// replace puts row in the place of old, or returns errRaced where old is not what is there any more.
func (f *Family[T]) replace(ctx context.Context, c *Caller, row, old *T) error {
	id, was := f.id(row), f.id(old)
	return f.change(ctx, c, "update-"+f.name, *was.owner+"/"+*was.name, func(tx *txn) (bool, error) {
		if err := f.hold(tx, row, old); err != nil {
			return false, err
		}
		current, err := f.table.get(tx, "WHERE "+byName+f.table.dialect.forUpdate, *was.owner, *was.name)
		if errors.Is(err, ErrNotFound) || err == nil && !reflect.DeepEqual(current, old) {
			return false, errRaced
		}
		if err != nil {
			return false, err
		}
		if *id.owner != *was.owner || *id.name != *was.name {
			err := refuseIf(tx, f.taken(id), f.table.name+" WHERE "+byName+butFor, *id.owner, *id.name, *was.owner, *was.name)
			if err != nil {
				return false, err
			}
		}
		return true, f.store(tx, c, row, old)
	})
}

// columnNames returns the names of the table's columns that an update names; nil where it names none.
func (f *Family[T]) columnNames(fields []string) ([]string, error) {
	var names []string
	for _, field := range fields {
		name, known := f.table.columnOf(field)
		if !known {
			return nil, refuse(InvalidRequest, "there is no column %.40q", field)
		}
		names = append(names, name)
	}
	return names, nil
}

// restore undoes what a change must not touch: the secrets that came back masked or hidden, what only a change that
// names it empties, and all but the columns that were named, if any were.
func (f *Family[T]) restore(row, old *T, names []string) {
	v, was := reflect.ValueOf(row).Elem(), reflect.ValueOf(old).Elem()
	for _, c := range f.table.columns {
		field := v.FieldByIndex(c.field)
		masked := slices.Contains(f.secrets, c.name) && field.String() == mask
		named := slices.Contains(names, c.name)
		silent := slices.Contains(f.hidden, c.name) || slices.Contains(f.kept, c.name)
		if masked || !named && (names != nil || silent && isBlank(field)) {
			field.Set(was.FieldByIndex(c.field))
		}
	}
}

// isBlank is true for a field that holds nothing, in whatever way JSON says so.
func isBlank(field reflect.Value) bool {
	switch field.Kind() {
	case reflect.Slice:
		return field.Len() == 0 || field.Type() == reflect.TypeFor[json.RawMessage]() && string(field.Bytes()) == "null"
	case reflect.Map:
		return field.Len() == 0
	}
	return field.IsZero()
}
