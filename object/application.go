package object

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/provider"
)

// Client is an application as a token request meets it, with all that its settings refer to. It is shared: read it
// only.
type Client struct {
	Application  *sdk.Application
	Organization *sdk.Organization

	home         string // the organization that the application belongs to, whichever it acts for
	miniPrograms []miniProgram
	key          *key
	keyErr       error // why there is no key; nil when there is
}

// miniProgram is one of an application's providers.
type miniProgram struct {
	item    *sdk.ProviderItem
	row     *sdk.Provider
	options ProviderOptions
}

// Authentic reports whether secret is the client secret, in constant time. No secret is authentic where none is set.
// For Basic authentication some clients escape it, as RFC 6749 §2.3.1 wants it, and others do not.
func (c *Client) Authentic(secret string) bool {
	plain, err := url.QueryUnescape(secret)
	return sameSecret(c.Application.ClientSecret, secret) || err == nil && sameSecret(c.Application.ClientSecret, plain)
}

// NewClientSecret returns a client secret that nobody can guess.
func NewClientSecret() provider.Secret { return provider.Secret(newClientSecret()) }

func newClientID() string     { return randomHex(10) }
func newClientSecret() string { return randomHex(20) }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
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

// DefaultExpireInHours is Casdoor's expireInHours of an application that sets none.
const DefaultExpireInHours = 168

// accessLife returns how long an application's access tokens live. The -1 that Casdoor shows to strangers in place of
// expireInHours sets none.
func accessLife(app *sdk.Application) time.Duration {
	if app.ExpireInHours > 0 {
		return hours(app.ExpireInHours)
	}
	return hours(DefaultExpireInHours)
}

// refreshLife returns how long an application's refresh tokens live: as its access tokens, where it does not say, as in
// Casdoor.
func refreshLife(app *sdk.Application) time.Duration {
	if app.RefreshExpireInHours > 0 {
		return hours(app.RefreshExpireInHours)
	}
	return accessLife(app)
}

// TokenLife returns how long after a sign-in, at most, its last token ends, as the application's settings are now.
func TokenLife(app *sdk.Application) time.Duration { return max(accessLife(app), refreshLife(app)) }

// maxLife bounds what a token lives, at 68 years: its row has 4 bytes for the seconds.
const maxLife = math.MaxInt32 * time.Second

// hours is a life of that many hours, within a second and maxLife.
func hours(n float64) time.Duration {
	return time.Duration(min(max(n*float64(time.Hour), float64(time.Second)), float64(maxLife)))
}

// sharedInfix stands between the client id of a shared application and the organization that a client acts for.
const sharedInfix = "-org-"

func (s *Store) organization(ctx context.Context, name string) (*sdk.Organization, error) {
	return s.organizations.named(s.read(ctx), adminOwner, name)
}

func (s *Store) client(ctx context.Context, clientID string) (*Client, error) {
	came := time.Now()
	id, organization, _ := strings.Cut(clientID, sharedInfix)
	app, err := s.clients.find(ctx, came, id)
	if organization != "" && (errors.Is(err, ErrNotFound) || err == nil && !app.IsShared) {
		id, organization = clientID, "" // an admin of a Casdoor may have put the infix into a name of their own
		app, err = s.clients.find(ctx, came, id)
	}
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
		return nil, misconfigured(app, fmt.Errorf("organization %q does not exist", app.Organization))
	}
	if err != nil {
		return nil, fmt.Errorf("organization %s of application %s: %w", app.Organization, app.Name, err)
	}
	for _, item := range itemsOf(app) {
		row, err := s.providerNamed(ctx, item.Name)
		if errors.Is(err, ErrNotFound) {
			continue // Casdoor lets admins delete a provider that applications still name
		}
		if err != nil {
			return nil, err
		}
		options, err := s.optionsOf(ctx, row.Owner, row.Name)
		if err != nil {
			return nil, err
		}
		c.miniPrograms = append(c.miniPrograms, miniProgram{item, row, *options})
	}
	cert, err := s.certFor(s.read(ctx), CertOf(app), home) // a shared application's for everybody, as in Casdoor
	switch {
	case errors.Is(err, ErrNotFound):
		c.keyErr = fmt.Errorf("cert %q does not exist", CertOf(app))
	case err != nil:
		return nil, err
	default:
		c.key, c.keyErr = s.keyring.parse(cert)
	}
	return c, nil
}

// canIssue returns why the application's settings let no token be issued.
func (c *Client) canIssue() error {
	app, err := c.Application, c.keyErr
	if err == nil && !isTokenFormat(app.TokenFormat) {
		err = fmt.Errorf("unknown tokenFormat %q", app.TokenFormat)
	}
	if err == nil {
		err = c.key.canSign(app.TokenSigningMethod)
	}
	if err != nil {
		return misconfigured(app, err)
	}
	return nil
}

// misconfigured is about a setting of an application that an admin must mend, as of a provider.
func misconfigured(app *sdk.Application, err error) error {
	return &provider.Error{
		Op: "issueToken", Kind: provider.KindMisconfigured, Err: fmt.Errorf("application %s: %w", app.Name, err),
		Hint: "mend this setting of the application",
	}
}

// providerNamed reads a provider, without the columns of lists and maps: none of them is a mini program's, and one that
// cannot be read, of a service for e-mail perhaps, keeps nobody from signing in.
func (s *Store) providerNamed(ctx context.Context, name string) (*sdk.Provider, error) {
	found, err := s.providers.findColumns(s.read(ctx), s.providers.plain(), s.providers.name+" WHERE name=?", name)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// CertOf returns the name of the cert that an application signs with: as in Casdoor the built-in one, where it names
// none.
func CertOf(app *sdk.Application) string { return cmp.Or(app.Cert, builtInCert) }

// certFor returns the cert of that name that applications of an organization may sign with: its own, or one for all.
func (s *Store) certFor(q querier, name, organization string) (*sdk.Cert, error) {
	return s.certs.get(q, "WHERE name=? AND owner IN (?, ?)", name, adminOwner, organization)
}

// itemsOf returns the providers that an application names. A null in its JSON names none.
func itemsOf(app *sdk.Application) []*sdk.ProviderItem {
	return slices.DeleteFunc(slices.Clone(app.Providers), func(i *sdk.ProviderItem) bool { return i == nil })
}

// keys reads the certs that sign tokens.
func (s *Store) keys(ctx context.Context) (*keySet, error) {
	rows, err := s.certs.find(s.read(ctx), "ORDER BY owner, name")
	if err != nil {
		return nil, err
	}
	s.keyring.makeRoom(len(rows))
	return s.keyring.setOf(s.log, rows), nil
}
