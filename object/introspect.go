package object

import (
	"context"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
)

// Introspection is the answer of RFC 7662 §2.2. Times are in seconds since 1970; for a refresh token that is no JWT
// they are unknown, and 0.
type Introspection struct {
	Active    bool     `json:"active"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	Exp       int64    `json:"exp,omitempty"`
	Iat       int64    `json:"iat,omitempty"`
	Nbf       int64    `json:"nbf,omitempty"`
	Sub       string   `json:"sub,omitempty"`
	Aud       []string `json:"aud,omitempty"`
	Iss       string   `json:"iss,omitempty"`
	Jti       string   `json:"jti,omitempty"`
}

// Introspect tells a client about a token. One that is invalid, expired, ended, another organization's, or whose user
// may not sign in any more, is not active, and nothing else is said about it.
func (a *Authority) Introspect(ctx context.Context, c *Client, token string) (Introspection, error) {
	row, err := a.tokenRow(ctx, c.Application, token)
	if err != nil {
		return Introspection{}, ignoreMissing(err)
	}
	if row.Organization != c.Organization.Name {
		return Introspection{}, nil
	}
	app := c.Application
	if row.Application != app.Name {
		app, err = a.tables.applications.get(a.tables.read(ctx), "WHERE name=?", row.Application)
		if err != nil {
			return Introspection{}, ignoreMissing(err)
		}
	}
	if row.ExpiresIn <= 0 || refreshExpired(app, row, a.now()) && a.tables.tokenBy.isRefresh(row, token) {
		return Introspection{}, nil
	}
	return a.describe(ctx, row, token, Introspection{
		Active: true, ClientID: app.ClientId, Username: row.User, TokenType: row.TokenType, Scope: row.Scope,
	})
}

// tokenRow returns the row of an access or refresh token that is neither expired nor spent nor ended, or ErrNotFound.
// An opaque one has to be of an application with the owner of app, as all of ours are.
func (a *Authority) tokenRow(ctx context.Context, app *sdk.Application, token string) (*sdk.Token, error) {
	owner, name, err := a.rowOf(ctx, app, token)
	if err != nil {
		return nil, err
	}
	row, err := a.tables.tokens.named(a.tables.read(ctx), owner, name)
	if err == nil && !a.tables.tokenBy.isAccess(row, token) && !a.tables.tokenBy.isRefresh(row, token) {
		return nil, ErrNotFound
	}
	return row, err
}

// describe adds what the token itself says, and looks whether it may still be used.
func (a *Authority) describe(
	ctx context.Context, row *sdk.Token, token string, active Introspection,
) (Introspection, error) {
	if row.GrantType != ClientCredentials {
		if _, err := a.userOf(ctx, row, token); err != nil {
			return Introspection{}, inactive(err)
		}
	}
	if !isJWT(token) && a.tables.tokenBy.isRefresh(row, token) {
		return active, nil
	}
	claims, err := a.verify(ctx, token)
	if err != nil {
		return Introspection{}, inactive(err)
	}
	active.Exp, active.Iat, active.Nbf = seconds(claims.ExpiresAt), seconds(claims.IssuedAt), seconds(claims.NotBefore)
	active.Sub, active.Aud, active.Iss, active.Jti = claims.Subject, claims.Audience, claims.Issuer, claims.ID
	return active, nil
}

// inactive makes no error of a refusal: the token is not active then, whatever the reason.
func inactive(err error) error {
	if isA[*Refusal](err) {
		return nil
	}
	return err
}

// seconds returns 0 for a time that a token does not have.
func seconds(date *jwt.NumericDate) int64 {
	if date == nil {
		return 0
	}
	return date.Unix()
}

// clientIDOf returns the client id of an application, or "" where there is none of that name.
func (a *Authority) clientIDOf(ctx context.Context, application string) (string, error) {
	app, err := a.tables.applications.get(a.tables.read(ctx), "WHERE name=?", application)
	if err != nil {
		return "", ignoreMissing(err)
	}
	return app.ClientId, nil
}
