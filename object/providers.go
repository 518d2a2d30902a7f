package object

import (
	"cmp"
	"context"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Providers of the owner admin are every organization's to use.
func (a *Authority) Providers() *Family[sdk.Provider] {
	return &Family[sdk.Provider]{a, a.tables.providers, trait[sdk.Provider]{
		name:       "provider",
		home:       func(p *sdk.Provider) home { return home{organization: p.Owner} },
		id:         func(p *sdk.Provider) *rowID { return &rowID{&p.Owner, &p.Name} },
		homeColumn: "owner",
		owned:      byOwnerOrAdmin,
		secrets:    []string{"client_secret", "client_secret2"},
		hidden:     []string{"http_headers"}, // with what a service for e-mail or SMS is shown, a password perhaps
		fill: func(_ context.Context, _ *Caller, row, old *sdk.Provider) error {
			return completeProvider(row, old)
		},
		guard: holdAll[sdk.Provider],
		judge: func(tx *txn, _ *Caller, row, old *sdk.Provider) error {
			if old != nil && old.Owner == row.Owner && old.Name == row.Name {
				return nil
			}
			return a.judgeProviderID(tx, row, old)
		},
		follow: a.followProvider,
		deletable: func(q querier, _ *Caller, row *sdk.Provider) error {
			users, err := a.applicationsWith(q, row.Name)
			if err == nil && len(users) > 0 {
				err = refuse(InvalidRequest, "the provider %s cannot be deleted: the application %s uses it", row.Name,
					users[0].Name)
			}
			return err
		},
		detach: func(tx *txn, row *sdk.Provider) error {
			_, err := tx.exec("DELETE FROM "+a.tables.options.name+" WHERE "+byName, row.Owner, row.Name)
			return err
		},
	}}
}

// judgeProviderID refuses a name that another provider has, whoever owns it: applications name providers without the
// owner. One that applications use stays with its owner, lest it gets out of their reach.
func (a *Authority) judgeProviderID(tx *txn, row, old *sdk.Provider) error {
	if old == nil || old.Name != row.Name {
		stored := cmp.Or(old, row)
		return refuseIf(tx, refuse(InvalidRequest, "The provider: %s already exists", row.Name),
			a.tables.providers.name+" WHERE name=?"+butFor, row.Name, stored.Owner, stored.Name)
	}
	users, err := a.applicationsWith(tx, row.Name)
	if err == nil && len(users) > 0 && row.Owner != adminOwner {
		err = refuse(InvalidRequest, "the provider %s cannot be moved: the application %s uses it", row.Name, users[0].Name)
	}
	return err
}

// applicationsWith returns the applications that name a provider.
func (a *Authority) applicationsWith(q querier, provider string) ([]*sdk.Application, error) {
	apps, err := a.tables.applications.find(q, "")
	return slices.DeleteFunc(apps, func(app *sdk.Application) bool {
		return !slices.ContainsFunc(itemsOf(app), func(i *sdk.ProviderItem) bool { return i.Name == provider })
	}), err
}

// followProvider gives applications and options the new name of a provider.
func (a *Authority) followProvider(tx *txn, row, old *sdk.Provider) error {
	if old.Owner == row.Owner && old.Name == row.Name {
		return nil
	}
	users, err := a.applicationsWith(tx, old.Name)
	for _, app := range users {
		for _, item := range itemsOf(app) {
			if item.Name == old.Name {
				item.Name = row.Name
			}
		}
		if _, err := a.tables.applications.update(tx, app, []string{"providers"}, byName, app.Owner, app.Name); err != nil {
			return err
		}
	}
	if err == nil {
		_, err = tx.exec("UPDATE "+a.tables.options.name+" SET owner=?, name=? WHERE "+byName,
			row.Owner, row.Name, old.Owner, old.Name)
	}
	return err
}
