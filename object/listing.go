package object

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ListQuery selects rows of a family, as Casdoor's paths do. The zero value of a field means what its comment says.
type ListQuery struct {
	Owner        string // rows of one owner; empty: of all
	Organization string // rows of one organization, in families that say so; empty: of all
	User         string // rows of one user, in families that say so; empty: of all
	Field, Value string // rows whose column Field contains Value, by JSON's or the column's name; empty: all
	SortField    string // as Field; empty: by the time of creation
	SortOrder    string // "ascend"; else descending
	Page         int    // from 1; 0: the first
	PageSize     int    // 1 to maxPageSize; 0: all rows, up to maxListed
	After        string // the Next of the page before, whose sorting must be the same; then Page is unused
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
)

// ownership is what the owner of a ListQuery means in a family.
type ownership int

const (
	byOwner        ownership = iota // rows of that owner
	byOwnerOrAdmin                  // and those of Casdoor's "admin", which all may use
	byOrganization                  // rows whose organization it is
	byNobody                        // nothing: all rows belong to "admin", whatever SDKs send
)

// condition is a part of a WHERE.
type condition struct {
	text string
	args []any
}

// searchFor is a search: for rows whose column contains a value, in the organization that the caller reaches and asks
// for; an empty one means all.
type searchFor struct{ organization, column, value string }

// List returns the rows that the query selects, as far as the caller reaches.
func (f *Family[T]) List(ctx context.Context, c *Caller, q ListQuery) (*Page[T], error) {
	action := cmp.Or(f.listing, "get-"+f.name+"s")
	if err := f.open(c, action); err != nil {
		return nil, err
	}
	where, err := f.selection(ctx, c, action, q)
	if err != nil {
		return nil, err
	}
	order, err := f.order(q)
	if err != nil {
		return nil, err
	}
	page := &Page[T]{}
	if q.After == "" && q.PageSize > 0 {
		if page.Total, err = f.count(ctx, where); err != nil {
			return nil, err
		}
	}
	if page.Rows, err = f.rows(ctx, where, order, q); err != nil {
		return nil, err
	}
	if limit := q.limit(); len(page.Rows) == limit {
		page.Next = f.after(order, page.Rows[limit-1])
	}
	for _, row := range page.Rows {
		if err := f.present(ctx, c, row, true); err != nil {
			return nil, err
		}
	}
	if q.After == "" && q.PageSize == 0 {
		page.Total = len(page.Rows)
	}
	return page, nil
}

func (q *ListQuery) limit() int {
	if q.PageSize <= 0 {
		return maxListed
	}
	return min(q.PageSize, maxPageSize)
}

func (f *Family[T]) rows(ctx context.Context, where []condition, order order, q ListQuery) ([]*T, error) {
	offset := 0
	if q.After != "" {
		behind, err := order.behind(f.table.dialect, q.After)
		if err != nil {
			return nil, err
		}
		where = append(where, behind)
	} else if q.Page > 1 {
		offset = (q.Page - 1) * q.limit()
	}
	all := joined(where)
	return f.table.find(f.authority.store.read(ctx), fmt.Sprintf("WHERE %s ORDER BY %s LIMIT %d OFFSET %d", all.text,
		order.sql(f.table.dialect), q.limit(), offset), all.args...)
}

func (f *Family[T]) count(ctx context.Context, where []condition) (n int, err error) {
	all := joined(where)
	err = scanOne(f.authority.store.read(ctx), []any{&n}, "SELECT COUNT(*) FROM "+f.table.name+" WHERE "+all.text,
		all.args...)
	return n, err
}

// joined is all conditions in one.
func joined(conditions []condition) condition {
	all := condition{text: "1=1"}
	for _, c := range conditions {
		all.text += " AND " + c.text
		all.args = append(all.args, c.args...)
	}
	return all
}

// selection is the WHERE of a query, within the caller's reach.
func (f *Family[T]) selection(ctx context.Context, c *Caller, action string, q ListQuery) ([]condition, error) {
	var where []condition
	add := func(text string, args ...any) { where = append(where, condition{text, args}) }
	reached := c.may(action)
	switch {
	case reached == organization:
		add(f.homeColumn+"=?", c.Organization)
	case reached == shared:
		add(f.homeColumn+" IN (?, ?)", c.Organization, adminOwner)
	case reached == self && f.userColumn != "":
		add(f.homeColumn+"=?", c.Organization)
		add(f.table.dialect.quote(f.userColumn)+"=?", c.Name)
	case reached < everything:
		return nil, notAllowed()
	}
	switch {
	case q.Owner == "" || f.owned == byNobody:
	case f.owned == byOwnerOrAdmin:
		add("owner IN (?, ?)", q.Owner, adminOwner)
	case f.owned == byOrganization:
		add(f.homeColumn+"=?", q.Owner)
	default:
		add("owner=?", q.Owner)
	}
	if q.Organization != "" {
		add(f.homeColumn+"=?", q.Organization)
	}
	if q.User != "" && f.userColumn != "" {
		add(f.table.dialect.quote(f.userColumn)+"=?", q.User)
	}
	if q.Field == "" || q.Value == "" {
		return where, nil
	}
	found, err := f.searched(ctx, c, q)
	return append(where, found), err
}

// searched is the condition of a search.
func (f *Family[T]) searched(ctx context.Context, c *Caller, q ListQuery) (condition, error) {
	column, err := f.listColumn(q.Field)
	if f.search != nil {
		s := searchFor{cmp.Or(q.Organization, q.Owner), cmp.Or(column, q.Field), q.Value}
		if c.Role != Global {
			s.organization = c.Organization
		}
		if found, err := f.search(ctx, s); err != nil || found.text != "" {
			return found, err
		}
	}
	if err != nil {
		return condition{}, err
	}
	return f.contains(column, q.Value), nil
}

func (f *Family[T]) contains(column, value string) condition {
	return condition{f.table.dialect.quote(column) + " LIKE ? ESCAPE '!'", []any{"%" + escapeLike(value) + "%"}}
}

func escapeLike(text string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)
}

// listColumn returns a column that may be searched and sorted by: any of the table's, but for secrets.
func (f *Family[T]) listColumn(field string) (string, error) {
	column, known := f.table.columnOf(field)
	if !known || slices.Contains(f.secrets, column) || slices.Contains(f.hidden, column) {
		return "", refuse(InvalidRequest, "there is no column %.40q", field)
	}
	return column, nil
}

// order is what rows are sorted by: columns whose values differ from row to row, all in one direction, so that one index
// serves both of them.
type order struct {
	columns   []string
	ascending bool
}

func (f *Family[T]) order(q ListQuery) (order, error) {
	column := "created_time"
	if q.SortField != "" {
		var err error
		if column, err = f.listColumn(q.SortField); err != nil {
			return order{}, err
		}
	} else if f.key != nil {
		return order{[]string{"id"}, q.SortOrder == "ascend"}, nil
	}
	columns := []string{"owner", "name"}
	if f.table.has(column) && column != "owner" {
		columns = slices.Compact([]string{column, "name", "owner"})
	}
	return order{columns, q.SortOrder == "ascend"}, nil
}

func (o order) sql(d dialect) string {
	direction := " DESC"
	if o.ascending {
		direction = ""
	}
	var parts []string
	for _, c := range o.columns {
		parts = append(parts, d.quote(c)+direction)
	}
	return strings.Join(parts, ", ")
}

// after returns the After of the rows behind one; empty where a column's values are neither texts nor numbers.
func (f *Family[T]) after(o order, row *T) string {
	var values []string
	for _, c := range f.table.pick(o.columns...) {
		field := reflect.ValueOf(row).Elem().FieldByIndex(c.field)
		if field.Kind() != reflect.String && field.Kind() != reflect.Int {
			return ""
		}
		values = append(values, fmt.Sprint(field.Interface()))
	}
	text, _ := json.Marshal(values) // of texts never fails
	return base64.RawURLEncoding.EncodeToString(text)
}

// behind is the condition that After stands for.
func (o order) behind(d dialect, after string) (condition, error) {
	var values []string
	text, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil || json.Unmarshal(text, &values) != nil || len(values) != len(o.columns) {
		return condition{}, refuse(InvalidRequest, "after is of another list")
	}
	sign := "<"
	if o.ascending {
		sign = ">"
	}
	// A AND (B OR C AND D): the first part is what an index is sought by.
	first := d.quote(o.columns[0])
	all := condition{first + sign + "=?", []any{values[0]}}
	equal := condition{}
	var parts []string
	for i, c := range o.columns {
		parts = append(parts, equal.text+d.quote(c)+sign+"?")
		all.args = append(append(all.args, equal.args...), values[i])
		equal.text += d.quote(c) + "=? AND "
		equal.args = append(equal.args, values[i])
	}
	all.text = "(" + all.text + " AND (" + strings.Join(parts, " OR ") + "))"
	return all, nil
}
