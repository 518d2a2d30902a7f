package object

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ListQuery selects rows of a family, as Casdoor's paths do. The zero value of a field means what its comment says.
type ListQuery struct {
	Owner        string   // rows of one owner; empty: of all
	Organization string   // rows of one organization, in families that say so; empty: of all
	User         string   // rows of one user, in families that say so; empty: of all
	Name         string   // rows of one name; empty: of all
	Types        []string // rows of these types, in families that have any; empty: of all
	Field, Value string   // rows whose column Field contains Value, by JSON's or the column's name; empty: all
	SortField    string   // as Field; empty: by the time of creation
	SortOrder    string   // "ascend"; else descending
	Page         int      // from 1; 0: the first
	PageSize     int      // 1 to maxPageSize; 0: all rows, up to maxListed
	After        string   // the Next of the page before, whose sorting must be the same; then Page is unused
}

// Page is a part of a list.
type Page[T any] struct {
	Rows  []*T
	Total int    // of the whole list; 0 behind the first page, where After has said which it is
	Next  string // the After of the next page; empty: there is none, or the list is sorted by another column
}

const (
	maxPageSize = 1000
	maxListed   = 10_000
	maxPage     = 1_000_000_000 // behind the end of any list
)

// ownership is what the owner of a ListQuery means in a family.
type ownership int

const (
	byOwner        ownership = iota // rows of that owner
	byOwnerOrAdmin                  // and those of Casdoor's "admin", which all may use
	byOrganization                  // rows whose organization it is
	byNobody                        // nothing: all rows belong to "admin", whatever SDKs send
)

// ListedAs returns the family as another path lists it, whose last part is action: who may is that one's rule.
func (f *Family[T]) ListedAs(action string) *Family[T] {
	other := *f
	other.listing = action
	return &other
}

// withOnly returns the family whose lists have these columns alone, the key among them.
func (f *Family[T]) withOnly(columns ...string) *Family[T] {
	other := *f
	other.only = columns
	return &other
}

// List returns the rows that the query selects, as far as the caller reaches.
func (f *Family[T]) List(ctx context.Context, c *Caller, q ListQuery) (*Page[T], error) {
	action := cmp.Or(f.listing, "get-"+f.name+"s")
	if err := f.open(c, action); err != nil {
		return nil, err
	}
	selected, err := f.selection(ctx, c, action, q)
	if err != nil {
		return nil, err
	}
	order, err := f.order(q, selected)
	if err != nil {
		return nil, err
	}
	page := &Page[T]{}
	err = f.authority.patiently(ctx, selected.slow, func() error { return f.read(ctx, page, selected, order, q) })
	if err != nil {
		return nil, err
	}
	if limit := q.limit(); len(page.Rows) == limit && (page.Total == 0 || q.offset()+limit < page.Total) {
		page.Next = f.after(order, page.Rows[limit-1])
	}
	for _, row := range page.Rows {
		if err := f.present(ctx, c, row, true); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// read fills the page.
func (f *Family[T]) read(ctx context.Context, page *Page[T], s *selection, order order, q ListQuery) (err error) {
	w := window{limit: q.limit()}
	if q.After != "" {
		behind, err := order.behind(f.table.dialect, q.After)
		if err != nil {
			return err
		}
		s.add(behind.text, behind.args...)
	} else if q.PageSize > 0 {
		if page.Total, err = f.count(ctx, s); err != nil {
			return err
		}
		w.offset = q.offset()
		if w.offset >= page.Total {
			return nil
		}
		w.total = page.Total
	}
	page.Rows, err = f.rows(ctx, s, order, w)
	if q.After == "" && q.PageSize <= 0 {
		page.Total = len(page.Rows)
	}
	return err
}

func (q *ListQuery) limit() int {
	if q.PageSize <= 0 {
		return maxListed
	}
	return min(q.PageSize, maxPageSize)
}

// offset returns how many rows are before the page.
func (q *ListQuery) offset() int { return (min(max(q.Page, 1), maxPage) - 1) * q.limit() }

// count returns how many rows are selected.
func (f *Family[T]) count(ctx context.Context, s *selection) (n int, err error) {
	r := f.authority.tables.readOnce(ctx)
	if n, err = f.countMost(r, s); n > 0 || err != nil {
		return n, err
	}
	from, args := s.from(f.table.name, "1 AS one")
	return n, scanOne(r, []any{&n}, "SELECT COUNT(*) FROM "+from, args...)
}

// maxCounted is how many rows of an organization are counted one by one before another way is looked for.
const maxCounted = 1000

// countMost counts the rows of an organization that has few, or most of the table. SQLite counts a whole table ten
// times as fast as a part of it: so it counts all, and those of others. It returns 0 where this is not the way.
func (f *Family[T]) countMost(r reader, s *selection) (int, error) {
	if f.table.dialect.driver != "sqlite" || len(s.where) != 1 || s.where[0].text != f.homeColumn+"=?" || s.bounded {
		return 0, nil
	}
	var few, all, others int
	home := s.where[0].args[0]
	err := scanOne(r, []any{&few}, fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM %s WHERE %s=? LIMIT %d)", f.table.name,
		f.homeColumn, maxCounted), home)
	if err != nil || few < maxCounted {
		return few, err
	}
	if err := scanOne(r, []any{&all}, "SELECT COUNT(*) FROM "+f.table.name); err != nil {
		return 0, err
	}
	err = scanOne(r, []any{&others}, fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM %[1]s WHERE %[2]s<? "+
		"UNION ALL SELECT 1 FROM %[1]s WHERE %[2]s>? LIMIT %[3]d)", f.table.name, f.homeColumn, all/2+1), home, home)
	if err != nil || others > all/2 {
		return 0, err
	}
	return all - others, nil
}

// window is the part of a list that is read. Where the total is known, what lies behind its middle is read from the
// end.
type window struct{ offset, limit, total int }

// rows reads the rows of a window: their keys first, by an index that holds what the order needs, and then these rows.
func (f *Family[T]) rows(ctx context.Context, s *selection, order order, w window) ([]*T, error) {
	if w.total == 0 && w.limit == maxListed && !s.bounded { // all of them
		from, args := s.from(f.table.name, "")
		return f.readable(ctx, fmt.Sprintf("%s ORDER BY %s LIMIT %d", from, order.sql(f.table.dialect), w.limit), args...)
	}
	backwards := w.offset > w.total/2 && w.total > 0
	if backwards {
		end := max(w.total-w.offset-w.limit, 0)
		w.limit, w.offset = w.total-w.offset-end, end
		order.ascending = !order.ascending
	}
	keys, err := f.keys(ctx, s, order, w)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	if backwards {
		slices.Reverse(keys)
	}
	return f.withKeys(ctx, keys)
}

// readable reads rows for a list. A damaged one is listed too, without what cannot be read.
func (f *Family[T]) readable(ctx context.Context, from string, args ...any) ([]*T, error) {
	columns := f.table.columns
	if len(f.only) > 0 {
		columns = f.table.pick(f.only...)
	}
	return f.table.findReadable(f.authority.tables.readOnce(ctx), columns, func(row *T, columns []string) bool {
		id := f.id(row)
		f.authority.log.WarnContext(ctx, damagedRow, "table", f.name,
			"row", *id.owner+"/"+*id.name, "columns", strings.Join(columns, ", "))
		return true
	}, from, args...)
}

// keyColumns tell rows apart.
func (f *Family[T]) keyColumns() []string {
	if f.key != nil {
		return []string{"id"}
	}
	return []string{"owner", "name"}
}

// keys reads the keys of the rows of a window, in order.
func (f *Family[T]) keys(ctx context.Context, s *selection, order order, w window) (keys [][2]string, err error) {
	d := f.table.dialect
	columns := d.quoteAll(slices.Compact(slices.Sorted(slices.Values(slices.Concat(f.keyColumns(), order.columns)))))
	from, args := s.from(f.table.name, columns)
	err = eachRow(f.authority.tables.readOnce(ctx), func(rows *sql.Rows) error {
		var key [2]string
		dest := []any{&key[0], &key[1]}
		err := rows.Scan(dest[:len(f.keyColumns())]...)
		keys = append(keys, key)
		return err
	}, fmt.Sprintf("SELECT %s FROM %s ORDER BY %s LIMIT %d OFFSET %d",
		d.quoteAll(f.keyColumns()), from, order.sql(d), w.limit, w.offset), args...)
	return keys, err
}

// withKeys reads rows by their keys, in the same order. One that is gone by now is left out.
func (f *Family[T]) withKeys(ctx context.Context, keys [][2]string) ([]*T, error) {
	var rows []*T
	for part := range slices.Chunk(keys, 500) {
		where := make([]string, len(part))
		var args []any
		for i, key := range part {
			where[i] = byName
			args = append(args, key[0], key[1])
			if f.key != nil {
				where[i], args = "id=?", args[:len(args)-1]
			}
		}
		found, err := f.readable(ctx, f.table.name+" WHERE "+strings.Join(where, " OR "), args...)
		if err != nil {
			return nil, err
		}
		byKey := map[[2]string]*T{}
		for _, row := range found {
			byKey[f.keyOf(row)] = row
		}
		for _, key := range part {
			if row := byKey[key]; row != nil {
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

func (f *Family[T]) keyOf(row *T) [2]string {
	if f.key != nil {
		return [2]string{strconv.Itoa(*f.key(row))}
	}
	id := f.id(row)
	return [2]string{*id.owner, *id.name}
}
