package object

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Tokens are shown without what could be used or looked up: neither tokens nor hashes nor codes leave the server.
func (a *Authority) Tokens() *Family[sdk.Token] {
	return &Family[sdk.Token]{a, a.tables.tokens, trait[sdk.Token]{
		name:       "token",
		home:       func(t *sdk.Token) home { return home{organization: t.Organization} },
		id:         func(t *sdk.Token) *rowID { return &rowID{&t.Owner, &t.Name} },
		homeColumn: "organization",
		userColumn: "user",
		owned:      byNobody,
		large:      true,
		sort:       "name", // which in our rows begins with the time
		sorted:     []string{"name"},
		secrets:    []string{"access_token", "refresh_token", "access_token_hash", "refresh_token_hash"},
		hidden:     []string{"code", "code_challenge"},
		fill:       a.fillToken,
		judge:      a.judgeToken,
	}}
}

// fillToken completes a token row, and keeps of tokens that are sent their hashes.
func (a *Authority) fillToken(_ context.Context, _ *Caller, row, old *sdk.Token) error {
	row.Name = cmp.Or(row.Name, newID())
	row.CreatedTime = cmp.Or(row.CreatedTime, a.stamp())
	row.TokenType = cmp.Or(row.TokenType, "Bearer")
	if old != nil && row.Organization != old.Organization {
		return refuse(AccessDenied, "The organization is immutable: a token stays in it")
	}
	if a.tables.tokenBy.hashed() {
		if row.AccessToken != "" {
			row.AccessTokenHash, row.AccessToken = tokenHash(row.AccessToken), ""
		}
		if row.RefreshToken != "" {
			row.RefreshTokenHash, row.RefreshToken = tokenHash(row.RefreshToken), ""
		}
	}
	row.Code, row.CodeIsUsed = "", true // a code is redeemed by whoever was given it, never entered here
	return nil
}

// judgeToken refuses tokens of applications and users that are not there.
func (a *Authority) judgeToken(tx *txn, _ *Caller, row, old *sdk.Token) error {
	if old != nil && old.Application == row.Application && old.User == row.User {
		return nil
	}
	err := refuseUnless(tx, refuse(InvalidRequest, "the application %s does not exist", row.Application),
		a.tables.applications.name+" WHERE name=?", row.Application)
	if err != nil || row.User == "" {
		return err
	}
	return refuseUnless(tx, refuse(InvalidRequest, "the user %s/%s does not exist", row.Organization, row.User),
		a.tables.users.name+" WHERE "+byName, row.Organization, row.User)
}

// EndUserSessions ends all that a user is signed in by, tokens and sessions of browsers, everywhere at once. It returns
// how many of them were tokens.
func (a *Authority) EndUserSessions(ctx context.Context, c *Caller, owner, name string) (int, error) {
	if err := c.check("delete-token", home{organization: owner}); err != nil {
		return 0, err
	}
	user, err := a.Users().Get(ctx, c, owner, name)
	if err != nil {
		return 0, err
	}
	tokens, err := a.tokensOf(ctx, owner, name, 0)
	if err != nil {
		return 0, err
	}
	return len(tokens), a.tables.write(ctx, func(tx *txn) error {
		if err := a.tables.deleteTokens(tx, tokens); err != nil {
			return err
		}
		if err := a.endAdminSessions(tx, user); err != nil {
			return err
		}
		return a.recordChange(tx, c, "end-user-sessions", owner+"/"+name)
	})
}

// tokensOf returns the newest sign-ins of a user, at most so many; all of them, where that is 0. It is for what is
// rare: see scanUser.
func (s *Service) tokensOf(ctx context.Context, organization, user string, most int) (tokens []*sdk.Token, err error) {
	err = s.scanUser(ctx, func() error {
		tokens, err = s.tables.tokensIn(s.tables.read(ctx), organization, user, most)
		return err
	})
	return tokens, err
}

// tokensIn is tokensOf for one who has waited, or must not. It reads some of the columns. What an application of the
// user's name has got for itself is not the user's.
func (s *Store) tokensIn(q querier, organization, user string, most int) ([]*sdk.Token, error) {
	columns := s.tokens.pick("owner", "name", "application", "created_time", "expires_in", "scope", "grant_type", "user")
	from := s.tokens.name + " WHERE organization=? AND " + s.dialect.quote("user") + "=?"
	if most > 0 {
		from += fmt.Sprintf(" ORDER BY created_time DESC LIMIT %d", most)
	}
	found, err := s.tokens.findColumns(q, columns, from, organization, user)
	return slices.DeleteFunc(found, func(t *sdk.Token) bool {
		return t.User != user || t.GrantType == ClientCredentials
	}), err
}

func (s *Store) deleteTokens(tx *txn, tokens []*sdk.Token) error {
	return s.onTokens(tx, tokens, "DELETE FROM "+s.tokens.name)
}

// onTokens runs a statement on token rows, many at once: a user may have signed in a hundred thousand times. do is what
// comes before the WHERE, with its arguments.
func (s *Store) onTokens(tx *txn, tokens []*sdk.Token, do string, args ...any) error {
	names := map[string][]string{} // by owner
	for _, token := range tokens {
		names[token.Owner] = append(names[token.Owner], token.Name)
	}
	for owner, all := range names {
		args := append(slices.Clone(args), owner)
		if s.dialect.driver == "pgx" { // for which all are one argument: it may read the owner's rows anew for each list
			if _, err := tx.exec(do+" WHERE owner=? AND name=ANY(CAST(? AS text[]))", append(args, all)...); err != nil {
				return err
			}
			continue
		}
		for part := range slices.Chunk(all, rowsAtOnce) {
			listed := slices.Clone(args)
			for _, name := range part {
				listed = append(listed, name)
			}
			if _, err := tx.execOnce(do+" WHERE owner=? AND name IN "+placeholders(len(part)), listed...); err != nil {
				return err
			}
		}
	}
	return nil
}
