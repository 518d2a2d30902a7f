package object

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// condition is a part of a WHERE.
type condition struct {
	text string
	args []any
}

// selection is which rows a query selects, within the caller's reach.
type selection struct {
	where   []condition
	bounded bool // at most maxFound rows, whichever the database finds first
	slow    bool // the whole table is read for it
}

// maxFound bounds the rows that a search in a large table finds.
const maxFound = 1000

func (s *selection) add(text string, args ...any) {
	for _, known := range s.where {
		if known.text == text && reflect.DeepEqual(known.args, args) {
			return
		}
	}
	s.where = append(s.where, condition{text, args})
}

// addOneOf adds that a column has one of some values.
func (s *selection) addOneOf(column string, values []string) {
	var args []any
	for _, value := range values {
		args = append(args, value)
	}
	s.add(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

// unsorted keeps the database from taking an index that begins with a column, where another one is far better.
// Databases do not know that, and like the one that has the order of the list.
func (s *selection) unsorted(column string) {
	for i := range s.where {
		if s.where[i].text == column+"=?" {
			s.where[i].text = "COALESCE(" + column + ", '')=?"
		}
	}
}

// from is a selection among the rows of a table, as SQL has it behind FROM. columns are those that are read of it.
func (s *selection) from(table, columns string) (from string, args []any) {
	from = table
	separator := " WHERE "
	for _, c := range s.where {
		from += separator + c.text
		args = append(args, c.args...)
		separator = " AND "
	}
	if s.bounded {
		from = fmt.Sprintf("(SELECT %s FROM %s LIMIT %d) sub", columns, from, maxFound)
	}
	return from, args
}

// searchFor is a search: for rows whose column contains a value, in the organization that the caller reaches and asks
// for; an empty one means all.
type searchFor struct{ organization, column, value string }

// selection is what a query selects, within the caller's reach.
func (f *Family[T]) selection(ctx context.Context, c *Caller, action string, q ListQuery) (*selection, error) {
	s := &selection{}
	reached := c.may(action)
	switch {
	case reached == organization:
		s.add(f.homeColumn+"=?", c.Organization)
	case reached == shared:
		s.add(f.homeColumn+" IN (?, ?)", c.Organization, adminOwner)
	case reached == self && f.userColumn != "":
		s.add(f.homeColumn+"=?", c.Organization)
		s.add(f.table.dialect.quote(f.userColumn)+"=?", c.Name)
	case reached < everything:
		return nil, NotAllowed()
	}
	switch {
	case q.Owner == "" || f.owned == byNobody:
	case f.owned == byOwnerOrAdmin:
		s.add("owner IN (?, ?)", q.Owner, adminOwner)
	case f.owned == byOrganization:
		s.add(f.homeColumn+"=?", q.Owner)
	default:
		s.add("owner=?", q.Owner)
	}
	if q.Organization != "" {
		s.add(f.homeColumn+"=?", q.Organization)
	}
	if q.User != "" && f.userColumn != "" {
		s.add(f.table.dialect.quote(f.userColumn)+"=?", q.User)
	}
	if q.Name != "" {
		s.add("name=?", q.Name)
	}
	if len(q.Types) > 0 {
		s.addOneOf(f.table.dialect.quote("type"), q.Types)
	}
	if q.Field == "" || q.Value == "" {
		return s, nil
	}
	return s, f.search(ctx, c, q, s)
}

// search adds the condition of a search to a selection.
func (f *Family[T]) search(ctx context.Context, c *Caller, q ListQuery, s *selection) error {
	column, err := f.listColumn(q.Field)
	if f.seek != nil {
		sought := searchFor{cmp.Or(q.Organization, q.Owner), cmp.Or(column, q.Field), q.Value}
		if c.Role != Global {
			sought.organization = c.Organization
		}
		if done, err := f.seek(ctx, sought, s); done || err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if f.table.isBool(column) { // whose text is one here and another there
		is := "COALESCE(" + f.table.dialect.quote(column) + ", FALSE)"
		switch wanted, err := strconv.ParseBool(q.Value); {
		case err != nil:
			return refuse(InvalidRequest, "%s is true or false", q.Field)
		case wanted:
			s.add(is)
		default:
			s.add("NOT " + is)
		}
		return nil
	}
	s.add(f.table.asText(column)+" LIKE ? ESCAPE '!'", "%"+escapeLike(q.Value)+"%")
	return nil
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

// order is what rows are sorted by: columns whose values differ from row to row, all in one direction, so that one
// index serves both of them.
type order struct {
	columns   []string
	ascending bool
}

func (f *Family[T]) order(q ListQuery, s *selection) (order, error) {
	column := cmp.Or(f.sort, "created_time")
	if q.SortField != "" {
		var err error
		if column, err = f.listColumn(q.SortField); err != nil {
			return order{}, err
		}
		s.slow = s.slow || f.large && !s.bounded && !slices.Contains(f.sorted, column)
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
