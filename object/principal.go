package object

import (
	"context"
	"errors"
	"fmt"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
)

// Principal is the user whom a valid access token speaks for.
type Principal struct {
	User *sdk.User // the whole row, secrets included: Account hides them
	row  *sdk.Token
}

// tokenClaims is what we read of our tokens.
type tokenClaims struct {
	TokenType string `json:"tokenType"`
	jwt.RegisteredClaims
}

// row returns the name of the token row that the claims' jti names.
func (c *tokenClaims) row() string {
	_, name, _ := strings.Cut(c.ID, "/")
	name, _, _ = strings.Cut(name, ".")
	return name
}

// verify checks a token's signature and times. The algorithm is the cert's, whatever the token says (RFC 8725 §3.1).
func (s *Service) verify(ctx context.Context, token string) (*tokenClaims, error) {
	keys, err := s.settings.keys(ctx)
	if err != nil {
		return nil, err
	}
	claims := &tokenClaims{}
	_, err = jwt.NewParser(jwt.WithTimeFunc(s.now), jwt.WithExpirationRequired()).ParseWithClaims(token, claims,
		func(t *jwt.Token) (any, error) {
			for _, k := range keys {
				if k.name == t.Header["kid"] && k.supports(t.Method.Alg()) {
					return k.certificate.PublicKey, nil
				}
			}
			return nil, errors.New("no cert of ours signs so")
		})
	if errors.Is(err, jwt.ErrTokenExpired) {
		return nil, &Refusal{Code: InvalidToken, Message: "the token is expired"}
	}
	if err != nil {
		return nil, &Refusal{Code: InvalidToken, Message: "the token is invalid", Err: err}
	}
	return claims, nil
}

// Authenticate returns the user of an access token. A token that is invalid, expired or logged out, or that speaks for no
// user, is a *Refusal with InvalidToken; one whose user has been forbidden or deleted, one with AccessDenied.
func (s *Service) Authenticate(ctx context.Context, accessToken string) (*Principal, error) {
	claims, err := s.verify(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	if claims.TokenType != accessTokenType {
		return nil, refuse(InvalidToken, "the token is no access token")
	}
	p, err := s.principal(ctx, tokenHash(accessToken))
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(InvalidToken, "Access token doesn't exist in database")
	}
	if err != nil {
		return nil, err
	}
	// A user who was deleted may have been made again under the same name: the id is another one.
	if p.User.Id == "" || p.User.Id != claims.Subject {
		return nil, refuse(InvalidToken, "the user of the token doesn't exist")
	}
	return p, usable(p.User)
}

// usable refuses users who may not sign in or go on.
func usable(user *sdk.User) error {
	if user.IsForbidden {
		return refuse(AccessDenied, "the user is forbidden to sign in, please contact the administrator")
	}
	if user.IsDeleted {
		return refuse(AccessDenied, "the user has been deleted")
	}
	return nil
}

// principalQuery selects the token row with a hash, and the row of its user.
func principalQuery(s *Store) string {
	return fmt.Sprintf("SELECT %s, %s FROM %s t LEFT JOIN %s u ON u.owner=t.organization AND u.name=t.%s "+
		"WHERE t.access_token_hash=?", s.tokens.list(s.tokens.columns, "t."), s.users.list(s.users.columns, "u."),
		s.tokens.name, s.users.name, s.dialect.quote("user"))
}

func (s *Service) principal(ctx context.Context, hash string) (*Principal, error) {
	p := &Principal{User: &sdk.User{}, row: &sdk.Token{}}
	tokens, users := s.store.tokens, s.store.users
	dest := append(tokens.dest(p.row, tokens.columns), users.dest(p.User, users.columns)...)
	return p, scanOne(s.store.read(ctx), dest, s.principalQuery, hash)
}
