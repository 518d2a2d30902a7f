package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// WeChatMiniProgram is Casdoor's type of the providers that are WeChat mini programs.
const WeChatMiniProgram = "WeChatMiniProgram"

// applications returns all applications, and keeps the organization of the one whose credentials are ours.
func (r *remote) applications(ctx context.Context) ([]*sdk.Application, error) {
	const action = "get-applications"
	apps, err := call(ctx, r.casdoor, action, (*sdk.Client).GetApplications)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(apps, func(a *sdk.Application) bool { return a.ClientId == r.clientID })
	switch {
	case i < 0:
		return nil, &casdoorError{action: action, problem: noSuchClient}
	case apps[i].ClientSecret == mask: // so Casdoor shows it to those whom it does not know
		return nil, &casdoorError{action: action, problem: unauthorized}
	}
	r.home.Store(&apps[i].Organization)
	return apps, nil
}

// listed is what is kept of an application, to find it by its client id.
type listed struct {
	id           string // owner and name
	organization string
	shared       bool
}

// listing returns the applications by their client ids, read once for all who ask, whichever client ids they name:
// strangers may make up any. It lasts no longer than a call may, and ctx should not end sooner: whoever came in between
// would share a call that fails.
func (r *remote) listing(ctx context.Context) (map[string]listed, error) {
	const name = "applications"
	all, err := load(ctx, r.lists, name, func(ctx context.Context) (map[string]listed, error) {
		apps, err := r.applications(ctx)
		all := map[string]listed{}
		for _, a := range apps {
			all[a.ClientId] = listed{a.Owner + "/" + a.Name, a.Organization, a.IsShared}
		}
		return all, err
	})
	if ctx.Err() != nil {
		return nil, &casdoorError{action: name, problem: noAnswer}
	}
	return all, err
}

// homeOf returns the organization of our application.
func (r *remote) homeOf(ctx context.Context) (string, error) {
	if home := r.home.Load(); home != nil {
		return *home, nil
	}
	if _, err := r.applications(ctx); err != nil {
		return "", err
	}
	return *r.home.Load(), nil
}

// client implements directory: there are the applications of one organization, and those that it shares.
func (r *remote) client(ctx context.Context, clientID string) (*Client, error) {
	calls, cancel := context.WithTimeout(ctx, r.casdoor.timeout) // of all of them
	defer cancel()
	id, organization, _ := strings.Cut(clientID, sharedInfix)
	all, err := r.listing(ctx)
	if err != nil {
		return nil, err
	}
	home := *r.home.Load() // whoever lists them knows it
	app, known := all[id]
	if whole, found := all[clientID]; found && !app.shared {
		app, known, id, organization = whole, true, clientID, "" // its admin has put the infix into it
	}
	if !known || id == "" || organization != "" && !app.shared || cmp.Or(organization, app.organization) != home {
		return nil, ErrNotFound
	}
	c, err := r.clientOf(calls, app.id, home)
	if err == nil && c.Application.ClientId != id {
		return nil, ErrNotFound // it has another one since
	}
	return c, err
}

// clientOf reads an application, and what its settings refer to.
func (r *remote) clientOf(ctx context.Context, id, home string) (*Client, error) {
	// Asked for alone, an application comes with its providers.
	app, err := callForRow(ctx, r.casdoor, "get-application", func(c *sdk.Client) (*sdk.Application, error) {
		return c.GetApplication(id)
	})
	if err != nil {
		return nil, err
	}
	c := &Client{Application: app, miniPrograms: r.miniPrograms(ctx, app), home: app.Organization}
	app.Organization = home
	c.Organization, err = r.organization(ctx, home)
	if errors.Is(err, ErrNotFound) {
		return nil, misconfigured(app, fmt.Errorf("organization %q does not exist", home))
	}
	if err == nil {
		err = guarded(c.Organization)
	}
	if err != nil {
		return nil, err
	}
	certs, err := r.certs(ctx, home)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(certs, func(cert *sdk.Cert) bool { return cert.Name == CertOf(app) })
	if i < 0 {
		c.keyErr = fmt.Errorf("cert %q does not exist", CertOf(app))
		return c, nil
	}
	c.key, c.keyErr = r.keyring.parse(certs[i])
	return c, nil
}

// guarded refuses an organization in which users may change their own ids: they could claim the OpenIDs of others.
// Casdoor allows all for which there is no account item (object/user_util.go there).
func guarded(org *sdk.Organization) error {
	i := slices.IndexFunc(org.AccountItems, func(item *sdk.AccountItem) bool { return item != nil && item.Name == "ID" })
	if i >= 0 {
		item := org.AccountItems[i]
		if item.ViewRule == "Admin" || item.ModifyRule == "Admin" || item.ModifyRule == "Immutable" {
			return nil
		}
	}
	return &Refusal{
		Code: Unavailable, Message: "signing in is not set up rightly: the administrator finds the reason in the log",
		Err: fmt.Errorf("organization %s: users may change their ids, which prove whose an OpenID is: "+
			"give the account item ID the modify rule Immutable", org.Name),
	}
}

// miniPrograms returns those of an application whose AppSecret is known. After them come those of the configuration
// that Casdoor does not name, ordered by AppID.
func (r *remote) miniPrograms(ctx context.Context, app *sdk.Application) []miniProgram {
	var programs []miniProgram
	named := map[string]bool{}
	for _, item := range itemsOf(app) {
		if item.Provider == nil {
			continue // Casdoor lets admins delete a provider that applications still name
		}
		row := item.Provider
		if _, ours := r.registry.ByType(row.Type); !ours {
			continue
		}
		named[row.ClientId] = true
		secret, known := r.appSecrets[row.ClientId]
		if !known {
			r.warn(ctx, row, "mini program is left out: wechatAppId does not name it")
			continue
		}
		if row.ClientSecret != "" {
			r.warn(ctx, row, "casdoor has this mini program's AppSecret too: take it out there, for casdoor's own flow lets "+
				"people choose their names, and so take those of OpenIDs that have not signed in yet")
		}
		row.ClientSecret = secret.Reveal()
		programs = append(programs, miniProgram{item: item, row: row})
	}
	for _, appID := range slices.Sorted(maps.Keys(r.appSecrets)) {
		if !named[appID] {
			programs = append(programs, miniProgram{
				item: &sdk.ProviderItem{Name: appID, CanSignIn: true, CanSignUp: true},
				row: &sdk.Provider{
					Name: appID, Type: WeChatMiniProgram, ClientId: appID, ClientSecret: r.appSecrets[appID].Reveal(),
				},
			})
		}
	}
	return programs
}

// warn says once what is wrong with a mini program of Casdoor's.
func (r *remote) warn(ctx context.Context, row *sdk.Provider, message string) {
	if _, again := r.warned.LoadOrStore(row.ClientId, true); !again {
		r.log.WarnContext(ctx, message, "provider", row.Name, "appid", row.ClientId)
	}
}

// organization implements directory.
func (r *remote) organization(ctx context.Context, name string) (*sdk.Organization, error) {
	return callForRow(ctx, r.casdoor, "get-organization", func(c *sdk.Client) (*sdk.Organization, error) {
		return c.GetOrganization(name)
	})
}

// certs returns the certs of an organization and those that all share.
func (r *remote) certs(ctx context.Context, organization string) ([]*sdk.Cert, error) {
	return call(ctx, r.casdoor, "get-certs", func(c *sdk.Client) ([]*sdk.Cert, error) {
		c.OrganizationName = organization
		return c.GetCerts()
	})
}

// keys implements directory.
func (r *remote) keys(ctx context.Context) (*keySet, error) {
	home, err := r.homeOf(ctx)
	if err != nil {
		return nil, err
	}
	certs, err := r.certs(ctx, home)
	if err != nil {
		return nil, err
	}
	r.keyring.makeRoom(len(certs))
	return r.keyring.setOf(r.log, certs), nil
}
