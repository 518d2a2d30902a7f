package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Applications are shown to everybody, with masks for those who do not look after them.
func (a *Authority) Applications() *Family[sdk.Application] {
	return &Family[sdk.Application]{a, a.tables.applications, trait[sdk.Application]{
		name:       "application",
		home:       func(app *sdk.Application) home { return home{organization: app.Organization} },
		id:         func(app *sdk.Application) *rowID { return &rowID{&app.Owner, &app.Name} },
		homeColumn: "organization",
		owned:      byNobody,
		secrets:    []string{"client_secret", "registration_access_token"},
		reveal: func(c *Caller, row *sdk.Application) bool {
			if c.Role == App {
				return c.Name == row.Name
			}
			return c.governs(row.Organization)
		},
		show:   a.showApplication,
		fill:   a.fillApplication,
		guard:  holdAll[sdk.Application], // no other one has the client id
		judge:  a.judgeApplication,
		follow: a.followApplication,
		unused: a.applicationUnused,
		detach: func(tx *txn, row *sdk.Application) error { // another application may get its name and client id
			return errors.Join(a.tables.endOwnTokens(tx, row), a.tables.forgetKeys(tx, row))
		},
	}}
}

// showApplication adds what Casdoor embeds into an application that was asked for by name.
func (a *Authority) showApplication(ctx context.Context, c *Caller, row *sdk.Application, listed bool) error {
	if listed {
		return nil
	}
	r := a.tables.read(ctx)
	for _, item := range itemsOf(row) {
		p, err := a.tables.providers.get(r, "WHERE name=?", item.Name)
		if ignoreMissing(err) != nil {
			return err
		}
		if err == nil {
			item.Provider = p
			if err := a.Providers().present(ctx, c, p, false); err != nil {
				return err
			}
		}
	}
	org, err := a.tables.organization(ctx, row.Organization)
	if ignoreMissing(err) != nil {
		return err
	}
	if err == nil {
		row.OrganizationObj = publicOrganization(org)
	}
	if !c.governs(row.Organization) {
		maskApplication(row)
	}
	return nil
}

// maskApplication hides from strangers what Casdoor does.
func maskApplication(app *sdk.Application) {
	for _, text := range []*string{
		&app.Cert, &app.SamlReplyUrl, &app.ClientSecret, &app.ClientCert, &app.BackchannelLogoutUri, &app.TokenFormat,
		&app.TokenSigningMethod, &app.IpWhitelist, &app.Domain, &app.UpstreamHost, &app.SslMode, &app.SslCert,
		&app.RegistrationAccessToken,
	} {
		*text = mask
	}
	app.EnablePassword = false
	app.GrantTypes, app.RedirectUris, app.OtherDomains = []string{}, []string{}, []string{}
	app.TokenAttributes, app.TokenFields = []*sdk.JwtItem{}, nil
	app.ExpireInHours, app.RefreshExpireInHours, app.CookieExpireInHours = -1, -1, -1
	app.FailedSigninLimit, app.FailedSigninFrozenTime = -1, -1
	if o := app.OrganizationObj; o != nil {
		for _, text := range []*string{
			&o.PasswordType, &o.PasswordSalt, &o.MasterPassword, &o.DefaultPassword, &o.MasterVerificationCode,
			&o.IpWhitelist, &o.KerberosRealm, &o.KerberosKdcHost, &o.KerberosKeytab, &o.KerberosServiceName,
		} {
			*text = mask
		}
		o.InitScore, o.OrgBalance, o.UserBalance, o.BalanceCredit = -1, -1, -1, -1
	}
}

// fillApplication completes an application, and judges what needs no transaction.
func (a *Authority) fillApplication(ctx context.Context, c *Caller, row, old *sdk.Application) error {
	if err := completeAndJudge(c, row, old); err != nil {
		return err
	}
	if old == nil || old.Name == row.Name {
		return nil
	}
	return a.scan(ctx, func() error { return a.fewFollow(ctx, old.Name) })
}

// maxItems bounds the providers of an application: each is looked up for whoever asks for the application, and anybody
// may.
const maxItems = 100

// completeAndJudge judges what can be judged by the application itself.
func completeAndJudge(c *Caller, row, old *sdk.Application) error {
	if row.Owner != adminOwner {
		return refuse(InvalidRequest, "the owner of an application is %s", adminOwner)
	}
	wasShared := old != nil && old.IsShared
	if row.IsShared != wasShared && c.Role != Global {
		return refuse(AccessDenied, "isShared: only an administrator of %s decides what all organizations share", builtInName)
	}
	completeApplication(row, old)
	if old == nil && row.ExpireInHours == 0 {
		row.ExpireInHours = DefaultExpireInHours
	}
	row.OrganizationObj, row.CertPublicKey, row.CertObj = nil, "", nil
	row.Providers = itemsOf(row)
	if n := len(row.Providers); n > maxItems && (old == nil || n > len(old.Providers)) {
		return refuse(InvalidRequest, "an application has %d providers at most", maxItems)
	}
	for _, item := range row.Providers {
		item.Provider = nil // that is shown with it, and a row of its own
	}
	if err := judgeTokenSettings(row); err != nil {
		return err
	}
	if old == nil || old.ClientId != row.ClientId {
		if strings.Contains(row.ClientId, sharedInfix) || strings.ContainsFunc(row.ClientId, notTokenRune) ||
			len(row.ClientId) > 100 {
			return refuse(InvalidRequest, "clientId must be of letters, digits, - and _, and without %s", sharedInfix)
		}
	}
	return nil
}

// judgeTokenSettings refuses tokens of a form that is not known, or that live for longer than anybody does.
func judgeTokenSettings(row *sdk.Application) error {
	if !isTokenFormat(row.TokenFormat) {
		return refuse(InvalidRequest, "tokenFormat must be JWT, JWT-Empty, JWT-Custom or JWT-Standard")
	}
	const longest = 24 * 366 * 100
	for name, hours := range map[string]float64{
		"expireInHours": row.ExpireInHours, "refreshExpireInHours": row.RefreshExpireInHours,
	} {
		if math.IsNaN(hours) || hours < 0 || hours > longest {
			return refuse(InvalidRequest, "%s must be at least 0 and at most %d", name, longest)
		}
	}
	return nil
}

// isTokenFormat is true for what claimWriter.encode knows.
func isTokenFormat(format string) bool {
	return slices.Contains([]string{"", "JWT", "JWT-Empty", "JWT-Custom", "JWT-Standard"}, format)
}

func notTokenRune(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_'
}

// judgeApplication judges an application beside the rows that it names.
func (a *Authority) judgeApplication(tx *txn, c *Caller, row, old *sdk.Application) error {
	if old != nil && old.Owner == adminOwner && old.Name == builtInApplication &&
		(row.Name != old.Name || row.Organization != old.Organization) {
		return refuse(InvalidRequest, "the application %s cannot be renamed or moved", old.Name)
	}
	err := refuseUnless(tx, refuse(InvalidRequest, "the organization %s does not exist", row.Organization),
		a.tables.organizations.name+" WHERE "+byName, adminOwner, row.Organization)
	if err != nil {
		return err
	}
	stored := cmp.Or(old, row)
	err = refuseIf(tx, refuse(InvalidRequest, "another application has this clientId"),
		a.tables.applications.name+" WHERE client_id=?"+butFor, row.ClientId, stored.Owner, stored.Name)
	if err != nil {
		return err
	}
	if err := a.judgeProviderItems(tx, c, row, old); err != nil {
		return err
	}
	return a.judgeSigning(tx, row, old)
}

// judgeProviderItems refuses providers that do not exist, or are another organization's. What was there before stays.
func (a *Authority) judgeProviderItems(tx *txn, c *Caller, row, old *sdk.Application) error {
	for _, item := range row.Providers {
		named := func(i *sdk.ProviderItem) bool { return i.Name == item.Name }
		if old != nil && slices.ContainsFunc(itemsOf(old), named) {
			continue
		}
		p, err := a.tables.providers.get(tx, "WHERE name=?", item.Name)
		usable := err == nil && (c.Role == Global || p.Owner == adminOwner || p.Owner == row.Organization)
		if ignoreMissing(err) != nil {
			return err
		}
		if !usable {
			return refuse(InvalidRequest, "the provider %s does not exist", item.Name)
		}
	}
	return nil
}

// judgeSigning refuses a cert that does not exist, is another organization's or cannot sign as the application wants.
func (a *Authority) judgeSigning(tx *txn, row, old *sdk.Application) error {
	if old != nil && old.Cert == row.Cert && old.TokenSigningMethod == row.TokenSigningMethod &&
		old.Organization == row.Organization {
		return nil
	}
	cert, err := a.tables.certFor(tx, row.Cert, row.Organization)
	if errors.Is(err, ErrNotFound) {
		return refuse(InvalidRequest, "the cert %s does not exist", row.Cert)
	}
	if err != nil {
		return err
	}
	if !SignsTokens(cert) { // nobody would take its tokens, nor would this server
		return refuse(InvalidRequest, "the cert %s is not for tokens: its scope is %s", row.Cert, cert.Scope)
	}
	k, err := a.tables.keyring.parse(cert)
	if err != nil || k.canSign(row.TokenSigningMethod) != nil {
		return refuse(InvalidRequest, "the cert %s cannot sign as tokenSigningMethod says", row.Cert)
	}
	return nil
}

// Casdoor's tables of users and tokens have no index by application: what is asked of them is asked before the
// transaction, for which all sign-ins on SQLite would wait. Those who sign in meanwhile are a few more rows that follow
// a new name. Those who sign up meanwhile name an application that is deleted then, as do those who sign up a moment
// later at an instance that has not seen it yet: the name only says where they came from.

// maxFollowing bounds the rows that a rename changes: whoever signs in meanwhile waits for it.
const maxFollowing = 20_000

// following are the columns that hold the name of an application.
func (s *Store) following() []struct{ table, column string } {
	return []struct{ table, column string }{
		{s.users.name, "signup_application"}, {s.tokens.name, "application"},
	}
}

// fewFollow refuses a new name for an application that too many rows name.
func (a *Authority) fewFollow(ctx context.Context, name string) error {
	for _, f := range a.tables.following() {
		var n int
		err := scanOne(a.tables.read(ctx), []any{&n}, fmt.Sprintf(
			"SELECT COUNT(*) FROM (SELECT 1 FROM %s WHERE %s=? LIMIT %d) sub", f.table, f.column, maxFollowing+1), name)
		if err != nil {
			return err
		}
		if n > maxFollowing {
			return refuse(InvalidRequest, "the application has more than %d users or tokens: make another one", maxFollowing)
		}
	}
	return nil
}

// followApplication ends what an application has got for itself and is to have no more, remembers what it has signed
// with, and gives organizations, users and tokens the new name of an application.
func (a *Authority) followApplication(tx *txn, row, old *sdk.Application) error {
	if err := a.tables.rememberKeys(tx, row, old, a.now()); err != nil {
		return err
	}
	if err := a.tables.endFormerTokens(tx, row, old); err != nil || old.Name == row.Name {
		return err
	}
	if a.tables.tokens.has("grant_type") { // those of the application itself have its name for the user's
		_, err := tx.exec("UPDATE "+a.tables.tokens.name+" SET "+a.tables.dialect.quote("user")+
			"=? WHERE application=? AND grant_type=?", row.Name, old.Name, ClientCredentials)
		if err != nil {
			return err
		}
	}
	for _, f := range a.tables.following() {
		if _, err := tx.exec("UPDATE "+f.table+" SET "+f.column+"=? WHERE "+f.column+"=?", row.Name, old.Name); err != nil {
			return err
		}
	}
	_, err := tx.exec("UPDATE "+a.tables.organizations.name+" SET default_application=? WHERE default_application=?",
		row.Name, old.Name)
	return err
}

// endFormerTokens ends the tokens that an application has got for itself with a client secret that has changed, or in
// an organization that it leaves: when it comes back they would be good again, whatever secret it has by then.
func (s *Store) endFormerTokens(tx *txn, row, old *sdk.Application) error {
	if old.ClientSecret == row.ClientSecret && old.Organization == row.Organization &&
		(row.IsShared || !old.IsShared) {
		return nil
	}
	return s.endOwnTokens(tx, old)
}

// endOwnTokens ends the tokens that an application has got for itself, in all organizations that share it.
func (s *Store) endOwnTokens(tx *txn, app *sdk.Application) error {
	if !s.tokens.has("grant_type") {
		return nil
	}
	organizations := []*sdk.Organization{{Name: app.Organization}}
	if app.IsShared {
		var err error
		if organizations, err = s.organizations.find(tx, ""); err != nil {
			return err
		}
	}
	for _, o := range organizations {
		_, err := tx.exec("DELETE FROM "+s.tokens.name+" WHERE organization=? AND "+s.dialect.quote("user")+
			"=? AND grant_type=?", o.Name, app.Name, ClientCredentials)
		if err != nil {
			return err
		}
	}
	return nil
}

// applicationUnused refuses to delete what Casdoor has made, or users signed up with.
func (a *Authority) applicationUnused(ctx context.Context, row *sdk.Application) error {
	if row.Owner == adminOwner && row.Name == builtInApplication {
		return refuse(InvalidRequest, "the application %s cannot be deleted", row.Name)
	}
	return a.scan(ctx, func() error {
		no := refuse(InvalidRequest, "the application %s cannot be deleted: users have signed up with it", row.Name)
		return refuseIf(a.tables.read(ctx), no, a.tables.users.name+" WHERE signup_application=?", row.Name)
	})
}
