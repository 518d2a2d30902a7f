package controllers

import (
	"net/http"

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
	named, others := firstOf(apps)
	for _, app := range named {
		facts = append(facts, v.words.text("cannot.usedBy", titleOf(app.DisplayName, app.Name)))
	}
	if others > 0 {
		facts = append(facts, v.words.text("list.others", grouped(others)))
	}
	return facts
}

// cannot answers that something is not done. view is the row's page.
func (v *visit) cannot(key, view, owner, name string, facts ...string) error {
	back := consoleRoot + view + "?" + idQuery(owner, name).Encode()
	return v.render(http.StatusConflict, "cannot", refusedData{key, facts, back})
}
