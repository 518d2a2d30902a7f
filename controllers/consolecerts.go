package controllers

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

func certPages() []consolePage {
	return []consolePage{
		{path: "/certs", show: (*visit).listCerts},
		{path: "/certs/download", show: (*visit).downloadCert},
		{path: "/certs/add", show: (*visit).showNewCert, change: (*visit).addCert, owner: true},
		{path: "/certs/delete", show: (*visit).askDeleteCert, change: (*visit).deleteCert, owner: true},
	}
}

// certs returns all that the caller may use, without their private keys.
func (v *visit) certs() ([]*sdk.Cert, error) {
	return rowsOf(v, v.Deps.Console.Certs())
}

// certData is a line of the list.
type certData struct {
	Row       *sdk.Cert
	Users     []*sdk.Application // that sign with it
	Until     time.Time          // when the last token ends that it may have signed; the zero time: nobody knows
	MayDelete bool
}

func (v *visit) listCerts() error {
	certs, err := v.certs()
	if err != nil {
		return err
	}
	apps, err := v.applications()
	if err != nil {
		return err
	}
	until := formerUntil(certs, apps...)
	var rows []certData
	for _, c := range certs {
		row := certData{Row: c, Users: signingWith(apps, c), Until: until}
		row.MayDelete = len(row.Users) == 0 && (v.caller.Role == object.Global || c.Owner == v.caller.Organization)
		rows = append(rows, row)
	}
	return v.render(http.StatusOK, "certs", rows)
}

// signingWith returns the applications that sign with a cert.
func signingWith(apps []*sdk.Application, c *sdk.Cert) []*sdk.Application {
	return slices.DeleteFunc(slices.Clone(apps), func(app *sdk.Application) bool { return object.CertOf(app) != c.Name })
}

// signingCert returns the cert that an application signs with, or nil where it is missing.
func signingCert(certs []*sdk.Cert, app *sdk.Application) *sdk.Cert {
	i := slices.IndexFunc(certs, func(c *sdk.Cert) bool { return c.Name == object.CertOf(app) })
	if i < 0 {
		return nil
	}
	return certs[i]
}

// formerUntil returns when the last token of the applications' former keys ends at the latest: none is younger than the
// key that is used now. The zero time: all have ended.
func formerUntil(certs []*sdk.Cert, apps ...*sdk.Application) time.Time {
	var until time.Time
	for _, app := range apps {
		current := signingCert(certs, app)
		if current == nil {
			continue
		}
		since, err := time.Parse(time.RFC3339, current.CreatedTime)
		if end := since.Add(object.TokenLife(app)); err == nil && end.After(until) {
			until = end
		}
	}
	if until.Before(time.Now()) {
		return time.Time{}
	}
	return until
}

// cert returns one that the caller may use, and all of them.
func (v *visit) cert(in url.Values) (*sdk.Cert, []*sdk.Cert, error) {
	owner, name := idOf(in)
	certs, err := v.certs()
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(certs, func(c *sdk.Cert) bool { return c.Owner == owner && c.Name == name })
	if i < 0 {
		return nil, nil, object.ErrNotFound
	}
	return certs[i], certs, nil
}

// downloadCert sends the certificate, which is public. The private key never leaves the server this way.
func (v *visit) downloadCert() error {
	c, _, err := v.cert(v.r.URL.Query())
	if err == nil && c.Certificate == "" {
		err = object.ErrNotFound
	}
	if err != nil {
		return err
	}
	v.download("application/x-pem-file", c.Name+".pem", []byte(c.Certificate))
	return nil
}

// algorithmFields say how a key pair is made.
func algorithmFields() []*field {
	return []*field{
		{Name: "algorithm", Kind: "select", Options: labelled("algorithm.", "RS256", "ES256"), Value: "RS256"},
	}
}

func newCertForm() *form {
	return &form{Name: "cert", Fields: append([]*field{
		{Name: "name", Kind: "text", Required: true},
	}, algorithmFields()...)}
}

func (v *visit) showNewCert() error {
	return v.render(http.StatusOK, "form", v.formData("certAdd", newCertForm(), "", "/certs"))
}

func (v *visit) addCert() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	f := newCertForm()
	f.fill(in)
	f.judgeName()
	again := func() error { return v.invalid("form", v.formData("certAdd", f, "", "/certs")) }
	if f.Wrong {
		return again()
	}
	err = v.makeCert(v.ownerOfNew(), f.value("name"), f.value("algorithm"))
	if f.refused(err, "name", "taken") {
		return again()
	}
	if err != nil {
		return err
	}
	return v.leave("/certs", nil, "cert")
}

func (v *visit) makeCert(owner, name, algorithm string) error {
	return v.Deps.Console.Certs().Add(v.r.Context(), v.caller, toJSON(sdk.Cert{
		Owner: owner, Name: name, DisplayName: name, Scope: "JWT", Type: "x509", CryptoAlgorithm: algorithm,
		ExpireInYears: 20,
	}))
}

func (v *visit) askDeleteCert() error {
	c, certs, err := v.cert(v.r.URL.Query())
	if err != nil {
		return err
	}
	apps, err := v.applications()
	if err != nil {
		return err
	}
	err = v.Deps.Console.Certs().MayDelete(v.r.Context(), v.caller, c.Owner, c.Name)
	if isInUse(err) {
		return v.cannot("certInUse", "/certs", c.Owner, c.Name, v.usedBy(signingWith(apps, c))...)
	}
	if err != nil {
		return err
	}
	ask := confirmation{Key: "deleteCert", Subject: c.Name, Final: true}
	if until := formerUntil(certs, apps...); !until.IsZero() {
		ask.Facts = append(ask.Facts, v.words.text("cert.tokensUntil", until.UTC().Format("2006-01-02 15:04")))
	}
	return v.confirm(ask, "/certs", c.Owner, c.Name)
}

func (v *visit) deleteCert() error {
	return remove(v, v.Deps.Console.Certs(), "certInUse", "/certs", "/certs")
}
