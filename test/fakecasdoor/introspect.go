package fakecasdoor

import (
	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
)

// introspection is the reply of an active token (RFC 7662 section 2.2).
type introspection struct {
	Active    bool             `json:"active"`
	Scope     string           `json:"scope,omitempty"`
	ClientID  string           `json:"client_id"`
	Username  string           `json:"username"`
	TokenType string           `json:"token_type"`
	Exp       *jwt.NumericDate `json:"exp"`
	Iat       *jwt.NumericDate `json:"iat"`
	Nbf       *jwt.NumericDate `json:"nbf"`
	Sub       string           `json:"sub"`
	Aud       []string         `json:"aud"`
	Iss       string           `json:"iss"`
	Jti       string           `json:"jti"`
}

type inactive struct {
	Active bool `json:"active"`
}

// introspect asks for the row by the hash that the hint names, else by that which the token itself names, and for the
// signature. createdTime does not matter here.
func (s *Server) introspect(c *call) any {
	app, refusal := s.oauthClient(c, false)
	if refusal != nil {
		return *refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text, hint := c.FormValue("token"), c.FormValue("token_type_hint")
	claims, err := s.parse(&app, text)
	if err != nil {
		return inactive{}
	}
	if hint == "" {
		hint, _ = claims["tokenType"].(string)
	}
	t, found := s.tokenByHint(hint, text)
	if !found || t.ExpiresIn <= 0 || !s.active(t) {
		return inactive{}
	}
	owner, found := find(s.rows.Applications, t.Owner+"/"+t.Application)
	if !found {
		return refuse("The application: " + t.Application + " does not exist")
	}
	return describe(claims, t, owner)
}

// tokenByHint returns no row for a hint that it does not know. The caller holds s.mu.
func (s *Server) tokenByHint(hint, text string) (sdk.Token, bool) {
	switch hint {
	case "access_token", accessKind:
		return s.tokenByHash(accessHash, text)
	case "refresh_token", refreshKind:
		return s.tokenByHash(refreshHash, text)
	}
	return sdk.Token{}, false
}

func describe(claims jwt.MapClaims, t sdk.Token, app *sdk.Application) introspection {
	out := introspection{Active: true, ClientID: app.ClientId, TokenType: t.TokenType}
	out.Username, _ = claims["name"].(string)
	out.Scope, _ = claims["scope"].(string)
	out.Jti, _ = claims["jti"].(string)
	out.Exp, _ = claims.GetExpirationTime() // parse has read them all
	out.Iat, _ = claims.GetIssuedAt()
	out.Nbf, _ = claims.GetNotBefore()
	out.Sub, _ = claims.GetSubject()
	out.Iss, _ = claims.GetIssuer()
	out.Aud, _ = claims.GetAudience()
	return out
}
