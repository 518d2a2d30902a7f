package object

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
	"github.com/minidoor/minidoor/provider"
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

// verified is a token whose signature has been checked, with the key that did it.
type verified struct {
	claims *tokenClaims
	key    *key
}

// maxVerified bounds the tokens whose signature need not be checked again, at about 500 bytes each.
const maxVerified = 8192

// verify checks a token's signature and times. The algorithm is the cert's, whatever the token says (RFC 8725 §3.1).
func (s *Service) verify(ctx context.Context, token string) (*tokenClaims, error) {
	keys, err := s.settings.keys(ctx)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(token))
	if v, ok := s.verified.Get(hash); ok && slices.Contains(keys, v.key) && s.now().Before(v.claims.ExpiresAt.Time) {
		return v.claims, nil
	}
	v, err := s.checkSignature(token, keys)
	if err != nil {
		return nil, err
	}
	s.verified.Add(hash, v)
	return v.claims, nil
}

func (s *Service) checkSignature(token string, keys []*key) (verified, error) {
	v := verified{claims: &tokenClaims{}}
	_, err := jwt.NewParser(jwt.WithTimeFunc(s.now), jwt.WithExpirationRequired()).ParseWithClaims(token, v.claims,
		func(t *jwt.Token) (any, error) {
			for _, k := range keys {
				if k.name == t.Header["kid"] && k.supports(t.Method.Alg()) {
					v.key = k
					return k.certificate.PublicKey, nil
				}
			}
			return nil, errors.New("no cert of ours signs so")
		})
	if errors.Is(err, jwt.ErrTokenExpired) {
		return verified{}, &Refusal{Code: InvalidToken, Message: "the token is expired"}
	}
	if err != nil {
		return verified{}, &Refusal{Code: InvalidToken, Message: "the token is invalid", Err: err}
	}
	return v, nil
}

// Authenticate returns the user of an access token. A token that is invalid, expired or logged out, or that speaks
// for no user, is a *Refusal with InvalidToken; one whose user has been forbidden or deleted, one with AccessDenied.
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
	if p.row.ExpiresIn <= 0 {
		return nil, refuse(InvalidToken, "the token is expired") // so Casdoor marks a token that it has ended
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

// accountQuery selects the token row with a hash, and of its user's row all but the accounts at platforms that are
// not ours. Those are half of the columns, and empty for nearly everybody: the last column tells whether they are.
type accountQuery struct {
	text    string
	columns []column // of the user
}

func newAccountQuery(s *Store, registry *provider.Registry) accountQuery {
	t := reflect.TypeFor[sdk.User]()
	from, _ := t.FieldByName("GitHub")
	to, _ := t.FieldByName("Custom10")
	var q accountQuery
	var linked []string
	for _, c := range s.users.columns {
		_, ours := registry.ByPrefix(c.name)
		if ours || c.field[0] < from.Index[0] || c.field[0] > to.Index[0] {
			q.columns = append(q.columns, c)
		} else {
			linked = append(linked, "u."+s.dialect.quote(c.name)+"<>''")
		}
	}
	q.text = fmt.Sprintf("SELECT %s, %s, CASE WHEN %s THEN 1 ELSE 0 END "+
		"FROM %s t LEFT JOIN %s u ON u.owner=t.organization AND u.name=t.%s WHERE t.access_token_hash=?",
		s.tokens.list(s.tokens.columns, "t."), s.users.list(q.columns, "u."), strings.Join(linked, " OR "),
		s.tokens.name, s.users.name, s.dialect.quote("user"))
	return q
}

func (s *Service) principal(ctx context.Context, hash string) (*Principal, error) {
	p := &Principal{User: &sdk.User{}, row: &sdk.Token{}}
	tokens, users := s.store.tokens, s.store.users
	linked := false
	dest := append(tokens.dest(p.row, tokens.columns), users.dest(p.User, s.accountQuery.columns)...)
	err := scanOne(s.store.read(ctx), append(dest, &linked), s.accountQuery.text, hash)
	if err != nil || !linked {
		return p, err
	}
	p.User, err = users.get(s.store.read(ctx), "WHERE owner=? AND name=?", p.User.Owner, p.User.Name)
	return p, err
}
