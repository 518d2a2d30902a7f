package controllers

import (
	"net/http"
	"net/url"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

func providerPages() []consolePage {
	return []consolePage{
		{path: "/providers", show: (*visit).listProviders},
		{path: "/providers/view", show: (*visit).viewProvider},
		{path: "/providers/test", change: (*visit).testProvider, from: "/providers/view"},
		{path: "/providers/options", show: (*visit).showProviderOptions, change: (*visit).changeProviderOptions},
		{path: "/providers/add", show: (*visit).showNewProvider, change: (*visit).addProvider, owner: true},
		{path: "/providers/edit", show: (*visit).showProviderEdit, change: (*visit).changeProvider, owner: true},
		{path: "/providers/delete", show: (*visit).askDeleteProvider, change: (*visit).deleteProvider, owner: true},
	}
}

// miniPrograms returns the providers that are mini programs and that an organization may use, as far as the caller
// reaches; empty: all of them.
func (v *visit) miniPrograms(organization string) ([]*sdk.Provider, error) {
	return rowsOf(v, v.Deps.Console.Providers(), object.ListQuery{
		Owner: organization, Types: v.Deps.Service.MiniProgramTypes(),
	})
}

func (v *visit) listProviders() error {
	f := v.searchForm("find", searchBy(labelled("provider.", "displayName", "name", "clientId"))...)
	data, err := list(v, f, v.Deps.Console.Providers(), object.ListQuery{Types: v.Deps.Service.MiniProgramTypes()})
	if err != nil {
		return err
	}
	return v.showList("providers", f, data)
}

// providerData is what the page of a provider shows.
type providerData struct {
	Row       *sdk.Provider
	Options   *object.ProviderOptions // nil: the caller may not see them
	PushURL   string                  // where the platform sends messages to; empty: nowhere
	MayChange bool
	Test      *testResult // nil: it has not been tested
}

func (v *visit) viewProvider() error { return v.showProvider(v.r.URL.Query(), nil) }

func (v *visit) showProvider(in url.Values, test *testResult) error {
	owner, name := idOf(in)
	row, err := v.provider(owner, name)
	if err != nil {
		return err
	}
	data := providerData{Row: row, Test: test}
	data.Options, err = v.Deps.Console.ProviderOptions(v.r.Context(), v.caller, owner, name)
	if isRefusal(err, object.AccessDenied) {
		return v.render(http.StatusOK, "provider", data)
	}
	if err != nil {
		return err
	}
	data.MayChange = true
	if data.Options.PushToken != "" {
		data.PushURL = v.Deps.origin(v.r) + pushPath + url.PathEscape(name)
	}
	return v.render(http.StatusOK, "provider", data)
}

// provider returns a provider that is in the caller's list: any user may read the bare rows of others.
func (v *visit) provider(owner, name string) (*sdk.Provider, error) {
	q := object.ListQuery{Owner: owner, Name: name}
	return rowOf(v, v.Deps.Console.Providers(), q, func(row *sdk.Provider) bool {
		return row.Name == name && row.Owner == owner && v.Deps.Service.IsMiniProgram(row)
	})
}

func (v *visit) askDeleteProvider() error {
	owner, name := idOf(v.r.URL.Query())
	row, err := v.provider(owner, name)
	if err != nil {
		return err
	}
	err = v.Deps.Console.Providers().MayDelete(v.r.Context(), v.caller, owner, name)
	if isInUse(err) {
		apps, err := v.applicationsOf(name)
		if err != nil {
			return err
		}
		return v.cannot("providerInUse", "/providers/view", owner, name, v.usedBy(apps)...)
	}
	if err != nil {
		return err
	}
	c := confirmation{Key: "deleteProvider", Subject: titleOf(row.DisplayName, name), Final: true}
	return v.confirm(c, "/providers/view", owner, name)
}

func (v *visit) deleteProvider() error {
	return remove(v, v.Deps.Console.Providers(), "providerInUse", "/providers/view", "/providers")
}
