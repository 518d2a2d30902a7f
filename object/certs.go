package object

import (
	"cmp"
	"context"
	"crypto/rsa"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Certs of the owner admin are every organization's to sign with.
func (a *Authority) Certs() *Family[sdk.Cert] {
	return &Family[sdk.Cert]{a, a.tables.certs, trait[sdk.Cert]{
		name:       "cert",
		most:       100, // all of them are read every few seconds, and go to whoever reads JWKS
		home:       func(k *sdk.Cert) home { return home{organization: k.Owner} },
		id:         func(k *sdk.Cert) *rowID { return &rowID{&k.Owner, &k.Name} },
		homeColumn: "owner",
		owned:      byOwnerOrAdmin,
		secrets:    []string{"private_key", "access_secret"},
		// A back end may fetch the key that its application signs with, as from Casdoor, but not one of admin's: other
		// organizations sign with that, built-in perhaps among them.
		reveal: func(c *Caller, row *sdk.Cert) bool {
			return c.Role == Global || c.Role == App && c.Cert == row.Name && c.Organization == row.Owner
		},
		fill: func(ctx context.Context, _ *Caller, row, old *sdk.Cert) error {
			if old != nil && row.Certificate == "" {
				row.Certificate = old.Certificate
			}
			// A key of RSA takes seconds of a processor.
			return alone(ctx, a.making, func() error { return completeManagedCert(row, old) })
		},
		guard:  holdAll[sdk.Cert], // no other one has the name, whoever owns it
		judge:  a.judgeCert,
		follow: a.followCert,
		deletable: func(q querier, _ *Caller, row *sdk.Cert) error {
			return a.certUnused(q, row, "deleted")
		},
	}}
}

const maxRSABits = 4096

// completeManagedCert makes the keys of a new cert that comes without, and judges those that it has.
func completeManagedCert(row, old *sdk.Cert) error {
	if old == nil && (row.Certificate == "") != (row.PrivateKey == "") {
		return refuse(InvalidRequest, "certificate and privateKey go together: leave both out to have them made")
	}
	if old != nil && row.Certificate == old.Certificate && row.PrivateKey == old.PrivateKey &&
		row.CryptoAlgorithm == old.CryptoAlgorithm {
		return nil
	}
	if err := completeCert(row, old); err != nil {
		return &Refusal{Code: InvalidRequest, Message: "the cert cannot be used: look at its keys, cryptoAlgorithm and " +
			"bitSize", Err: err}
	}
	k, err := parseKey(row)
	if err != nil || !k.supports(row.CryptoAlgorithm) || !k.pair {
		return refuse(InvalidRequest, "certificate, privateKey and cryptoAlgorithm do not belong together")
	}
	// A signature of 16384 bits takes most of a second, and all organizations share the processors.
	if public, isRSA := k.public.(*rsa.PublicKey); isRSA && public.N.BitLen() > maxRSABits {
		return refuse(InvalidRequest, "an RSA key has %d bits at most", maxRSABits)
	}
	return nil
}

// judgeCert refuses a second cert of one name, whoever owns it: the name is what tokens tell of their key. And the keys
// of a cert that is used stay: tokens that it has signed could not be verified.
func (a *Authority) judgeCert(tx *txn, _ *Caller, row, old *sdk.Cert) error {
	if old == nil || old.Name != row.Name {
		stored := cmp.Or(old, row)
		err := refuseIf(tx, refuse(InvalidRequest, "The cert: %s already exists", row.Name),
			a.tables.certs.name+" WHERE name=?"+butFor, row.Name, stored.Owner, stored.Name)
		if err != nil {
			return err
		}
	}
	if old == nil {
		return nil
	}
	if old.Certificate != row.Certificate || old.PrivateKey != row.PrivateKey || old.Scope != row.Scope {
		return a.certUnused(tx, old, "given other keys")
	}
	if old.Name != row.Name || old.Owner != row.Owner && row.Owner != adminOwner {
		return a.certUnused(tx, old, "renamed, since tokens name it")
	}
	return nil
}

// certUnused refuses what must not happen to a cert that applications sign with.
func (a *Authority) certUnused(q querier, row *sdk.Cert, done string) error {
	if row.Owner == adminOwner && row.Name == builtInCert {
		return refuse(InvalidRequest, "the cert %s cannot be %s", row.Name, done)
	}
	apps, err := a.tables.applications.findColumns(q, a.tables.applications.pick("name", "organization"),
		a.tables.applications.name+" WHERE cert=?", row.Name)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(apps, func(app *sdk.Application) bool {
		return row.Owner == adminOwner || row.Owner == app.Organization
	}); i >= 0 {
		return refuse(InvalidRequest, "the cert %s cannot be %s: the application %s uses it", row.Name, done, apps[i].Name)
	}
	return nil
}

// followCert gives providers the new name of a cert.
func (a *Authority) followCert(tx *txn, row, old *sdk.Cert) error {
	if old.Name == row.Name {
		return nil
	}
	_, err := tx.exec("UPDATE "+a.tables.providers.name+" SET cert=? WHERE cert=?", row.Name, old.Name)
	return err
}
