package controllers

import (
	"cmp"
	"net/http"

	"github.com/minidoor/minidoor/object"
)

// consolePageSize is how many rows a page of a long list has.
const consolePageSize = 50

// searchForm asks for a part of a list, in the address. What is not chosen in it is the first choice.
func (v *visit) searchForm(name string, fields ...*field) *form {
	f := &form{Name: name, Fields: fields}
	query := v.r.URL.Query()
	for _, field := range fields {
		if field.Kind == "select" && query.Get(field.Name) == "" {
			query.Set(field.Name, field.Options[0].Value)
		}
	}
	f.fill(query)
	return f
}

// byOrganization is the field of a search for rows of one organization. Only who reaches several is asked.
func (v *visit) byOrganization() ([]*field, error) {
	if v.caller.Role != object.Global {
		return nil, nil
	}
	names, err := v.organizationNames()
	if err != nil {
		return nil, err
	}
	options := append([]option{{Label: "list.all"}}, plain(names...)...)
	return []*field{{Name: "organization", Kind: "select", Options: options}}, nil
}

// searchBy asks for rows that have a text in one of some columns.
func searchBy(columns []option) []*field {
	fields := []*field{{Name: "value", Kind: "search"}}
	if len(columns) > 1 {
		fields = append(fields, &field{Name: "by", Kind: "select", Options: columns})
	}
	return fields
}

// listData is what a page of a list shows.
type listData[T any] struct {
	Form  *form
	Rows  []*T
	Total int    // 0 behind the first page
	Next  string // the address of the next page; empty: there is none
	Whole bool   // the list is on this page, all of it: nobody needs to search
}

// list returns the page of a family that a form of searchBy asks for, among the rows of q.
func list[T any](v *visit, f *form, family *object.Family[T], q object.ListQuery) (listData[T], error) {
	data := listData[T]{Form: f}
	if f.Wrong {
		return data, nil
	}
	q.Field, q.Value = cmp.Or(f.valueIfAny("by"), q.Field), f.value("value")
	q.Organization = f.valueIfAny("organization")
	q.PageSize, q.After = consolePageSize, v.r.URL.Query().Get("after")
	page, err := family.List(v.r.Context(), v.caller, q)
	if err != nil {
		return data, err
	}
	data.Rows, data.Total, data.Next = page.Rows, page.Total, v.next(page.Next)
	data.Whole = data.Next == "" && q.Value == "" && q.After == ""
	return data, nil
}

// showList answers with the page of a list.
func (v *visit) showList(page string, f *form, data any) error {
	if f.Wrong {
		return v.invalid(page, data)
	}
	return v.render(http.StatusOK, page, data)
}

// next returns the address of the next page of the list that is shown.
func (v *visit) next(after string) string {
	if after == "" {
		return ""
	}
	query := v.r.URL.Query()
	query.Set("after", after)
	query.Del("done")
	return v.r.URL.Path + "?" + query.Encode()
}
