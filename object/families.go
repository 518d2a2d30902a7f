package object

import sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

// Organizations are looked after by their own admins, and made and deleted by those of built-in.
func (a *Authority) Organizations() *Family[sdk.Organization] {
	return &Family[sdk.Organization]{a, a.store.organizations, trait[sdk.Organization]{
		name:       "organization",
		home:       func(o *sdk.Organization) home { return home{organization: o.Name} },
		id:         func(o *sdk.Organization) *rowID { return &rowID{&o.Owner, &o.Name} },
		homeColumn: "name",
		secrets: []string{
			"master_password", "default_password", "master_verification_code", "password_salt", "password_obfuscator_key",
			"kerberos_keytab",
		},
		fill: func(_ *txn, _ *Caller, row, _ *sdk.Organization) error { return completeOrganization(row, nil) },
	}}
}

// Providers of the owner admin are every organization's to use.
func (a *Authority) Providers() *Family[sdk.Provider] {
	return &Family[sdk.Provider]{a, a.store.providers, trait[sdk.Provider]{
		name:       "provider",
		home:       func(p *sdk.Provider) home { return home{organization: p.Owner} },
		id:         func(p *sdk.Provider) *rowID { return &rowID{&p.Owner, &p.Name} },
		homeColumn: "owner",
		secrets:    []string{"client_secret", "client_secret2"},
		fill:       func(_ *txn, _ *Caller, row, old *sdk.Provider) error { return completeProvider(row, old) },
	}}
}
