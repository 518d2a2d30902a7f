package controllers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/minidoor/minidoor/object"
)

const wellKnownPath = "/.well-known/"

// WellKnownController serves what verifiers of our tokens read, of the server and of one application.
type WellKnownController struct{ Base }

// discovery is the metadata of OpenID Connect Discovery 1.0 §3 and of RFC 8414 §2, of what this server does.
type discovery struct {
	Issuer                 string   `json:"issuer"`
	TokenEndpoint          string   `json:"token_endpoint"`
	UserinfoEndpoint       string   `json:"userinfo_endpoint"`
	JWKSURI                string   `json:"jwks_uri"`
	IntrospectionEndpoint  string   `json:"introspection_endpoint"`
	EndSessionEndpoint     string   `json:"end_session_endpoint"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	SubjectTypesSupported  []string `json:"subject_types_supported"`
	SigningAlgorithms      []string `json:"id_token_signing_alg_values_supported"`
	ScopesSupported        []string `json:"scopes_supported"`
	ClaimsSupported        []string `json:"claims_supported"`
	TokenAuthMethods       []string `json:"token_endpoint_auth_methods_supported"`
}

// Discovery is GET /.well-known/openid-configuration and /.well-known/oauth-authorization-server.
//
//	@router /.well-known/openid-configuration [get]
func (c *WellKnownController) Discovery() {
	c.reply(discoveryAt(c.Deps.origin(c.Ctx.Request)))
}

func discoveryAt(origin string) discovery {
	return discovery{
		Issuer:                 origin,
		TokenEndpoint:          origin + accessTokenPath,
		UserinfoEndpoint:       origin + "/api/userinfo",
		JWKSURI:                origin + wellKnownPath + "jwks",
		IntrospectionEndpoint:  origin + "/api/login/oauth/introspect",
		EndSessionEndpoint:     origin + "/api/logout",
		ResponseTypesSupported: []string{"none"}, // there is no authorization endpoint yet
		GrantTypesSupported:    []string{"refresh_token", object.ClientCredentials},
		SubjectTypesSupported:  []string{"public"},
		SigningAlgorithms:      []string{"RS256", "RS512", "ES256", "ES384", "ES512"},
		ScopesSupported:        []string{"openid", "profile", "email", "phone", "address"},
		ClaimsSupported: []string{
			"iss", "sub", "aud", "iat", "exp", "nbf", "jti", "azp", "owner", "name", "id", "displayName", "avatar", "email",
			"email_verified", "phone", "properties", "tokenType",
		},
		TokenAuthMethods: []string{"client_secret_basic", "client_secret_post", "none"},
	}
}

// Keys is GET /.well-known/jwks: the public key of every cert that signs tokens (RFC 7517).
//
//	@router /.well-known/jwks [get]
func (c *WellKnownController) Keys() {
	c.replyOr(c.Deps.Service.Keys(c.Ctx.Request.Context()))
}

// ApplicationDiscovery is GET /.well-known/<application>/openid-configuration and …/oauth-authorization-server:
// Discovery with the application's own keys. The issuer is the server, as in its tokens.
//
//	@router /.well-known/:name/openid-configuration [get]
func (c *WellKnownController) ApplicationDiscovery() {
	signer, err := c.signer()
	if err != nil {
		c.fail(err)
		return
	}
	origin := c.Deps.origin(c.Ctx.Request)
	d := discoveryAt(origin)
	d.JWKSURI = origin + wellKnownPath + url.PathEscape(c.name()) + "/jwks"
	if !signer.Grants(object.ClientCredentials) {
		d.GrantTypesSupported = slices.DeleteFunc(d.GrantTypesSupported, func(g string) bool { return g == object.ClientCredentials })
	}
	c.reply(d)
}

// ApplicationKeys is GET /.well-known/<application>/jwks: the public keys that verify the application's tokens.
//
//	@router /.well-known/:name/jwks [get]
func (c *WellKnownController) ApplicationKeys() {
	signer, err := c.signer()
	if err != nil {
		c.fail(err)
		return
	}
	c.reply(signer.Keys)
}

func (c *WellKnownController) name() string { return c.Ctx.Input.Param(anyName) }

// signer returns the application that the path names.
func (c *WellKnownController) signer() (*object.Signer, error) {
	ctx := c.Ctx.Request.Context()
	signer, err := asked(ctx, c.Deps.Limits, func() (*object.Signer, error) { return c.Deps.Authority.Signer(ctx, c.name()) })
	if errors.Is(err, object.ErrNotFound) {
		return nil, &APIError{
			Status: http.StatusNotFound, Code: object.InvalidRequest, Err: err,
			Message: fmt.Sprintf("The application: %.100s does not exist", c.name()),
		}
	}
	return signer, err
}
