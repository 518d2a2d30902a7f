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

// certs returns those that an organization may use, as far as the caller reaches, without their private keys; empty:
// all of them.
func (v *visit) certs(organization string) ([]*sdk.Cert, error) {
	return rowsOf(v, v.Deps.Console.Certs(), object.ListQuery{Owner: organization})
}

// certsData is what the list of certs shows.
type certsData struct {
	listData[sdk.Cert]

	Lines []certData // one for each row
}

// certData is a line of the list.
type certData struct {
	Row       *sdk.Cert
	Users     []*sdk.Application // that sign with it, maxShown at most
	Others    int                // how many more do
	Until     time.Time          // when the last token ends that it may have signed; the zero time: all have
	MayDelete bool
}

func (v *visit) listCerts() error {
	f := v.searchForm("find", searchBy(labelled("cert.", "name"))...)
	page, err := list(v, f, v.Deps.Console.Certs(), object.ListQuery{Field: "name"})
	if err != nil {
		return err
	}
	certs, apps, err := v.signing()
	if err != nil {
		return err
	}
	data := certsData{listData: page}
	until := formerUntil(certs, apps...)
	for _, c := range page.Rows {
		row := certData{Row: c, Until: until}
		users := signingWith(apps, c)
		row.Users, row.Others = firstOf(users)
		row.MayDelete = len(users) == 0 && (v.caller.Role == object.Global || c.Owner == v.caller.Organization)
		data.Lines = append(data.Lines, row)
	}
	return v.showList("certs", f, data)
}

// signing returns all certs and applications that the caller reaches.
func (v *visit) signing() ([]*sdk.Cert, []*sdk.Application, error) {
	certs, err := v.certs("")
	if err != nil {
		return nil, nil, err
	}
	apps, err := v.applications()
	return certs, apps, err
}

// maxShown is how many users of a cert or provider are named.
const maxShown = 20

// firstOf returns as many as are named, and how many others there are.
func firstOf(apps []*sdk.Application) (named []*sdk.Application, others int) {
	named = apps[:min(len(apps), maxShown)]
	return named, len(apps) - len(named)
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
	since := map[string]time.Time{}            // when each cert was made
	for _, c := range slices.Backward(certs) { // of two of one name the newest counts, as in signingCert
		if made, err := time.Parse(time.RFC3339, c.CreatedTime); err == nil {
			since[c.Name] = made
		}
	}
	var until time.Time
	for _, app := range apps {
		made, known := since[object.CertOf(app)]
		if end := made.Add(object.TokenLife(app)); known && end.After(until) {
			until = end
		}
	}
	if until.Before(time.Now()) {
		return time.Time{}
	}
	return until
}

// cert returns one that the caller may use.
func (v *visit) cert(in url.Values) (*sdk.Cert, error) {
	owner, name := idOf(in)
	q := object.ListQuery{Owner: owner, Name: name}
	return rowOf(v, v.Deps.Console.Certs(), q, func(c *sdk.Cert) bool { return c.Name == name && c.Owner == owner })
}

// downloadCert sends the certificate, which is public. The private key never leaves the server this way.
func (v *visit) downloadCert() error {
	c, err := v.cert(v.r.URL.Query())
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
	again := func() error { return v.invalidForm(v.formData("certAdd", f, "", "/certs")) }
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
	c, err := v.cert(v.r.URL.Query())
	if err != nil {
		return err
	}
	certs, apps, err := v.signing()
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
