package controllers

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

func applicationPages() []consolePage {
	return []consolePage{
		{path: "/applications", show: (*visit).listApplications},
		{path: "/applications/view", show: (*visit).viewApplication},
		{path: "/applications/add", show: (*visit).showNewApplication, change: (*visit).addApplication, owner: true},
		{path: "/applications/edit", show: (*visit).showApplicationForm, change: (*visit).changeApplication, owner: true},
		{path: "/applications/secret", show: (*visit).askNewSecret, change: (*visit).renewSecret, owner: true},
		{path: "/applications/key", show: (*visit).showKeyForm, change: (*visit).rotateKey, owner: true},
		{
			path: "/applications/delete", show: (*visit).askDeleteApplication, change: (*visit).deleteApplication, owner: true,
		},
	}
}

// applications returns all that the caller looks after.
func (v *visit) applications() ([]*sdk.Application, error) {
	return rowsOf(v, v.Deps.Console.Applications(), object.ListQuery{})
}

// applicationsOf returns those that name a provider.
func (v *visit) applicationsOf(provider string) ([]*sdk.Application, error) {
	apps, err := v.applications()
	return slices.DeleteFunc(apps, func(app *sdk.Application) bool { return !uses(app, provider) }), err
}

func uses(app *sdk.Application, provider string) bool {
	return slices.ContainsFunc(app.Providers, func(i *sdk.ProviderItem) bool { return i != nil && i.Name == provider })
}

// application returns one that the caller looks after, without its secret: anybody may read others.
func (v *visit) application(owner, name string) (*sdk.Application, error) {
	return rowOf(v, v.Deps.Console.Applications(), object.ListQuery{Name: name}, func(app *sdk.Application) bool {
		return app.Name == name && app.Owner == owner
	})
}

func (v *visit) listApplications() error {
	f := v.searchForm("find", searchBy(labelled("application.", "displayName", "name", "clientId", "organization"))...)
	data, err := list(v, f, v.Deps.Console.Applications(), object.ListQuery{})
	if err != nil {
		return err
	}
	return v.showList("applications", f, data)
}

// applicationData is what the page of an application shows.
type applicationData struct {
	Row      *sdk.Application
	Server   string // this one's address
	Code     string // what goes into the mini program
	Insecure bool   // mini programs do not call such an address
	Lifetime float64
	Refresh  float64
	Cert     string    // the name of the one that it signs with
	OldUntil time.Time // when the last token of a former key ends; the zero time: it has
}

func (v *visit) viewApplication() error {
	row, err := v.application(idOf(v.r.URL.Query()))
	if err != nil {
		return err
	}
	server := v.Deps.origin(v.r)
	data := applicationData{
		Row: row, Server: server, Code: miniProgramCode(server, row.ClientId), Insecure: !v.Deps.isHTTPS(v.r),
		Lifetime: hoursOf(row), Refresh: max(row.RefreshExpireInHours, 0), Cert: object.CertOf(row),
	}
	certs, err := v.certs(row.Organization)
	if err != nil {
		return err
	}
	data.OldUntil = formerUntil(certs, row)
	return v.render(http.StatusOK, "application", data)
}

// miniProgramCode returns what a mini program needs to sign in here, with its values filled in.
func miniProgramCode(server, clientID string) string {
	text, err := consoleFiles.ReadFile(consoleFolder + "minidoor.js.txt")
	if err != nil {
		panic(err) // it is embedded
	}
	values := strings.NewReplacer(
		`"{server}"`, strconv.QuoteToASCII(server), `"{clientId}"`, strconv.QuoteToASCII(clientID))
	return values.Replace(string(text))
}

// hoursOf returns how long an access token of an application lives.
func hoursOf(app *sdk.Application) float64 {
	return cmp.Or(max(app.ExpireInHours, 0), object.DefaultExpireInHours)
}

// attach adds a provider to an application, which lets its users sign up and in.
func (v *visit) attach(owner, name, application string) error {
	appOwner, appName, _ := strings.Cut(application, "/")
	app, err := v.application(appOwner, appName)
	if err != nil || uses(app, name) {
		return err
	}
	return v.setApplication(app, []string{"providers"}, map[string]any{
		"providers": append(app.Providers, newProviderItem(owner, name)),
	})
}

func newProviderItem(owner, name string) *sdk.ProviderItem {
	return &sdk.ProviderItem{Owner: owner, Name: name, CanSignUp: true, CanSignIn: true, CanUnlink: true}
}

// setApplication writes some columns of an application.
func (v *visit) setApplication(app *sdk.Application, columns []string, row map[string]any) error {
	found, err := v.Deps.Console.Applications().Update(v.r.Context(), v.caller, app.Owner, app.Name, columns, toJSON(row))
	return orMissing(found, err)
}

// secretData is shown once.
type secretData struct {
	Row    *sdk.Application
	Secret string
	IsNew  bool // the application is
}

func (v *visit) showSecret(app *sdk.Application, secret provider.Secret, isNew bool) error {
	v.here = "" // whoever leaves the page for another language would lose the secret
	return v.render(http.StatusOK, "secret", secretData{app, secret.Reveal(), isNew})
}

func (v *visit) askNewSecret() error {
	row, err := v.application(idOf(v.r.URL.Query()))
	if err != nil {
		return err
	}
	c := confirmation{Key: "renewSecret", Subject: titleOf(row.DisplayName, row.Name), Final: true}
	return v.confirm(c, "/applications/view", row.Owner, row.Name)
}

// renewSecret replaces the client secret, and shows the new one: in the answer itself, so that it is in no address and
// no history.
func (v *visit) renewSecret() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	row, err := v.application(idOf(in))
	if err != nil {
		return err
	}
	secret := object.NewClientSecret()
	err = v.setApplication(row, []string{"clientSecret"}, map[string]any{"clientSecret": secret.Reveal()})
	if err != nil {
		return err
	}
	return v.showSecret(row, secret, false)
}

func (v *visit) askDeleteApplication() error {
	row, err := v.application(idOf(v.r.URL.Query()))
	if err != nil {
		return err
	}
	err = v.Deps.Console.Applications().MayDelete(v.r.Context(), v.caller, row.Owner, row.Name)
	if isInUse(err) {
		return v.cannot("applicationInUse", "/applications/view", row.Owner, row.Name)
	}
	if err != nil {
		return err
	}
	c := confirmation{Key: "deleteApplication", Subject: titleOf(row.DisplayName, row.Name), Final: true}
	return v.confirm(c, "/applications/view", row.Owner, row.Name)
}

func (v *visit) deleteApplication() error {
	return remove(v, v.Deps.Console.Applications(), "applicationInUse", "/applications/view", "/applications")
}
