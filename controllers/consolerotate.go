package controllers

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

// keyForm asks for the key that takes the place of an application's.
func (v *visit) keyForm(in url.Values) (formData, *sdk.Application, error) {
	app, err := v.application(idOf(in))
	if err != nil {
		return formData{}, nil, err
	}
	f := &form{Name: "cert", Fields: algorithmFields()}
	certs, err := v.certs(app.Organization)
	if err != nil {
		return formData{}, nil, err
	}
	if c := signingCert(certs, app); c != nil && f.field("algorithm").offers(c.CryptoAlgorithm) {
		f.field("algorithm").Value = c.CryptoAlgorithm
	}
	data := v.formData("rotate", f, in.Get("id"), "/applications/view?"+idQuery(app.Owner, app.Name).Encode())
	data.Subject = titleOf(app.DisplayName, app.Name)
	data.Version = object.CertOf(app) // what is sent twice makes one new key
	return data, app, nil
}

func (v *visit) showKeyForm() error {
	data, _, err := v.keyForm(v.r.URL.Query())
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "form", data)
}

// rotateKey makes a new cert and has the application sign with it. The old one stays where verifiers find it, for the
// tokens that it has signed.
func (v *visit) rotateKey() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	data, app, err := v.keyForm(in)
	if err != nil {
		return err
	}
	if data.isOutdated(in) {
		return v.outdated(data)
	}
	data.Form.fill(in)
	if data.Form.Wrong {
		return v.invalidForm(data)
	}
	owner, name := v.ownerOfNew(), nextCertName(app.Name, time.Now())
	if err := v.makeCert(owner, name, data.Form.value("algorithm")); err != nil {
		return err
	}
	// A signing method of the application's own would be the old key's.
	err = v.setApplication(app, []string{"cert", "tokenSigningMethod"},
		map[string]any{"cert": name, "tokenSigningMethod": ""})
	if err != nil {
		// Nobody signs with it. One that stays does no harm either.
		_, _ = v.Deps.Console.Certs().Delete(context.WithoutCancel(v.r.Context()), v.caller, owner, name)
		return err
	}
	return v.leave("/applications/view", idQuery(app.Owner, app.Name), "rotated")
}

// nextCertName names a cert after its application, as far as names may be long, and the time, to the second.
func nextCertName(application string, now time.Time) string {
	const most = 100 - len("cert--20060102-150405")
	name := []rune(strings.TrimPrefix(application, "app-"))
	return "cert-" + string(name[:min(len(name), most)]) + "-" + now.UTC().Format("20060102-150405")
}
