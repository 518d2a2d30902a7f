package controllers

// WellKnownController serves what verifiers of our tokens read.
type WellKnownController struct{ Base }

// discovery is the metadata of OpenID Connect Discovery 1.0 §3, of what this server does.
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

// Discovery is GET /.well-known/openid-configuration.
//
//	@router /.well-known/openid-configuration [get]
func (c *WellKnownController) Discovery() {
	origin := c.Deps.origin(c.Ctx.Request)
	c.reply(discovery{
		Issuer:                 origin,
		TokenEndpoint:          origin + "/api/login/oauth/access_token",
		UserinfoEndpoint:       origin + "/api/userinfo",
		JWKSURI:                origin + "/.well-known/jwks",
		IntrospectionEndpoint:  origin + "/api/login/oauth/introspect",
		EndSessionEndpoint:     origin + "/api/logout",
		ResponseTypesSupported: []string{"none"}, // there is no authorization endpoint yet
		GrantTypesSupported:    []string{"refresh_token", "client_credentials"},
		SubjectTypesSupported:  []string{"public"},
		SigningAlgorithms:      []string{"RS256", "RS512", "ES256", "ES384", "ES512"},
		ScopesSupported:        []string{"openid", "profile", "email", "phone", "address"},
		ClaimsSupported: []string{
			"iss", "sub", "aud", "iat", "exp", "nbf", "jti", "azp", "owner", "name", "id", "displayName", "avatar", "email",
			"email_verified", "phone", "properties", "tokenType",
		},
		TokenAuthMethods: []string{"client_secret_basic", "client_secret_post", "none"},
	})
}

// Keys is GET /.well-known/jwks: the public key of every cert that signs tokens (RFC 7517).
//
//	@router /.well-known/jwks [get]
func (c *WellKnownController) Keys() {
	c.replyOr(c.Deps.Service.Keys(c.Ctx.Request.Context()))
}
