package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// Client is an application as a token request meets it, with all that its settings refer to. It is shared: read it
// only.
type Client struct {
	Application  *sdk.Application
	Organization *sdk.Organization

	home         string // the organization that the application belongs to, whichever it acts for
	miniPrograms []miniProgram
	rights       *rights
	key          *key
	keyErr       error // why the application cannot sign; nil when it can
}

// miniProgram is one of an application's providers.
type miniProgram struct {
	item    *sdk.ProviderItem
	row     *sdk.Provider
	options ProviderOptions
}

// Authentic reports whether secret is the client secret, in constant time. No secret is authentic where none is set.
func (c *Client) Authentic(secret string) bool {
	return sameSecret(c.Application.ClientSecret, secret)
}

// Grants reports whether the application's settings allow a grant type.
func (c *Client) Grants(grantType string) bool {
	return slices.Contains(c.Application.GrantTypes, grantType)
}

// ID returns the client id that the application's tokens are for: a shared application has one per organization.
func (c *Client) ID() string {
	if c.Application.IsShared {
		return c.Application.ClientId + sharedInfix + c.Organization.Name
	}
	return c.Application.ClientId
}

func (c *Client) lifetime() time.Duration {
	const casdoorDefault = 168
	return hours(cmp.Or(c.Application.ExpireInHours, casdoorDefault))
}

// refreshLifetime is the access token's where none is set, as in Casdoor.
func (c *Client) refreshLifetime() time.Duration {
	if c.Application.RefreshExpireInHours <= 0 {
		return c.lifetime()
	}
	return hours(c.Application.RefreshExpireInHours)
}

func hours(n float64) time.Duration { return time.Duration(n * float64(time.Hour)) }

// sharedInfix stands between the client id of a shared application and the organization that a client acts for.
const sharedInfix = "-org-"

// settingsTTL bounds for how long a change of an application, organization, provider or cert made elsewhere is
// unseen.
const settingsTTL = 3 * time.Second

// settingsPatience bounds a read of settings that several may wait for.
const settingsPatience = 10 * time.Second

// maxSettings bounds the settings that are kept. Past it the one that was used least recently is read anew.
const maxSettings = 4096

// settings keeps what sign-ins need of the tables that only admins change: reading it costs more than a sign-in may.
type settings struct {
	directory directory
	now       func() time.Time
	flight    singleflight.Group
	known     *lru.Cache[string, cached]

	mu      sync.Mutex
	renewed time.Time // when the keys were read anew for a token
}

type cached struct {
	value any
	until time.Time
}

func newSettings(d directory, now func() time.Time) (*settings, error) {
	known, err := lru.New[string, cached](maxSettings)
	return &settings{directory: d, now: now, known: known}, err
}

// load returns the value of name, read at most settingsTTL ago. Only what exists is kept: strangers choose the names. One
// that PostgreSQL holds no text of is nobody's, and not asked for: that would be an error, and not ErrNotFound.
func (s *settings) load(ctx context.Context, name string, read func(context.Context) (any, error)) (any, error) {
	if !storable(name) {
		return nil, ErrNotFound
	}
	if value, ok := s.recent(name); ok {
		return value, nil
	}
	return together(ctx, &s.flight, name, settingsPatience, func(ctx context.Context) (any, error) {
		if value, ok := s.recent(name); ok { // since this caller looked
			return value, nil
		}
		value, err := read(ctx)
		if err != nil {
			s.known.Remove(name)
			return nil, err
		}
		s.known.Add(name, cached{value, s.now().Add(settingsTTL)})
		return value, nil
	})
}

// together does something once for all who ask for it by one name at the same time. The first caller may leave; the
// others still wait for it, but for no longer than patience.
func together(
	ctx context.Context, flight *singleflight.Group, name string, patience time.Duration,
	do func(context.Context) (any, error),
) (any, error) {
	answer := flight.DoChan(name, func() (_ any, err error) {
		defer recovered(&err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return do(ctx)
	})
	select {
	case a := <-answer:
		return a.Val, a.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// forget has everything read anew, so that a change made here counts at once.
func (s *settings) forget() { s.known.Purge() }

func (s *settings) recent(name string) (any, bool) {
	c, ok := s.known.Get(name)
	return c.value, ok && s.now().Before(c.until)
}

// client returns the application with that client id, which for a shared application may end in the organization, or
// ErrNotFound.
func (s *settings) client(ctx context.Context, clientID string) (*Client, error) {
	value, err := s.load(ctx, "client/"+clientID, func(ctx context.Context) (any, error) {
		return s.directory.client(ctx, clientID)
	})
	if err != nil {
		return nil, err
	}
	return value.(*Client), nil
}

// keys returns the keys that tokens are signed with.
func (s *settings) keys(ctx context.Context) ([]*key, error) {
	value, err := s.load(ctx, "keys", func(ctx context.Context) (any, error) { return s.directory.keys(ctx) })
	if err != nil {
		return nil, err
	}
	return value.([]*key), nil
}

// keysRenewal is how long to the next time that the keys are read anew for a token: strangers can send any token.
const keysRenewal = time.Second

// newKeys is keys for a token that the known ones do not verify: it may be signed with one that has just been made, here or
// on another instance.
func (s *settings) newKeys(ctx context.Context) ([]*key, error) {
	s.mu.Lock()
	if now := s.now(); now.Sub(s.renewed) >= keysRenewal {
		s.renewed = now
		s.known.Remove("keys")
	}
	s.mu.Unlock()
	return s.keys(ctx)
}

// organization returns an organization, or ErrNotFound.
func (s *settings) organization(ctx context.Context, name string) (*sdk.Organization, error) {
	value, err := s.load(ctx, "organization/"+name, func(ctx context.Context) (any, error) {
		row, err := s.directory.organization(ctx, name)
		if err == nil && row.Name != name {
			return nil, ErrNotFound // the database may take another case, or blanks at the end, for the same
		}
		return row, err
	})
	if err != nil {
		return nil, err
	}
	return value.(*sdk.Organization), nil
}

func (s *Store) organization(ctx context.Context, name string) (*sdk.Organization, error) {
	return s.organizations.named(s.read(ctx), adminOwner, name)
}

func (s *Store) client(ctx context.Context, clientID string) (*Client, error) {
	id, organization, _ := strings.Cut(clientID, sharedInfix)
	app, err := s.applications.get(s.read(ctx), "WHERE client_id=?", id)
	if err != nil {
		return nil, err
	}
	shared := app.IsShared && organization != ""
	if app.ClientId != id || id == "" || organization != "" && !shared {
		return nil, ErrNotFound // the database may take another case for the same
	}
	home := app.Organization
	if shared {
		app.Organization = organization
	}
	c, err := s.clientOf(ctx, app, home)
	if err == nil && shared && c.Organization.Name != organization {
		return nil, ErrNotFound
	}
	return c, err
}

func (s *Store) clientOf(ctx context.Context, app *sdk.Application, home string) (*Client, error) {
	c := &Client{Application: app, home: home}
	var err error
	c.Organization, err = s.organization(ctx, app.Organization)
	if errors.Is(err, ErrNotFound) && !app.IsShared { // a shared one's is named by the request
		return nil, fmt.Errorf("application %s: organization %q does not exist", app.Name, app.Organization)
	}
	if err != nil {
		return nil, fmt.Errorf("organization %s of application %s: %w", app.Organization, app.Name, err)
	}
	for _, item := range itemsOf(app) {
		row, err := s.providers.get(s.read(ctx), "WHERE name=?", item.Name)
		if errors.Is(err, ErrNotFound) {
			continue // Casdoor lets admins delete a provider that applications still name
		}
		if err != nil {
			return nil, err
		}
		options, err := s.options.named(s.read(ctx), row.Owner, row.Name)
		if errors.Is(err, ErrNotFound) {
			options, err = &ProviderOptions{}, nil
		}
		if err != nil {
			return nil, err
		}
		c.miniPrograms = append(c.miniPrograms, miniProgram{item, row, *options})
	}
	if c.rights, err = s.rights(ctx, c.Organization.Name); err != nil {
		return nil, err
	}
	cert, err := s.certFor(s.read(ctx), certOf(app), home) // a shared application's for everybody, as in Casdoor
	switch {
	case errors.Is(err, ErrNotFound):
		c.keyErr = fmt.Errorf("application %s: cert %q does not exist", app.Name, certOf(app))
	case err != nil:
		return nil, err
	default:
		c.key, c.keyErr = s.keyring.parse(cert)
	}
	return c, nil
}

// certOf returns the cert that an application signs with: as in Casdoor the built-in one, where it names none.
func certOf(app *sdk.Application) string { return cmp.Or(app.Cert, builtInCert) }

// certFor returns the cert of that name that applications of an organization may sign with: its own, or one for all.
func (s *Store) certFor(q querier, name, organization string) (*sdk.Cert, error) {
	return s.certs.get(q, "WHERE name=? AND owner IN (?, ?)", name, adminOwner, organization)
}

// itemsOf returns the providers that an application names. A null in its JSON names none.
func itemsOf(app *sdk.Application) []*sdk.ProviderItem {
	return slices.DeleteFunc(slices.Clone(app.Providers), func(i *sdk.ProviderItem) bool { return i == nil })
}

// keys reads the certs that sign tokens.
func (s *Store) keys(ctx context.Context) ([]*key, error) {
	rows, err := s.certs.find(s.read(ctx), "ORDER BY owner, name")
	if err != nil {
		return nil, err
	}
	return s.keyring.parseAll(ctx, s.log, rows), nil
}
