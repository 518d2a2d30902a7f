package object

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
)

// Principal is the user whom a valid access token speaks for.
type Principal struct {
	User     *sdk.User // the whole row, secrets included: Account hides them
	ClientIP string    // of the request, for the record; may be empty

	// Asking hears whose content the platform is about to judge. Its error keeps the content from being stored. Nil:
	// nobody listens.
	Asking func(ctx context.Context, appID, openID string) error

	row      *sdk.Token
	clientID string // of the application that the token is for

	// What update stores beside the columns: the Mark of each Field, which goes where the Reason is empty; and these of
	// the user's properties, while the others stay as they are in the database.
	marked     []Mark
	properties map[string]string
}

// ClientID returns the client id of the application that the token is for.
func (p *Principal) ClientID() string { return p.clientID }

// tokenClaims is what we read of our tokens.
type tokenClaims struct {
	TokenType string `json:"tokenType"`
	jwt.RegisteredClaims

	key *key // that has verified them
}

// row returns owner and name of the token row that the claims' jti names, as Casdoor's do too. Which of a row's tokens
// is the one that may be used, its hash says. A text that PostgreSQL does not take names none.
func (c *tokenClaims) row() (owner, name string) {
	if !storable(c.ID) {
		return "", ""
	}
	owner, name, _ = strings.Cut(c.ID, "/")
	name, _, _ = strings.Cut(name, ".")
	return owner, name
}

// maxVerified bounds the tokens whose signature need not be checked again, at about 500 bytes each.
const maxVerified = 8192

// verify checks a token's signature and times. The algorithm is the cert's, whatever the token says (RFC 8725 §3.1).
func (s *Service) verify(ctx context.Context, token string) (*tokenClaims, error) {
	claims, err := s.verifyOld(ctx, token)
	if err == nil && !s.now().Before(claims.ExpiresAt.Time) {
		return nil, &Refusal{Code: InvalidToken, Message: "the token is expired", Err: jwt.ErrTokenExpired}
	}
	return claims, err
}

// verifyOld is verify of a token that may have expired.
func (s *Service) verifyOld(ctx context.Context, token string) (*tokenClaims, error) {
	if !isJWT(token) {
		return nil, refuse(InvalidToken, "the token is invalid")
	}
	keys, err := s.settings.keys(ctx)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(token))
	if claims, ok := s.verified.Get(hash); ok && keys.named(claims.key.name) == claims.key {
		return claims, nil
	}
	claims, err := s.checkSignature(token, keys)
	if errors.Is(err, jwt.ErrTokenUnverifiable) || errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		fresh, failed := s.settings.newKeys(ctx)
		if failed != nil {
			err = failed
		} else if fresh != keys {
			claims, err = s.checkSignature(token, fresh)
		}
	}
	if err != nil {
		return nil, err
	}
	s.verified.Add(hash, claims)
	return claims, nil
}

// clockSkew is how far ahead of ours the clock of the instance may be that has made a token. Without it the token would
// be refused (nbf) to the one who uses it at once. A token does not live longer for it.
const clockSkew = 30 * time.Second

func (s *Service) checkSignature(token string, keys *keySet) (*tokenClaims, error) {
	claims := &tokenClaims{}
	parser := jwt.NewParser(jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if k := keys.named(kid); k != nil && k.supports(t.Method.Alg()) {
			claims.key = k
			return k.public, nil
		}
		return nil, errors.New("no cert of ours signs so")
	})
	begins := claims.NotBefore
	if err == nil && (claims.ExpiresAt == nil || begins != nil && s.now().Add(clockSkew).Before(begins.Time)) {
		err = jwt.ErrTokenInvalidClaims
	}
	if err != nil {
		return nil, &Refusal{Code: InvalidToken, Message: "the token is invalid", Err: err}
	}
	return claims, nil
}

// Authenticate returns the user of an access token. A token that is invalid, expired or logged out, or that speaks
// for no user, is a *Refusal with InvalidToken; one whose user has been forbidden or deleted, one with AccessDenied.
func (s *Service) Authenticate(ctx context.Context, accessToken string) (*Principal, error) {
	p, claims, err := s.holder(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	return p.ofUser(claims)
}

// holder returns what an access token that is valid was issued to: a user, who is still to be looked at, or an
// application itself.
func (s *Service) holder(ctx context.Context, accessToken string) (*Principal, *tokenClaims, error) {
	claims, err := s.verify(ctx, accessToken)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.holderBy(ctx, accessToken, claims)
	return p, claims, err
}

func (s *Service) holderBy(ctx context.Context, accessToken string, claims *tokenClaims) (*Principal, error) {
	if claims.TokenType != accessTokenType && claims.TokenType != "" { // Casdoor's did not say it before v1.155
		return nil, refuse(InvalidToken, "the token is no access token")
	}
	p, err := s.directory.principal(ctx, accessToken, claims)
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(InvalidToken, "Access token doesn't exist in database")
	}
	if err != nil {
		return nil, err
	}
	if p.row.ExpiresIn <= 0 {
		return nil, refuse(InvalidToken, "the token is expired") // so Casdoor marks a token that it has ended
	}
	if len(claims.Audience) > 0 {
		p.clientID = claims.Audience[0]
	}
	return p, nil
}

// ofUser returns the principal where its user is the one whom the token was issued to and may go on.
func (p *Principal) ofUser(claims *tokenClaims) (*Principal, error) {
	if err := p.issuedTo(claims); err != nil {
		return nil, err
	}
	return p, usable(p.User)
}

// issuedTo refuses a token of a user who is gone. One who was deleted may have been made again under the same name: the
// id is another one.
func (p *Principal) issuedTo(claims *tokenClaims) error {
	if p.User.Id == "" || p.User.Id != claims.Subject {
		return refuse(InvalidToken, "the user of the token doesn't exist")
	}
	return nil
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
