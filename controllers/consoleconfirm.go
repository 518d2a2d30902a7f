package controllers

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

// confirmation asks before something is done. Key ends the keys of its texts.
type confirmation struct {
	Key     string
	Subject string   // whom or what it is done to
	Facts   []string // what else to know
	Final   bool     // there is no way back
	ID      string   // owner/name
	Action  string   // where the answer goes
	Back    string   // where to go instead
}

// confirm asks whether to do what a POST to the same path does to a row. view is the row's page.
func (v *visit) confirm(c confirmation, view, owner, name string) error {
	c.ID = owner + "/" + name
	c.Action = v.r.URL.Path
	c.Back = consoleRoot + view + "?" + idQuery(owner, name).Encode()
	return v.render(http.StatusOK, "confirm", c)
}

// idOf returns the owner and name of the row that a request is about.
func idOf(in url.Values) (owner, name string) {
	owner, name, _ = strings.Cut(in.Get("id"), "/")
	return owner, name
}

func idQuery(owner, name string) url.Values { return url.Values{"id": {owner + "/" + name}} }

// titleOf returns what people call a row.
func titleOf(displayName, name string) string { return cmp.Or(displayName, name) }

// orMissing turns "there is no such row" into an error.
func orMissing(found bool, err error) error {
	if err == nil && !found {
		return object.ErrNotFound
	}
	return err
}

// isInUse reports whether err means that a row stays since others need it.
func isInUse(err error) bool { return isRefusal(err, object.InvalidRequest) }

// remove deletes the row that a form is about, and goes back to the list. Where others need the row it says so, with
// the text whose key ends in inUse; view is the row's page.
func remove[T any](v *visit, f *object.Family[T], inUse, view, list string) error {
	in, err := v.form()
	if err != nil {
		return err
	}
	owner, name := idOf(in)
	found, err := f.Delete(v.r.Context(), v.caller, owner, name)
	if isInUse(err) {
		return v.cannot(inUse, view, owner, name)
	}
	if err := orMissing(found, err); err != nil {
		return err
	}
	return v.leave(list, nil, "deleted")
}

// refusedData says why something is not done. Key ends the key of its text.
type refusedData struct {
	Key   string
	Facts []string // what else to know
	Back  string
}

// usedBy names applications that use something.
func (v *visit) usedBy(apps []*sdk.Application) (facts []string) {
	for _, app := range apps {
		facts = append(facts, v.words.text("cannot.usedBy", titleOf(app.DisplayName, app.Name)))
	}
	return facts
}

// cannot answers that something is not done. view is the row's page.
func (v *visit) cannot(key, view, owner, name string, facts ...string) error {
	back := consoleRoot + view + "?" + idQuery(owner, name).Encode()
	return v.render(http.StatusConflict, "cannot", refusedData{key, facts, back})
}
