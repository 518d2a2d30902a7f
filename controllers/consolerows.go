package controllers

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/minidoor/minidoor/object"
)

// sharedOwner is Casdoor's owner of what all organizations may use.
const sharedOwner = "admin"

// ownerOfNew returns whose a new provider or cert is: everybody's, if a global admin makes it.
func (v *visit) ownerOfNew() string {
	if v.caller.Role == object.Global {
		return sharedOwner
	}
	return v.caller.Organization
}

// idOf returns the owner and name of the row that a request is about.
func idOf(in url.Values) (owner, name string) {
	owner, name, _ = strings.Cut(in.Get("id"), "/")
	return owner, name
}

func idQuery(owner, name string) url.Values { return url.Values{"id": {owner + "/" + name}} }

// titleOf returns what people call a row.
func titleOf(displayName, name string) string { return cmp.Or(displayName, name) }

// rowsOf returns all rows of a family that a query selects and the caller reaches.
func rowsOf[T any](v *visit, f *object.Family[T], q object.ListQuery) ([]*T, error) {
	found, err := f.List(v.r.Context(), v.caller, q)
	if err != nil {
		return nil, err
	}
	return found.Rows, nil
}

// rowOf returns the row of a family that a query selects, the caller reaches and is meant, or ErrNotFound.
func rowOf[T any](v *visit, f *object.Family[T], q object.ListQuery, isMeant func(*T) bool) (*T, error) {
	rows, err := rowsOf(v, f, q)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rows, isMeant)
	if i < 0 {
		return nil, object.ErrNotFound
	}
	return rows[i], nil
}

// organizationNames returns those that the caller may look after.
func (v *visit) organizationNames() ([]string, error) {
	rows, err := v.Deps.Console.OrganizationNames(v.r.Context(), v.caller)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, row := range rows {
		names = append(names, row.Name)
	}
	return names, nil
}

// orMissing turns "there is no such row" into an error.
func orMissing(found bool, err error) error {
	if err == nil && !found {
		return object.ErrNotFound
	}
	return err
}

// toJSON encodes what always can be.
func toJSON(row any) json.RawMessage {
	text, err := json.Marshal(row)
	if err != nil {
		panic(err)
	}
	return text
}
