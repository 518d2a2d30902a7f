package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minidoor/minidoor/object"
)

// form is what a page asks for. Name begins the keys of its texts: "provider.clientId" is a label, and
// "provider.clientId.hint" a hint, where there is one.
type form struct {
	Name   string
	Fields []*field
	Wrong  bool // a field is
}

// field is one thing to enter.
type field struct {
	Name         string
	Kind         string   // an input's, "select", "checks": any of the options, or "secret": never shown again
	Value        string   // of a checkbox: "on" or empty
	Values       []string // of checks
	Options      []option
	Required     bool
	Autocomplete string // what a browser may fill in; empty: nothing
	Max          int    // characters; 0: 100
	Problem      string // what is wrong, as the end of a text's key; empty: nothing
	Group        string // begins a group with this title, as the end of a text's key; empty: goes on with the last one
}

// option is a choice. It is shown as its Label says, which is a text's key, or else as Text.
type option struct{ Value, Label, Text string }

// labelled returns options whose labels' keys begin with prefix.
func labelled(prefix string, values ...string) []option {
	all := make([]option, len(values))
	for i, value := range values {
		all[i] = option{Value: value, Label: prefix + value}
	}
	return all
}

// plain returns options that speak for themselves.
func plain(values ...string) []option {
	all := make([]option, len(values))
	for i, value := range values {
		all[i] = option{Value: value, Text: value}
	}
	return all
}

// Ticked reports whether one of the checks is ticked.
func (f *field) Ticked(value string) bool { return slices.Contains(f.Values, value) }

func checkbox(name string, on bool) *field {
	f := &field{Name: name, Kind: "checkbox"}
	if on {
		f.Value = "on"
	}
	return f
}

// field returns the field of a name, which there must be.
func (f *form) field(name string) *field {
	if found := f.lookUp(name); found != nil {
		return found
	}
	panic("no field " + name)
}

// lookUp returns the field of a name, or nil.
func (f *form) lookUp(name string) *field {
	i := slices.IndexFunc(f.Fields, func(field *field) bool { return field.Name == name })
	if i < 0 {
		return nil
	}
	return f.Fields[i]
}

func (f *form) value(name string) string { return f.field(name).Value }

// valueIfAny is value of a field that may not be there: it is empty then.
func (f *form) valueIfAny(name string) string {
	if found := f.lookUp(name); found != nil {
		return found.Value
	}
	return ""
}

func (f *form) on(name string) bool { return f.value(name) == "on" }

// wrong marks a field.
func (f *form) wrong(name, problem string) {
	f.field(name).Problem = problem
	f.Wrong = true
}

// IsSecret reports whether a page must not show the value.
func (f *field) IsSecret() bool { return f.Kind == "password" || f.Kind == "secret" }

// IsOptional reports whether a text may be left empty, which is worth saying: but not of what one searches by.
func (f *field) IsOptional() bool {
	return !f.Required && !slices.Contains([]string{"select", "search", "datetime-local"}, f.Kind)
}

// fill takes over what was posted, and judges what holds for all fields.
func (f *form) fill(in url.Values) {
	for _, field := range f.Fields {
		field.Value, field.Values = in.Get(field.Name), nil
		if field.Kind == "checks" {
			field.Values = in[field.Name]
		}
		if field.Kind != "password" {
			field.Value = strings.TrimSpace(field.Value)
		}
		if problem := field.judge(); problem != "" {
			f.wrong(field.Name, problem)
		}
	}
}

// nameForm is what a row that is made in the console may be called.
var nameForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]*$`)

// judgeName marks the name of a new row that it may not have. None at all is judged by fill.
func (f *form) judgeName() {
	if name := f.value("name"); name != "" && !nameForm.MatchString(name) {
		f.wrong("name", "name")
	}
}

func (f *field) judge() string {
	limit := f.Max
	if limit == 0 {
		limit = 100
	}
	switch {
	case f.Required && f.Value == "":
		return "required"
	case f.Kind == "checks":
		if slices.ContainsFunc(f.Values, func(value string) bool { return !f.offers(value) }) {
			return "choice"
		}
	case utf8.RuneCountInString(f.Value) > limit:
		return "long"
	case f.Kind == "select" && !f.offers(f.Value):
		return "choice"
	case f.Kind == "checkbox" && f.Value != "" && f.Value != "on":
		return "choice"
	}
	return ""
}

func (f *field) offers(value string) bool {
	return slices.ContainsFunc(f.Options, func(o option) bool { return o.Value == value })
}

// version tells what a form shows from what it shows once somebody has changed the row. It is made of what the page
// shows anyway, so that no secret can be found out by it.
func (f *form) version() string {
	sum := sha256.New()
	for _, field := range f.Fields {
		fmt.Fprintf(sum, "%q %q %q\n", field.Name, field.Value, field.Values)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// formData is what the page of a form shows.
type formData struct {
	Key     string // begins the keys of its texts
	Subject string // whom it is about; empty: something new
	Form    *form
	ID      string // owner/name; empty: something new
	Version string // of what the form shows of a row
	Changed bool   // somebody has changed the row meanwhile
	Action  string
	Back    string
}

// formData makes the page of a form. That of a row that is there must show the row still, and not what was posted.
func (v *visit) formData(key string, f *form, id, back string) formData {
	return formData{Key: key, Form: f, ID: id, Version: f.version(), Action: v.r.URL.Path, Back: consoleRoot + back}
}

// isOutdated reports whether what was posted is about another state of the row than the one that is there: saved, it
// would take back what somebody else has changed.
func (d formData) isOutdated(in url.Values) bool { return in.Get("version") != d.Version }

// outdated shows a form with what is there now.
func (v *visit) outdated(data formData) error {
	data.Changed = true
	return v.render(http.StatusConflict, "form", data)
}

// form reads the fields of a posted form. No field has control characters. From then on the page to come back to is
// that of the row which the form is about.
func (v *visit) form() (url.Values, error) {
	body, err := v.body()
	if err != nil {
		return nil, err
	}
	if kind, _, _ := strings.Cut(v.r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" {
		return nil, badRequest("the body must be a form")
	}
	in, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badRequest("the form is malformed")
	}
	for name, values := range in {
		for i, value := range values {
			values[i] = strings.Trim(value, "\t") // which comes along with a copied cell of a table
		}
		for _, value := range append(values, name) {
			if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
				return nil, badRequest("the form has control characters, or is not UTF-8")
			}
		}
	}
	if in.Get("id") != "" {
		v.here += "?" + idQuery(idOf(in)).Encode()
	}
	return in, nil
}

// invalid shows a form again with what is wrong with it.
func (v *visit) invalid(page string, data any) error {
	return v.render(http.StatusUnprocessableEntity, page, data)
}

// invalidForm is invalid for a form that changes something. What must not be shown is to be entered once more: left
// empty, it would not be missed.
func (v *visit) invalidForm(data formData) error {
	for _, field := range data.Form.Fields {
		if field.IsSecret() && field.Value != "" && field.Problem == "" {
			field.Problem = "again"
		}
	}
	return v.invalid("form", data)
}

// refused reports whether err is a refusal of what was entered, and marks the field that it is about.
func (f *form) refused(err error, field, problem string) bool {
	if !isRefusal(err, object.InvalidRequest) {
		return false
	}
	f.wrong(field, problem)
	return true
}
