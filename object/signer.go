package object

import (
	"context"
	"errors"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/go-jose/go-jose/v4"
)

// Signer is an application as those need it who verify its tokens. It is shared: read it only.
type Signer struct {
	Keys jose.JSONWebKeySet // that sign its tokens, and those that have signed tokens which still live (RFC 7517)

	application *sdk.Application
}

// Grants reports whether the application's settings allow a grant type.
func (s *Signer) Grants(grantType string) bool {
	return slices.Contains(s.application.GrantTypes, grantType)
}

// Signer returns the application of that name, to which the organization that a shared one acts for may be added as to
// its client id, or ErrNotFound.
func (a *Authority) Signer(ctx context.Context, name string) (*Signer, error) {
	return load(ctx, a.settings.cache, "signer/"+name, func(ctx context.Context) (*Signer, error) {
		app, err := a.applicationNamed(ctx, name)
		if err != nil {
			return nil, err
		}
		keys, err := a.keysOf(ctx, app)
		return &Signer{keys, app}, err
	})
}

// applicationNamed returns an application by its name and an organization that shares it, or else by its own name:
// another organization may choose this one for its application, and must not be taken for what is shared.
func (a *Authority) applicationNamed(ctx context.Context, name string) (*sdk.Application, error) {
	if own, organization, joined := strings.Cut(name, sharedInfix); joined {
		app, err := a.sharedBy(ctx, own, organization)
		if !errors.Is(err, ErrNotFound) {
			return app, err
		}
	}
	return a.applicationExactly(ctx, name)
}

// sharedBy returns the shared application of that name, if there is the organization.
func (a *Authority) sharedBy(ctx context.Context, name, organization string) (*sdk.Application, error) {
	app, err := a.applicationExactly(ctx, name)
	if err == nil && !app.IsShared {
		err = ErrNotFound
	}
	if err == nil {
		_, err = a.settings.organization(ctx, organization)
	}
	return app, err
}

// applicationExactly returns the application of that very name: the database may take another case, or blanks at the
// end, for the same.
func (a *Authority) applicationExactly(ctx context.Context, name string) (*sdk.Application, error) {
	app, err := a.tables.applications.named(a.tables.read(ctx), adminOwner, name)
	if err == nil && app.Name != name {
		return nil, ErrNotFound
	}
	return app, err
}

// keysOf returns the keys that an application's tokens are verified with, the one that signs now before the former
// ones. There is none of a cert that is missing or cannot be read.
func (a *Authority) keysOf(ctx context.Context, app *sdk.Application) (jose.JSONWebKeySet, error) {
	set, q := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}, a.tables.read(ctx)
	uses, err := a.tables.formerKeys(q, app.Name, a.now())
	if err != nil {
		return set, err
	}
	current, err := a.tables.keyUseOf(q, app)
	if err == nil {
		uses = append([]keyUse{current}, uses...)
	} else if !errors.Is(err, ErrNotFound) {
		return set, err
	}
	var certs []*sdk.Cert
	for _, use := range uses {
		cert, err := a.tables.certFor(q, use.Cert, use.Owner)
		if err == nil {
			certs = append(certs, cert)
		} else if !errors.Is(err, ErrNotFound) { // one that is deleted verifies nothing any more
			return set, err
		}
	}
	for _, k := range a.tables.keyring.setOf(a.log, certs).all() {
		jwk := k.jwk()
		if signsOtherwise(k, uses) {
			jwk.Algorithm = "" // it is optional, and many verifiers take the key for this algorithm only
		}
		set.Keys = append(set.Keys, jwk)
	}
	return set, nil
}

// signsOtherwise reports whether a key signs, or has signed, with another algorithm than its cert's own.
func signsOtherwise(k *key, uses []keyUse) bool {
	return slices.ContainsFunc(uses, func(use keyUse) bool {
		return use.Cert == k.name && use.Method != "" && use.Method != k.algorithm
	})
}
