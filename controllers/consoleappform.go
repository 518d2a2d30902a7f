package controllers

import (
	"cmp"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

// applicationForm returns the form of an application, with the choices that the caller has; row is nil for a new one.
func (v *visit) applicationForm(row *sdk.Application) (*form, error) {
	var organization string // of a new one it is chosen in the form
	if row != nil {
		organization = row.Organization
	}
	providers, err := v.miniPrograms(organization)
	if err != nil {
		return nil, err
	}
	certs, err := v.certs(organization)
	if err != nil {
		return nil, err
	}
	f := &form{Name: "application", Fields: []*field{{Name: "displayName", Kind: "text", Required: true}}}
	if row == nil {
		names, err := v.organizationNames()
		if err != nil {
			return nil, err
		}
		f.Fields = append(f.Fields,
			&field{Name: "name", Kind: "text", Required: true},
			&field{Name: "organization", Kind: "select", Options: plain(names...), Value: v.caller.Organization})
		row = &sdk.Application{
			TokenFormat: "JWT", ExpireInHours: object.DefaultExpireInHours, RefreshExpireInHours: 720, EnableSignUp: true,
		}
	}
	f.field("displayName").Value = titleOf(row.DisplayName, row.Name)
	f.Fields = append(f.Fields, providerChecks(row, providers), checkbox("enableSignUp", row.EnableSignUp),
		&field{
			Name: "tokenFormat", Kind: "select", Group: "token", Value: cmp.Or(row.TokenFormat, "JWT"),
			Options: labelled("tokenFormat.", "JWT", "JWT-Standard", "JWT-Empty", "JWT-Custom"),
		},
		&field{Name: "expireInHours", Kind: "number", Required: true, Value: hoursText(hoursOf(row))},
		&field{Name: "refreshExpireInHours", Kind: "number", Required: true, Value: hoursText(max(row.RefreshExpireInHours, 0))},
		certSelect(row, certs))
	return f, nil
}

// providerChecks chooses an application's providers.
func providerChecks(row *sdk.Application, providers []*sdk.Provider) *field {
	f := &field{Name: "providers", Kind: "checks", Group: "signIn"}
	for _, p := range providers {
		f.Options = append(f.Options, option{Value: p.Name, Text: titleOf(p.DisplayName, p.Name) + " · " + p.ClientId})
		if uses(row, p.Name) {
			f.Values = append(f.Values, p.Name)
		}
	}
	return f
}

// certSelect chooses the cert that an application signs with. The one that it names stays a choice, whatever became of
// it: the browser would else choose another one unasked.
func certSelect(row *sdk.Application, certs []*sdk.Cert) *field {
	f := &field{Name: "cert", Kind: "select", Value: object.CertOf(row)}
	for _, c := range certs {
		if object.SignsTokens(c) {
			f.Options = append(f.Options, option{Value: c.Name, Text: c.Name + " · " + c.CryptoAlgorithm})
		}
	}
	if !f.offers(f.Value) {
		f.Options = append(f.Options, plain(f.Value)...)
	}
	return f
}

// judgeCert marks a cert that is another organization's than a new application.
func (v *visit) judgeCert(f *form) error {
	certs, err := v.certs(f.value("organization"))
	if !slices.ContainsFunc(certs, func(c *sdk.Cert) bool { return c.Name == f.value("cert") }) {
		f.wrong("cert", "cert")
	}
	return err
}

func hoursText(hours float64) string { return strconv.FormatFloat(hours, 'f', -1, 64) }

func hoursIn(f *form, name string) float64 {
	hours, err := strconv.ParseFloat(f.value(name), 64)
	const century = 24 * 366 * 100
	if f.value(name) != "" && (err != nil || math.IsNaN(hours) || hours < 0 || hours > century) {
		f.wrong(name, "hours")
		return 0
	}
	return hours
}

// readApplication returns the columns of an application that a form sets; app is what it has been, empty for a new one.
func (v *visit) readApplication(f *form, app *sdk.Application) (columns []string, row map[string]any, err error) {
	rows, err := v.miniPrograms(app.Organization)
	if err != nil {
		return nil, nil, err
	}
	row = map[string]any{
		"displayName": f.value("displayName"), "enableSignUp": f.on("enableSignUp"),
		"tokenFormat":   f.value("tokenFormat"),
		"expireInHours": hoursIn(f, "expireInHours"), "refreshExpireInHours": hoursIn(f, "refreshExpireInHours"),
		"cert": f.value("cert"), "providers": chosenItems(f.field("providers"), rows, app.Providers),
	}
	for name := range row {
		columns = append(columns, name)
	}
	return columns, row, nil
}

// chosenItems returns an application's providers: those that the form does not speak of, and those that are ticked in
// it, which keep their settings.
func chosenItems(ticked *field, rows []*sdk.Provider, before []*sdk.ProviderItem) []*sdk.ProviderItem {
	items := []*sdk.ProviderItem{}
	for _, item := range before {
		if item != nil && (!ticked.offers(item.Name) || ticked.Ticked(item.Name)) {
			items = append(items, item)
		}
	}
	for _, p := range rows {
		known := slices.ContainsFunc(items, func(i *sdk.ProviderItem) bool { return i.Name == p.Name })
		if ticked.Ticked(p.Name) && !known {
			items = append(items, newProviderItem(p.Owner, p.Name))
		}
	}
	return items
}

func (v *visit) showNewApplication() error {
	f, err := v.applicationForm(nil)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "form", v.formData("applicationAdd", f, "", "/applications"))
}

func (v *visit) addApplication() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	f, err := v.applicationForm(nil)
	if err != nil {
		return err
	}
	f.fill(in)
	f.judgeName()
	if err := v.judgeCert(f); err != nil {
		return err
	}
	name := f.value("name")
	_, row, err := v.readApplication(f, &sdk.Application{})
	if err != nil {
		return err
	}
	again := func() error { return v.invalidForm(v.formData("applicationAdd", f, "", "/applications")) }
	if f.Wrong {
		return again()
	}
	secret := object.NewClientSecret()
	row["owner"], row["name"], row["organization"] = sharedOwner, name, f.value("organization")
	row["clientSecret"] = secret.Reveal()
	row["grantTypes"] = []string{"authorization_code", "refresh_token", "client_credentials"}
	err = v.Deps.Console.Applications().Add(v.r.Context(), v.caller, toJSON(row))
	if f.refused(err, "name", "taken") {
		return again()
	}
	if err != nil {
		return err
	}
	app, err := v.application(sharedOwner, name)
	if err != nil {
		return err
	}
	return v.showSecret(app, secret, true)
}

func (v *visit) applicationFormData(in url.Values) (formData, *sdk.Application, error) {
	row, err := v.application(idOf(in))
	if err != nil {
		return formData{}, nil, err
	}
	f, err := v.applicationForm(row)
	if err != nil {
		return formData{}, nil, err
	}
	data := v.formData("applicationEdit", f, in.Get("id"), "/applications/view?"+idQuery(row.Owner, row.Name).Encode())
	data.Subject = titleOf(row.DisplayName, row.Name)
	return data, row, nil
}

func (v *visit) showApplicationForm() error {
	data, _, err := v.applicationFormData(v.r.URL.Query())
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "form", data)
}

func (v *visit) changeApplication() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	data, app, err := v.applicationFormData(in)
	if err != nil {
		return err
	}
	if data.isOutdated(in) {
		return v.outdated(data)
	}
	data.Form.fill(in)
	columns, row, err := v.readApplication(data.Form, app)
	if err != nil {
		return err
	}
	if data.Form.Wrong {
		return v.invalidForm(data)
	}
	err = v.setApplication(app, columns, row)
	if data.Form.refused(err, "cert", "cert") {
		return v.invalidForm(data)
	}
	if err != nil {
		return err
	}
	return v.leave("/applications/view", idQuery(app.Owner, app.Name), "application")
}
