package object

import (
	"context"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Organizations are looked after by their own admins, and made and deleted by those of built-in.
func (a *Authority) Organizations() *Family[sdk.Organization] {
	return &Family[sdk.Organization]{a, a.tables.organizations, trait[sdk.Organization]{
		name:       "organization",
		home:       func(o *sdk.Organization) home { return home{organization: o.Name} },
		id:         func(o *sdk.Organization) *rowID { return &rowID{&o.Owner, &o.Name} },
		homeColumn: "name",
		owned:      byNobody,
		secrets:    organizationSecrets(),
		fill: func(_ context.Context, _ *Caller, row, _ *sdk.Organization) error {
			if row.Owner != adminOwner {
				return refuse(InvalidRequest, "the owner of an organization is %s", adminOwner)
			}
			return completeOrganization(row, nil)
		},
		guard: holdAll[sdk.Organization],
		judge: func(tx *txn, _ *Caller, row, old *sdk.Organization) error {
			if old == nil || old.Name == row.Name {
				return nil
			}
			// Users' SessionKeys are sealed with the name of their organization.
			return a.organizationUnused(tx, old.Name, "renamed")
		},
		deletable: func(q querier, _ *Caller, row *sdk.Organization) error {
			return a.organizationUnused(q, row.Name, "deleted")
		},
	}}
}

func organizationSecrets() []string {
	return []string{
		"master_password", "default_password", "master_verification_code", "password_salt", "password_obfuscator_key",
		"kerberos_keytab",
	}
}

// organizationUnused refuses what must not happen to an organization that something belongs to.
func (a *Authority) organizationUnused(q querier, name, done string) error {
	if name == builtInName {
		return refuse(InvalidRequest, "the organization %s cannot be %s", name, done)
	}
	for _, user := range []struct{ what, table, column string }{
		{"users", a.tables.users.name, "owner"},
		{"applications", a.tables.applications.name, "organization"},
		{"providers", a.tables.providers.name, "owner"},
		{"certs", a.tables.certs.name, "owner"},
	} {
		no := refuse(InvalidRequest, "the organization %s cannot be %s: it has %s", name, done, user.what)
		if err := refuseIf(q, no, user.table+" WHERE "+user.column+"=?", name); err != nil {
			return err
		}
	}
	return nil
}

// OrganizationNames returns the organizations that the caller reaches, with their names only.
func (a *Authority) OrganizationNames(ctx context.Context, c *Caller) ([]*sdk.Organization, error) {
	named := a.Organizations().ListedAs("get-organization-names").withOnly("owner", "name", "display_name")
	page, err := named.List(ctx, c, ListQuery{SortField: "name", SortOrder: "ascend"})
	if err != nil {
		return nil, err
	}
	return append([]*sdk.Organization{}, page.Rows...), nil // no null of JSON where there are none
}
