package object

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
)

// Family is a kind of rows that admins look after, with the rules of who may. It is safe for concurrent use. What its
// caller may not do is a *Refusal with AccessDenied; what does not exist is ErrNotFound.
type Family[T any] struct {
	authority *Authority
	table     *table[T] // nil where a Casdoor has none
	trait[T]
}

// trait is what one Family has of its own. What its comment does not call required may be missing. The functions are
// called in this order, those in a transaction perhaps more than once:
//
//	Get:         home, reveal, show
//	List:        seek; show for each row
//	Add, Update: home, fill; in one transaction guard, judge, the row itself and, of an Update, follow; changed
//	Delete:      unused; in one transaction guard, home, deletable, detach, erase or the row itself; changed
type trait[T any] struct {
	name       string              // Casdoor's, as in its paths: "provider"; required
	listing    string              // the last part of the path that lists it; empty: "get-" + name + "s"
	only       []string            // the columns that lists have; empty: all
	home       func(row *T) home   // whom a row belongs to; required
	id         func(row *T) *rowID // where a row keeps owner and name; required
	homeColumn string              // the column that says which organization a row is home in; required
	userColumn string              // the column with the name of the user whose a row is
	secrets    []string            // columns that are shown as "***", and kept when they come back so
	hidden     []string            // columns that are shown empty, and kept when they come back so
	kept       []string            // columns that an update empties only where it names them
	most       int                 // of an organization's rows, unless built-in adds more; 0: any number
	deepNames  bool                // a name may have slashes, as that of a file
	owned      ownership           // what the owner of a ListQuery selects
	key        func(row *T) *int   // a number that the database gives; it tells the newest row
	sort       string              // the column that rows are sorted by; empty: created_time
	large      bool                // there may be so many rows that they cannot be sorted by just any column
	sorted     []string            // the columns that rows of a large family can be sorted by quickly

	// reveal says whether the caller may see the secrets of a row that was asked for by name.
	reveal func(c *Caller, row *T) bool

	// show changes a copy of a row before the caller sees it; listed says that it is one of many.
	show func(ctx context.Context, c *Caller, row *T, listed bool) error

	// seek adds a search that is no plain one to a selection, and reports whether it has done so.
	seek func(ctx context.Context, f searchFor, s *selection) (bool, error)

	// fill completes and judges a row, outside the transaction; old is nil where the row is new.
	fill func(ctx context.Context, c *Caller, row, old *T) error

	// guard names the organizations whose rows a change locks before all else, so that what judge and deletable find to
	// be free, used or unused stays so until the change is done; built-in, for what concerns all of them, comes first.
	// old is nil where the row is new; row is nil, and old has its key only, where it is to be deleted.
	guard func(row, old *T) []string

	// judge judges a row in the transaction, beside the others that it has to do with; old is nil where the row is new.
	judge func(tx *txn, c *Caller, row, old *T) error

	// follow changes what hangs on a row that an Update has changed, in the same transaction.
	follow func(tx *txn, row, old *T) error

	// unused refuses to delete a row that others need, outside the transaction: it may read whole tables.
	unused func(ctx context.Context, row *T) error

	// deletable refuses to delete a row. detach deletes what hangs on it. erase stands for the deletion of the row
	// itself.
	deletable func(q querier, c *Caller, row *T) error
	detach    func(tx *txn, row *T) error
	erase     func(tx *txn, row *T) error

	// changed is called when a change is committed.
	changed func()
}

// rowID points to the fields of a row's key.
type rowID struct{ owner, name *string }

// Get returns a row as the caller may see it.
func (f *Family[T]) Get(ctx context.Context, c *Caller, owner, name string) (*T, error) {
	return f.get(ctx, c, "get-"+f.name, owner, name)
}

func (f *Family[T]) get(ctx context.Context, c *Caller, action, owner, name string) (*T, error) {
	if err := f.open(c, action); err != nil {
		return nil, err
	}
	row, err := f.find(ctx, owner, name)
	if err != nil {
		return nil, f.missing(c, action, owner, name, err)
	}
	if err := c.check(action, f.home(row)); err != nil {
		return nil, err
	}
	return row, f.present(ctx, c, row, false)
}

// find returns a row by its key. As in Casdoor, what is every organization's is found under any of their names too:
// that is where SDKs look, when they are given the bare name of a cert or provider.
func (f *Family[T]) find(ctx context.Context, owner, name string) (*T, error) {
	q := f.authority.tables.read(ctx)
	row, err := f.table.named(q, owner, name)
	if errors.Is(err, ErrNotFound) && f.owned == byOwnerOrAdmin {
		return f.table.named(q, adminOwner, name)
	}
	return row, err
}

// open refuses callers who may never do this, before anything is read.
func (f *Family[T]) open(c *Caller, action string) error {
	if c.may(action) == nothing {
		return NotAllowed()
	}
	if f.table == nil {
		return refuse(Unsupported, "this server keeps no %ss", f.name)
	}
	return nil
}

// missing returns the error for a row that could not be read: that it is not there is told only to those who could see
// it if it were.
func (f *Family[T]) missing(c *Caller, action, owner, name string, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	row := f.keyed(owner, name)
	if f.homeColumn == "owner" || f.homeColumn == "name" { // so the key tells whose it would be
		if err := c.check(action, f.home(row)); err != nil {
			return err
		}
	}
	return ErrNotFound
}

// keyed returns a row that has nothing but its key.
func (f *Family[T]) keyed(owner, name string) *T {
	row := new(T)
	id := f.id(row)
	*id.owner, *id.name = owner, name
	return row
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
	f.table.clear(row, f.hidden...)
	if f.show == nil {
		return nil
	}
	return f.show(ctx, c, row, listed)
}

// Add stores a new row out of its JSON object. One that exists already is a *Refusal with InvalidRequest.
func (f *Family[T]) Add(ctx context.Context, c *Caller, object json.RawMessage) error {
	action := "add-" + f.name
	if err := f.open(c, action); err != nil {
		return err
	}
	row := new(T)
	if err := json.Unmarshal(object, row); err != nil {
		return malformed(err)
	}
	for _, text := range f.table.texts(row, f.secrets) {
		if text.String() == mask {
			text.SetString("")
		}
	}
	if err := c.check(action, f.home(row)); err != nil {
		return err
	}
	if f.fill != nil {
		if err := f.fill(ctx, c, row, nil); err != nil {
			return err
		}
	}
	id := f.id(row)
	if err := f.validID(id); err != nil {
		return err
	}
	return f.change(ctx, c, action, *id.owner+"/"+*id.name, func(tx *txn) (bool, error) {
		if err := f.hold(tx, row, nil); err != nil {
			return false, err
		}
		if err := f.vacant(tx, id); err != nil {
			return false, err
		}
		if err := f.fewEnough(tx, c, row); err != nil {
			return false, err
		}
		return true, f.store(tx, c, row, nil)
	})
}

// vacant refuses a key that is taken.
func (f *Family[T]) vacant(tx *txn, id *rowID) error {
	return refuseIf(tx, f.taken(id), f.table.name+" WHERE "+byName, *id.owner, *id.name)
}

// fewEnough refuses a new row of an organization that has as many as it may: all organizations bear what they cost.
func (f *Family[T]) fewEnough(tx *txn, c *Caller, row *T) error {
	if f.most == 0 || c.Role == Global {
		return nil
	}
	var n int
	err := scanOne(tx, []any{&n}, "SELECT COUNT(*) FROM "+f.table.name+" WHERE "+f.homeColumn+"=?", f.home(row).organization)
	if err == nil && n >= f.most {
		return refuse(InvalidRequest, "an organization has %d %ss at most", f.most, f.name)
	}
	return err
}

func (f *Family[T]) taken(id *rowID) *Refusal {
	if f.name == "user" {
		return refuse(InvalidRequest, "Username already exists")
	}
	return refuse(InvalidRequest, "The %s: %s/%s already exists", f.name, *id.owner, *id.name)
}

// holdAll is the guard of those rows of which applications name others: none of them goes while an application that
// names it comes.
func holdAll[T any](_, _ *T) []string { return []string{builtInName} }

// hold locks what guard names.
func (f *Family[T]) hold(tx *txn, row, old *T) error {
	if f.guard == nil {
		return nil
	}
	for _, organization := range f.guard(row, old) {
		if err := f.authority.tables.holdOrganization(tx, organization); err != nil {
			return err
		}
	}
	return nil
}

// store judges and writes a row.
func (f *Family[T]) store(tx *txn, c *Caller, row, old *T) error {
	if f.judge != nil {
		if err := f.judge(tx, c, row, old); err != nil {
			return err
		}
	}
	var err error
	if old == nil {
		_, err = f.table.insert(tx, row, "")
	} else if !reflect.DeepEqual(row, old) {
		was := f.id(old)
		_, err = f.table.update(tx, row, f.table.columnNames(), byName, *was.owner, *was.name)
	}
	if isDuplicate(err) { // somebody was faster
		return f.taken(f.id(row))
	}
	if err != nil || old == nil || f.follow == nil {
		return err
	}
	return f.follow(tx, row, old)
}

// change runs fn in a transaction and records that the caller did something, if fn says that it did.
func (f *Family[T]) change(ctx context.Context, c *Caller, action, id string, fn func(*txn) (bool, error)) error {
	err := f.authority.tables.write(ctx, func(tx *txn) error {
		done, err := fn(tx)
		if err != nil || !done {
			return err
		}
		return f.authority.recordChange(tx, c, action, id)
	})
	if err == nil {
		f.authority.settings.forget()
		if f.changed != nil {
			f.changed()
		}
	}
	return err
}

// validID refuses a key that Casdoor's paths could not name, or that looks like another one.
func (f *Family[T]) validID(id *rowID) error {
	for _, part := range []string{*id.owner, *id.name} {
		clean, err := cleanText(part)
		slash := strings.ContainsAny(part, `/\`) && (part == *id.owner || !f.deepNames)
		if err != nil || clean != part || part == "" || slash {
			return refuse(InvalidRequest, "owner and name are required: 1 to 100 characters, no slash, backslash or control "+
				"character in them, no blank around them")
		}
	}
	return nil
}
