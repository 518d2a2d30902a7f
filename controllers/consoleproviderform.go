package controllers

import (
	"net/http"
	"net/url"
	"regexp"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

// What WeChat's AppIDs and AppSecrets look like, as far as is known. No document promises the form of an AppSecret, so
// another one is doubted but taken.
var (
	appIDForm     = regexp.MustCompile(`^wx[0-9A-Za-z]{8,30}$`)
	appSecretForm = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// optionFields are those of a provider's options. Token and key are never shown, and removed where there are any.
func optionFields(o *object.ProviderOptions) []*field {
	nickname, unionID := checkbox("checkNickname", o.CheckNickname), checkbox("shareUnionId", o.ShareUnionID)
	nickname.Group, unionID.Group = "content", "more"
	fields := []*field{
		nickname,
		{Name: "checkAvatar", Kind: "select", Options: labelled("check.", "", "async", "sync"), Value: o.CheckAvatar},
		{Name: "onReview", Kind: "select", Options: labelled("verdict.", "", "refuse", "accept"), Value: o.OnReview},
		{Name: "onUnchecked", Kind: "select", Options: labelled("verdict.", "", "refuse", "accept"), Value: o.OnUnchecked},
		{Name: "pushToken", Kind: "secret", Max: 32, Group: "push"},
		{Name: "pushEncodingAESKey", Kind: "secret", Max: 43},
	}
	if o.PushToken != "" {
		fields = append(fields, checkbox("clearPush", false))
	}
	return append(fields, unionID)
}

// optionsOf changes options to those of a form, and marks what is wrong with them. A secret that is left empty stays.
func optionsOf(f *form, o object.ProviderOptions) object.ProviderOptions {
	o.ShareUnionID, o.CheckNickname = f.on("shareUnionId"), f.on("checkNickname")
	o.CheckAvatar, o.OnReview, o.OnUnchecked = f.value("checkAvatar"), f.value("onReview"), f.value("onUnchecked")
	removed := o.PushToken != "" && f.on("clearPush")
	secret := func(name string, stored provider.Secret) provider.Secret {
		if f.value(name) != "" || removed {
			return provider.Secret(f.value(name))
		}
		return stored
	}
	o.PushToken = secret("pushToken", o.PushToken)
	o.PushEncodingAESKey = secret("pushEncodingAESKey", o.PushEncodingAESKey)
	for _, problem := range o.Problems() {
		if f.field(problem.Field).Problem == "" {
			f.wrong(problem.Field, problem.Field)
		}
	}
	return o
}

func providerFields(isNew bool) []*field {
	fields := []*field{
		{Name: "clientId", Kind: "text", Required: true, Group: "wechat"},
		{Name: "clientSecret", Kind: "secret", Required: isNew, Max: 200},
		{Name: "displayName", Kind: "text", Required: true, Group: "name"},
	}
	if isNew {
		fields = append(fields, &field{Name: "name", Kind: "text", Required: true})
	}
	return fields
}

func judgeProvider(f *form) {
	if id := f.value("clientId"); id != "" && !appIDForm.MatchString(id) {
		f.wrong("clientId", "appId")
	}
}

// providerSaved names the message for a saved provider: an unusual AppSecret is worth a word.
func providerSaved(f *form) string {
	if secret := f.value("clientSecret"); secret != "" && !appSecretForm.MatchString(secret) {
		return "providerOdd"
	}
	return "provider"
}

func (v *visit) newProviderForm() (*form, error) {
	f := &form{Name: "provider", Fields: providerFields(true)}
	apps, err := v.applications()
	if err != nil {
		return nil, err
	}
	attach := &field{Name: "application", Kind: "select", Options: []option{{Label: "provider.attachNone"}}}
	for _, app := range apps {
		attach.Options = append(attach.Options, option{
			Value: app.Owner + "/" + app.Name, Text: titleOf(app.DisplayName, app.Name) + " (" + app.Organization + ")",
		})
	}
	f.Fields = append(f.Fields, attach)
	f.Fields = append(f.Fields, optionFields(&object.ProviderOptions{})...)
	return f, nil
}

func (v *visit) showNewProvider() error {
	f, err := v.newProviderForm()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "form", v.formData("providerAdd", f, "", "/providers"))
}

func (v *visit) addProvider() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	f, err := v.newProviderForm()
	if err != nil {
		return err
	}
	f.fill(in)
	judgeProvider(f)
	f.judgeName()
	owner, name := v.ownerOfNew(), f.value("name")
	options := optionsOf(f, object.ProviderOptions{Owner: owner, Name: name})
	again := func() error { return v.invalidForm(v.formData("providerAdd", f, "", "/providers")) }
	if f.Wrong {
		return again()
	}
	err = v.Deps.Console.ProvidersWith(options).Add(v.r.Context(), v.caller, toJSON(sdk.Provider{
		Owner: owner, Name: name, DisplayName: f.value("displayName"), Category: "OAuth", Type: object.WeChatMiniProgram,
		ClientId: f.value("clientId"), ClientSecret: f.value("clientSecret"),
	}))
	if f.refused(err, "name", "taken") {
		return again()
	}
	if err == nil && f.value("application") != "" {
		err = v.attach(owner, name, f.value("application"))
	}
	if err != nil {
		return err
	}
	return v.leave("/providers/view", idQuery(owner, name), providerSaved(f))
}

// providerEdit and providerOptions are the keys of the two forms of a provider that is there: of all of it, and of what
// another Casdoor has no page for.
const (
	providerEdit    = "providerEdit"
	providerOptions = "providerOptions"
)

// providerForm returns one of the two forms of a provider, and the options that are stored.
func (v *visit) providerForm(key string, in url.Values) (formData, *object.ProviderOptions, error) {
	owner, name := idOf(in)
	row, err := v.provider(owner, name)
	if err != nil {
		return formData{}, nil, err
	}
	o, err := v.Deps.Console.ProviderOptions(v.r.Context(), v.caller, owner, name)
	if err != nil {
		return formData{}, nil, err
	}
	f := &form{Name: "provider"}
	if key == providerEdit {
		f.Fields = providerFields(false)
		f.field("clientId").Value, f.field("displayName").Value = row.ClientId, titleOf(row.DisplayName, name)
	}
	f.Fields = append(f.Fields, optionFields(o)...)
	data := v.formData(key, f, in.Get("id"), "/providers/view?"+idQuery(owner, name).Encode())
	data.Subject = titleOf(row.DisplayName, name)
	return data, o, nil
}

func (v *visit) showProviderEdit() error    { return v.showProviderForm(providerEdit) }
func (v *visit) showProviderOptions() error { return v.showProviderForm(providerOptions) }

func (v *visit) showProviderForm(key string) error {
	data, _, err := v.providerForm(key, v.r.URL.Query())
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "form", data)
}

func (v *visit) changeProvider() error        { return v.changeProviderForm(providerEdit) }
func (v *visit) changeProviderOptions() error { return v.changeProviderForm(providerOptions) }

// changeProviderForm saves one of the two forms: the options, and the row where the form shows it.
func (v *visit) changeProviderForm(key string) error {
	in, err := v.form()
	if err != nil {
		return err
	}
	data, stored, err := v.providerForm(key, in)
	if err != nil {
		return err
	}
	if data.isOutdated(in) {
		return v.outdated(data)
	}
	f := data.Form
	f.fill(in)
	if key == providerEdit {
		judgeProvider(f)
	}
	options := optionsOf(f, *stored)
	if f.Wrong {
		return v.invalidForm(data)
	}
	done := "provider"
	if key == providerEdit {
		done, err = providerSaved(f), v.setProvider(f, options)
	} else {
		err = v.Deps.Console.SetProviderOptions(v.r.Context(), v.caller, options)
	}
	if err != nil {
		return err
	}
	return v.leave("/providers/view", idQuery(stored.Owner, stored.Name), done)
}

// setProvider writes what the form shows of a provider's row, and its options. An AppSecret that is left empty stays.
func (v *visit) setProvider(f *form, options object.ProviderOptions) error {
	row := map[string]string{"clientId": f.value("clientId"), "displayName": f.value("displayName")}
	columns := []string{"clientId", "displayName"}
	if secret := f.value("clientSecret"); secret != "" {
		row["clientSecret"] = secret
		columns = append(columns, "clientSecret")
	}
	found, err := v.Deps.Console.ProvidersWith(options).Update(v.r.Context(), v.caller, options.Owner, options.Name,
		columns, toJSON(row))
	return orMissing(found, err)
}
