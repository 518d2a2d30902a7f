package object

import (
	"context"
	"errors"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// A token row is a family: the tokens of one sign-in and of all the refreshes that followed it. A refresh overwrites
// the hashes, so that the tokens before it die; a refresh token that was spent before proves a thief, and ends the
// family.

// Refresh spends a refresh token for a new access token and a new refresh token. One that is not valid, or no longer,
// is a *Refusal with InvalidGrant. issuer is the iss of the new token.
func (a *Authority) Refresh(ctx context.Context, c *Client, refreshToken, issuer string) (*Token, error) {
	return a.inTurn(ctx, func() (*Token, error) { return a.refresh(ctx, c, refreshToken, issuer) })
}

func (a *Authority) refresh(ctx context.Context, c *Client, refreshToken, issuer string) (*Token, error) {
	row, err := a.rowToRefresh(ctx, c, refreshToken)
	if err != nil {
		return nil, err
	}
	if !c.hasIssued(row) {
		return nil, refuse(InvalidGrant, "the refresh token is another application's")
	}
	if refreshExpired(c.Application, row, a.now()) {
		return nil, refuse(InvalidGrant, "refresh token is expired")
	}
	if _, err := uuid.Parse(row.Name); err != nil {
		return nil, refuseRefresh() // an admin has made the row: it is no sign-in
	}
	user, err := a.userOf(ctx, row, refreshToken)
	if err != nil {
		return nil, err
	}
	token, next, err := a.issue(ctx, grant{
		client: c, user: user, issuer: issuer, scope: row.Scope, family: row.Name, refresh: true,
	})
	if err != nil {
		return nil, err
	}
	next.Owner = row.Owner
	return token, a.rotate(ctx, next, a.tables.tokenBy.ofRefresh(row))
}

// rowToRefresh returns the row whose refresh token this is.
func (a *Authority) rowToRefresh(ctx context.Context, c *Client, refreshToken string) (*sdk.Token, error) {
	owner, name, err := a.rowOf(ctx, c.Application, refreshToken)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, refuse(InvalidGrant, "refresh token is expired")
	case errors.Is(err, ErrNotFound):
		return nil, refuseRefresh()
	case err != nil:
		return nil, err
	}
	row, err := a.tables.tokens.named(a.tables.read(ctx), owner, name)
	switch {
	case errors.Is(err, ErrNotFound): // it has ended
		return nil, refuseRefresh()
	case err != nil:
		return nil, err
	case a.tables.tokenBy.isRefresh(row, refreshToken):
		return row, nil
	case c.hasIssued(row) && a.isOurRefresh(ctx, c, refreshToken): // it was spent
		return nil, a.endFamily(ctx, owner, name)
	}
	return nil, refuseRefresh()
}

// hasIssued reports whether a token row is the application's.
func (c *Client) hasIssued(row *sdk.Token) bool {
	return row.Application == c.Application.Name && row.Organization == c.Organization.Name
}

func refuseRefresh() *Refusal {
	return refuse(InvalidGrant, "refresh token is invalid or revoked")
}

// refreshExpired reports whether the refresh token of a row has outlived what the application's settings allow now.
func refreshExpired(app *sdk.Application, row *sdk.Token, now time.Time) bool {
	created, err := time.Parse(time.RFC3339, row.CreatedTime)
	return err != nil || !now.Before(created.Add(refreshLife(app))) || row.ExpiresIn <= 0
}

// userOf returns the user of a row's token.
func (a *Authority) userOf(ctx context.Context, row *sdk.Token, token string) (*sdk.User, error) {
	user, err := a.tables.users.named(a.tables.read(ctx), row.Organization, row.User)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	// A user who was deleted may have been made again under the same name.
	if err != nil || !speaksFor(token, user) {
		return nil, refuse(InvalidGrant, "the user of the refresh token doesn't exist")
	}
	return user, usable(user)
}

// rotate replaces a row's tokens if spent still stands in its refresh column: of two requests with one refresh token
// one wins, and the other ends the family.
func (a *Authority) rotate(ctx context.Context, next *sdk.Token, spent string) error {
	by := a.tables.tokenBy.refresh
	var won int64
	err := a.tables.write(ctx, func(tx *txn) error {
		return a.tables.tokens.sendUpdate(tx, next, &won,
			[]string{a.tables.tokenBy.access, by, "created_time", "expires_in"},
			byName+" AND "+by+"=?", next.Owner, next.Name, spent)
	})
	if IsUnavailable(err) && a.hasRotated(ctx, next) {
		return nil
	}
	if err != nil || won == 1 {
		return err
	}
	return a.endFamily(ctx, next.Owner, next.Name)
}

// hasRotated reports whether a row's new tokens are stored although the database has failed: a connection may break
// behind the commit. To send the spent token again would look like theft.
func (a *Authority) hasRotated(ctx context.Context, next *sdk.Token) bool {
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	row, err := a.tables.tokens.named(a.tables.read(ctx), next.Owner, next.Name)
	return err == nil && a.tables.tokenBy.isRefresh(row, next.RefreshToken)
}

// endFamily ends the sign-in whose spent refresh token was sent, and refuses it.
func (a *Authority) endFamily(ctx context.Context, owner, name string) error {
	ended, err := a.revoke(ctx, owner, name)
	if err != nil {
		return err
	}
	if ended { // else somebody has logged out, which no thief does
		a.log.WarnContext(ctx, "a spent refresh token was used again: its family is revoked", "token", name)
	}
	return refuseRefresh()
}

// revoke deletes a token row, and reports whether there was one: every access and refresh token of it is dead once
// revoke returns, on every instance.
func (a *Authority) revoke(ctx context.Context, owner, name string) (bool, error) {
	var deleted int64
	err := a.tables.write(ctx, func(tx *txn) error {
		return tx.send(statement{
			query: "DELETE FROM " + a.tables.tokens.name + " WHERE " + byName, args: []any{owner, name}, changed: &deleted,
		})
	})
	return deleted > 0, err
}

// Logout ends an access token and its refresh token, and returns the id of their user. An access token that has expired
// will do: the refresh token outlives it. So will one of a forbidden user, who may be allowed again.
func (a *Authority) Logout(ctx context.Context, accessToken string) (userID string, err error) {
	claims, err := a.verifyOld(ctx, accessToken)
	if err != nil {
		return "", err
	}
	p, err := a.holderBy(ctx, accessToken, claims)
	if err == nil {
		err = p.issuedTo(claims)
	}
	if err != nil {
		return "", err
	}
	_, err = a.revoke(ctx, p.row.Owner, p.row.Name)
	return p.User.GetId(), err
}

// ClientCredentials is the grant type (RFC 6749 §4.4) of tokens that speak for an application itself.
const ClientCredentials = "client_credentials"

// ClientToken issues a token for the application itself (RFC 6749 §4.4). The caller has authenticated the client.
func (a *Authority) ClientToken(ctx context.Context, c *Client, issuer, scope string) (*Token, error) {
	app := c.Application
	self := &sdk.User{Owner: app.Owner, Id: app.Owner + "/" + app.Name, Name: app.Name, Type: "application"}
	token, row, err := a.issue(ctx, grant{client: c, user: self, issuer: issuer, scope: scope})
	if err != nil {
		return nil, err
	}
	row.GrantType = ClientCredentials
	return token, a.tables.write(ctx, func(tx *txn) error {
		return a.tables.insertToken(tx, row)
	})
}
