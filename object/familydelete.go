package object

import "context"

// MayDelete returns what Delete would be refused with now, and changes nothing.
func (f *Family[T]) MayDelete(ctx context.Context, c *Caller, owner, name string) error {
	row, err := f.get(ctx, c, "delete-"+f.name, owner, name)
	if err == nil && f.unused != nil {
		err = f.unused(ctx, row)
	}
	if err == nil && f.deletable != nil {
		err = f.deletable(f.authority.tables.read(ctx), c, row)
	}
	return err
}

// Delete deletes a row and reports whether there was one.
func (f *Family[T]) Delete(ctx context.Context, c *Caller, owner, name string) (affected bool, err error) {
	action := "delete-" + f.name
	if err := f.open(c, action); err != nil {
		return false, err
	}
	if f.unused != nil {
		if err := f.MayDelete(ctx, c, owner, name); err != nil {
			return false, ignoreMissing(err)
		}
	}
	err = f.change(ctx, c, action, owner+"/"+name, func(tx *txn) (bool, error) {
		if err := f.hold(tx, nil, f.keyed(owner, name)); err != nil {
			return false, err
		}
		row, err := f.table.get(tx, "WHERE "+byName+f.table.dialect.forUpdate, owner, name)
		affected = err == nil
		if err != nil {
			return false, ignoreMissing(f.missing(c, action, owner, name, err))
		}
		if err := c.check(action, f.home(row)); err != nil {
			return false, err
		}
		if f.deletable != nil {
			if err := f.deletable(tx, c, row); err != nil {
				return false, err
			}
		}
		if f.detach != nil {
			if err := f.detach(tx, row); err != nil {
				return false, err
			}
		}
		if f.erase != nil {
			return true, f.erase(tx, row)
		}
		_, err = tx.exec("DELETE FROM "+f.table.name+" WHERE "+byName, owner, name)
		return true, err
	})
	return affected && err == nil, err
}
