package controllers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/minidoor/minidoor/object"
)

// signInData is what the page to sign in shows.
type signInData struct {
	Form    *form
	Next    string // where to go then
	Message string // what went wrong, as a text's key; empty: nothing
}

func signInForm() *form {
	return &form{Name: "signIn", Fields: []*field{
		{Name: "organization", Kind: "text", Value: "built-in", Required: true, Autocomplete: "organization"},
		{Name: "username", Kind: "text", Required: true, Max: maxParam, Autocomplete: "username"},
		{Name: "password", Kind: "password", Required: true, Max: maxParam, Autocomplete: "current-password"},
	}}
}

func (v *visit) signInPage() error {
	query := v.r.URL.Query()
	page := signInData{Form: signInForm(), Next: nextOf(query.Get("next"))}
	if query.Has(signedInMark) {
		if err := v.identify(); err != nil {
			return err
		}
		if v.caller != nil {
			v.redirect(page.Next)
			return nil
		}
		page.Message = "signIn.lost"
	}
	return v.render(http.StatusOK, "sign-in", page)
}

// signedInMark is in the address that a sign-in leads to: who comes without the session has a browser that did not keep
// it, as none does that has come by http to a server whose origin is https.
const signedInMark = "signedIn"

// signIn begins a session for an admin. Why somebody is not let in is not told, but that they are no admin.
func (v *visit) signIn() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	page := signInData{Form: signInForm(), Next: nextOf(in.Get("next"))}
	page.Form.fill(in)
	if page.Form.Wrong {
		return v.invalid("sign-in", page)
	}
	token, caller, err := v.signInByPassword(object.PasswordSignIn{
		Organization: page.Form.value("organization"), Username: page.Form.value("username"),
		Password: page.Form.value("password"),
	})
	if refusal, refused := errors.AsType[*object.Refusal](err); refused && statusOf(refusal.Code) < 500 {
		e := pageError(err)
		logError(v.Deps.Logger, v.r, "sign-in to the console refused", e)
		page.Message = "signIn.wrong"
		if refusal.Code == object.SlowDown {
			page.Message = "signIn.wait"
		}
		return v.render(e.Status, "sign-in", page)
	}
	if err != nil {
		return err
	}
	if caller.Role < object.Admin {
		if err := v.Deps.Console.EndSession(v.r.Context(), token); err != nil {
			return err
		}
		return membersMayNot()
	}
	if err := v.signedIn(token, caller); err != nil {
		return err
	}
	return v.leave("/sign-in", url.Values{"next": {page.Next}, signedInMark: {"1"}}, "")
}

// againData is a form that came when its sender's session was over.
type againData struct {
	Action  string
	Fields  url.Values // but for secrets
	Secrets form       // that are to be entered once more, as no page shows one
	Next    string     // where the form is
}

// askToSendAgain keeps what was entered for as long as it takes to sign in elsewhere: nothing has been done with it.
func (v *visit) askToSendAgain() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	data := againData{Action: v.r.URL.Path, Fields: in, Secrets: enteredSecrets(in), Next: v.here}
	for _, secret := range data.Secrets.Fields {
		in.Del(secret.Name)
	}
	v.here = "" // whoever leaves the page for another language would lose what was entered
	return v.render(http.StatusForbidden, "again", data)
}

// enteredSecrets asks for the secrets that were entered: only providers' forms have any.
func enteredSecrets(in url.Values) form {
	f := form{Name: "provider"}
	for _, field := range slices.Concat(providerFields(false), optionFields(&object.ProviderOptions{})) {
		if field.IsSecret() && in.Get(field.Name) != "" {
			field.Problem, field.Group = "again", ""
			f.Fields = append(f.Fields, field)
		}
	}
	return f
}

// leaveConsole is POST /console/sign-out.
func (v *visit) leaveConsole() error {
	if err := v.signOut(); err != nil {
		return err
	}
	return v.leave("/sign-in", url.Values{}, "signedOut")
}
