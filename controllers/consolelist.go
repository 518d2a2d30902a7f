package controllers

import "github.com/minidoor/minidoor/object"

// consolePageSize is how many rows a page of a long list has.
const consolePageSize = 50

// searchForm asks for a part of a list, in the address.
func (v *visit) searchForm(name string, fields ...*field) (*form, error) {
	f := &form{Name: name, Fields: fields}
	if v.caller.Role == object.Global {
		names, err := v.organizationNames()
		if err != nil {
			return nil, err
		}
		f.Fields = append(f.Fields, &field{
			Name: "organization", Kind: "select", Options: append([]option{{Label: "list.all"}}, plain(names...)...),
		})
	}
	f.fill(v.r.URL.Query())
	return f, nil
}

// organizationIn returns the organization that a search asks for; empty: all that the caller reaches.
func (f *form) organizationIn() string {
	for _, field := range f.Fields {
		if field.Name == "organization" {
			return field.Value
		}
	}
	return ""
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
