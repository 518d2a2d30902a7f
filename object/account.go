package object

import (
	"context"
	"encoding/json"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/go-jose/go-jose/v4"
)

// maxOrganizationTexts bounds what is kept of organizations, at about 5 KB each.
const maxOrganizationTexts = 100

// Account returns what the principal reads of the own account, as JSON objects: the user and the organization, without
// secrets. The second one is shared: read it only.
func (s *Service) Account(ctx context.Context, p *Principal) (user, organization []byte, err error) {
	org, err := s.settings.organization(ctx, p.User.Owner)
	if err != nil {
		return nil, nil, err
	}
	organization, known := s.organizationTexts.Get(org)
	if !known {
		if organization, err = json.Marshal(publicOrganization(org)); err != nil {
			return nil, nil, err
		}
		s.organizationTexts.Add(org, organization)
	}
	user, err = s.accountWriter.full(publicUser(p.User))
	return user, organization, err
}

// publicOrganization returns a copy without secrets.
func publicOrganization(org *sdk.Organization) *sdk.Organization {
	o := *org
	for _, secret := range []*string{
		&o.MasterPassword, &o.DefaultPassword, &o.MasterVerificationCode, &o.PasswordSalt, &o.PasswordObfuscatorKey,
		&o.KerberosKeytab,
	} {
		if *secret != "" {
			*secret = mask
		}
	}
	return &o
}

// Userinfo returns the claims of OpenID Connect Core §5.3 that the token's scopes ask for, as Casdoor spells them.
func (a *Authority) Userinfo(ctx context.Context, p *Principal, issuer string) (*sdk.Userinfo, error) {
	clientID, err := a.clientIDOf(ctx, p.row.Application)
	if err != nil {
		return nil, err
	}
	info := &sdk.Userinfo{Sub: p.User.Id, Iss: issuer, Aud: clientID}
	scopes := scopeSet(p.row.Scope)
	if scopes["profile"] {
		info.Name, info.DisplayName, info.Avatar = p.User.Name, p.User.DisplayName, p.User.Avatar
		info.Groups = p.User.Groups
	}
	if scopes["email"] {
		info.Email, info.EmailVerified = p.User.Email, p.User.EmailVerified
	}
	if scopes["address"] {
		info.Address = p.User.Location
	}
	if scopes["phone"] {
		info.Phone = p.User.Phone
	}
	return info, nil
}

// Keys returns the public keys of all certs that sign tokens, for JWKS (RFC 7517).
func (s *Service) Keys(ctx context.Context) (jose.JSONWebKeySet, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	keys, err := s.settings.keys(ctx)
	if err != nil {
		return set, err
	}
	for _, k := range keys.all() {
		set.Keys = append(set.Keys, k.jwk())
	}
	return set, nil
}
