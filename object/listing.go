package object

import (
	"context"
	"fmt"
	"strings"
)

// ListQuery selects rows of a family, as Casdoor's paths do. The zero value of a field means what its comment says.
type ListQuery struct {
	Owner        string // rows of one owner; empty: of all
	Organization string // rows of one organization, in families that say so; empty: of all
	Field, Value string // rows whose column Field contains Value, by JSON's or the column's name; empty: all
	SortField    string // as Field; empty: by the time of creation
	SortOrder    string // "ascend"; else descending
	Page         int    // from 1; 0: all rows, up to maxListed
	PageSize     int    // 1 to maxPageSize
}

// Page is a part of a list.
type Page[T any] struct {
	Rows  []*T
	Total int // of the whole list
}

const (
	maxPageSize = 1000
	maxListed   = 10_000
)

// List returns the rows that the query selects, as far as the caller reaches.
func (f *Family[T]) List(ctx context.Context, c *Caller, q ListQuery) (*Page[T], error) {
	where, args, err := f.selection(c, "get-"+f.name+"s", q)
	if err != nil {
		return nil, err
	}
	order, err := f.order(q)
	if err != nil {
		return nil, err
	}
	limit, offset := maxListed, 0
	if q.Page > 0 {
		limit = min(max(q.PageSize, 1), maxPageSize)
		offset = (q.Page - 1) * limit
	}
	r := f.authority.store.read(ctx)
	page := &Page[T]{}
	page.Rows, err = f.table.find(r, fmt.Sprintf("%s ORDER BY %s LIMIT %d OFFSET %d", where, order, limit, offset), args...)
	if err != nil {
		return nil, err
	}
	for _, row := range page.Rows {
		if err := f.present(ctx, c, row, true); err != nil {
			return nil, err
		}
	}
	return page, scanOne(r, []any{&page.Total}, "SELECT COUNT(*) FROM "+f.table.name+" "+where, args...)
}

// selection is the WHERE of a query, within the caller's reach.
func (f *Family[T]) selection(c *Caller, action string, q ListQuery) (where string, args []any, err error) {
	reached := c.may(action)
	if reached < organization {
		return "", nil, notAllowed()
	}
	conditions := []string{"1=1"}
	add := func(condition string, values ...any) {
		conditions, args = append(conditions, condition), append(args, values...)
	}
	switch reached {
	case organization:
		add(f.homeColumn+"=?", c.Organization)
	case shared:
		add(f.homeColumn+" IN (?, ?)", c.Organization, adminOwner)
	}
	if q.Owner != "" {
		add("owner=?", q.Owner)
	}
	if q.Organization != "" {
		add(f.homeColumn+"=?", q.Organization)
	}
	if q.Field != "" && q.Value != "" {
		column, err := f.listColumn(q.Field)
		if err != nil {
			return "", nil, err
		}
		add(f.table.dialect.quote(column)+" LIKE ? ESCAPE '!'", "%"+escapeLike(q.Value)+"%")
	}
	return "WHERE " + strings.Join(conditions, " AND "), args, nil
}

func escapeLike(text string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)
}

func (f *Family[T]) order(q ListQuery) (string, error) {
	column, direction := "created_time", "DESC"
	if q.SortField != "" {
		var err error
		if column, err = f.listColumn(q.SortField); err != nil {
			return "", err
		}
	}
	if q.SortOrder == "ascend" {
		direction = "ASC"
	}
	if !f.table.has(column) {
		column = "name"
	}
	return fmt.Sprintf("%s %s, owner, name", f.table.dialect.quote(column), direction), nil
}

// listColumn returns a column that may be searched and sorted by: any of the table's, but for secrets.
func (f *Family[T]) listColumn(field string) (string, error) {
	column, known := f.table.columnOf(field)
	for _, secret := range f.secrets {
		known = known && column != secret
	}
	if !known {
		return "", refuse(InvalidRequest, "there is no column %.40q", field)
	}
	return column, nil
}
