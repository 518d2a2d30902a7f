package object

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
)

// Family is a kind of rows that admins look after, with the rules of who may. It is safe for concurrent use. What its
// caller may not do is a *Refusal with AccessDenied; what does not exist is ErrNotFound.
type Family[T any] struct {
	authority *Authority
	table     *table[T]
	trait[T]
}

// trait is what one Family has of its own. A function may be nil where its comment does not say otherwise.
type trait[T any] struct {
	name       string              // Casdoor's, as in its paths: "provider"
	home       func(row *T) home   // whom a row belongs to; required
	id         func(row *T) *rowID // where a row keeps owner and name; required
	homeColumn string              // the column that says which organization a row is home in; required
	secrets    []string            // columns that are shown as "***", and kept when they come back so

	// reveal says whether the caller may see the secrets of a row that was asked for by name.
	reveal func(c *Caller, row *T) bool

	// show changes a copy of a row before the caller sees it; listed says that it is one of many.
	show func(ctx context.Context, c *Caller, row *T, listed bool) error

	// fill completes and judges a row before it is stored; old is nil where the row is new.
	fill func(tx *txn, c *Caller, row, old *T) error

	// stored and deleted do what else must happen in the same transaction. old is nil where the row is new.
	stored  func(tx *txn, c *Caller, row, old *T) error
	deleted func(tx *txn, c *Caller, row *T) error
}

// rowID points to the fields of a row's key.
type rowID struct{ owner, name *string }

const byID = "owner=? AND name=?"

// Name returns Casdoor's name of the family, as in its paths: "provider".
func (f *Family[T]) Name() string { return f.name }

// Get returns a row as the caller may see it.
func (f *Family[T]) Get(ctx context.Context, c *Caller, owner, name string) (*T, error) {
	if c.may("get-"+f.name) == nothing {
		return nil, notAllowed()
	}
	row, err := f.table.get(f.authority.store.read(ctx), "WHERE "+byID, owner, name)
	if err != nil {
		return nil, err
	}
	if err := c.check("get-"+f.name, f.home(row)); err != nil {
		return nil, err
	}
	return row, f.present(ctx, c, row, false)
}

// present makes a row what the caller may see.
func (f *Family[T]) present(ctx context.Context, c *Caller, row *T, listed bool) error {
	if listed || f.reveal == nil || !f.reveal(c, row) {
		for _, text := range f.table.texts(row, f.secrets) {
			if text.String() != "" {
				text.SetString(mask)
			}
		}
	}
	if f.show == nil {
		return nil
	}
	return f.show(ctx, c, row, listed)
}

// Add stores a new row out of its JSON object. One that exists already is a *Refusal with InvalidRequest.
func (f *Family[T]) Add(ctx context.Context, c *Caller, object json.RawMessage) error {
	row := new(T)
	if err := json.Unmarshal(object, row); err != nil {
		return malformed(err)
	}
	id := f.id(row)
	if *id.owner == "" || *id.name == "" || strings.Contains(*id.name, "/") {
		return refuse(InvalidRequest, "owner and name are required, and have no slash")
	}
	if err := c.check("add-"+f.name, f.home(row)); err != nil {
		return err
	}
	return f.change(ctx, c, "add-"+f.name, *id.owner+"/"+*id.name, func(tx *txn) (bool, error) {
		_, err := f.table.get(tx, "WHERE "+byID, *id.owner, *id.name)
		if err == nil {
			return false, refuse(InvalidRequest, "The %s: %s/%s already exists", f.name, *id.owner, *id.name)
		}
		if !errors.Is(err, ErrNotFound) {
			return false, err
		}
		added := *row
		for _, text := range f.table.texts(&added, f.secrets) {
			if text.String() == mask {
				text.SetString("")
			}
		}
		return true, f.store(tx, c, &added, nil, nil)
	})
}

// Update writes what a JSON object says into a row: all that it mentions, or only the columns named, by the names of
// the JSON fields or of the table's columns. It reports whether there is such a row.
func (f *Family[T]) Update(
	ctx context.Context, c *Caller, owner, name string, columns []string, object json.RawMessage,
) (affected bool, err error) {
	if c.may("update-"+f.name) == nothing {
		return false, notAllowed()
	}
	names, err := f.columnNames(columns)
	if err != nil {
		return false, err
	}
	err = f.change(ctx, c, "update-"+f.name, owner+"/"+name, func(tx *txn) (bool, error) {
		old, err := f.table.get(tx, "WHERE "+byID+f.table.dialect.forUpdate, owner, name)
		affected = err == nil
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := c.check("update-"+f.name, f.home(old)); err != nil {
			return false, err
		}
		row := new(T)
		if err := f.table.merge(row, old, object); err != nil {
			return false, malformed(err)
		}
		f.restore(row, old, names)
		// A row that moves must not get out of the caller's reach, nor get in where somebody else's is.
		if err := c.check("update-"+f.name, f.home(row)); err != nil {
			return false, err
		}
		return true, f.store(tx, c, row, old, f.id(old))
	})
	return affected, err
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

// restore undoes what a change must not touch: the secrets that came back masked, and all but the columns that were
// named, if any were.
func (f *Family[T]) restore(row, old *T, names []string) {
	v, was := reflect.ValueOf(row).Elem(), reflect.ValueOf(old).Elem()
	for _, c := range f.table.columns {
		field := v.FieldByIndex(c.field)
		masked := slices.Contains(f.secrets, c.name) && field.String() == mask
		if masked || names != nil && !slices.Contains(names, c.name) {
			field.Set(was.FieldByIndex(c.field))
		}
	}
}

// store completes, judges and writes a row; at is where the old one is, nil for a new one.
func (f *Family[T]) store(tx *txn, c *Caller, row, old *T, at *rowID) error {
	if f.fill != nil {
		if err := f.fill(tx, c, row, old); err != nil {
			return err
		}
	}
	var err error
	if old == nil {
		_, err = f.table.insert(tx, row, "")
	} else if !reflect.DeepEqual(row, old) {
		_, err = f.table.update(tx, row, f.table.columnNames(), byID, *at.owner, *at.name)
	}
	if err != nil || f.stored == nil {
		return err
	}
	return f.stored(tx, c, row, old)
}

// Delete deletes a row and reports whether there was one.
func (f *Family[T]) Delete(ctx context.Context, c *Caller, owner, name string) (affected bool, err error) {
	if c.may("delete-"+f.name) == nothing {
		return false, notAllowed()
	}
	err = f.change(ctx, c, "delete-"+f.name, owner+"/"+name, func(tx *txn) (bool, error) {
		row, err := f.table.get(tx, "WHERE "+byID+f.table.dialect.forUpdate, owner, name)
		affected = err == nil
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := c.check("delete-"+f.name, f.home(row)); err != nil {
			return false, err
		}
		if _, err := tx.exec("DELETE FROM "+f.table.name+" WHERE "+byID, owner, name); err != nil || f.deleted == nil {
			return true, err
		}
		return true, f.deleted(tx, c, row)
	})
	return affected, err
}

// change runs fn in a transaction and records that the caller did something, if fn says that it did.
func (f *Family[T]) change(ctx context.Context, c *Caller, action, id string, fn func(*txn) (bool, error)) error {
	err := f.authority.store.write(ctx, func(tx *txn) error {
		done, err := fn(tx)
		if err != nil || !done {
			return err
		}
		return f.authority.recordChange(tx, c, action, id)
	})
	if err == nil {
		f.authority.settings.forget()
	}
	return err
}

func malformed(err error) error {
	return &Refusal{Code: InvalidRequest, Message: "the body is not a JSON object of this kind", Err: err}
}
