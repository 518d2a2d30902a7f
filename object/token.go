package object

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// Token is what a token request is answered with.
type Token struct {
	AccessToken  string
	RefreshToken string // empty for client credentials
	ExpiresIn    time.Duration
	Scope        string
	NewUser      bool // the sign-in made the user
	UserName     string
	Application  string
}

// grant is what a token is issued for.
type grant struct {
	client  *Client
	user    *sdk.User
	issuer  string
	scope   string
	family  string // name of the token row that is renewed; empty for a new one
	refresh bool
}

// issue signs the tokens of a grant and returns them with the row that makes them valid once it is stored.
func (s *Service) issue(ctx context.Context, g grant) (*Token, *sdk.Token, error) {
	app, err := g.client.Application, g.client.canIssue()
	if err != nil {
		return nil, nil, err
	}
	if g.refresh { // a person's
		if g.user, err = s.withRights(ctx, app.TokenFormat, g.user); err != nil {
			return nil, nil, err
		}
	}
	name := cmp.Or(g.family, newID())
	id := app.Owner + "/" + name
	if g.family != "" {
		id += "." + rand.Text()[:8] // a jti names one token, a row a family of them
	}
	issued, life := s.now(), accessLife(app)
	claims := grantClaims{
		TokenType: accessTokenType, Scope: g.scope, Azp: app.ClientId,
		RegisteredClaims: g.registered(id, issued, life),
	}
	token := &Token{ExpiresIn: life, Scope: g.scope, UserName: g.user.Name, Application: app.Name}
	if token.AccessToken, err = s.sign(ctx, g, claims); err != nil {
		return nil, nil, err
	}
	switch {
	case !g.refresh:
	case s.refreshJWT:
		claims.TokenType = refreshTokenType
		claims.ExpiresAt = jwt.NewNumericDate(issued.Add(refreshLife(app)))
		if token.RefreshToken, err = s.sign(ctx, g, claims); err != nil {
			return nil, nil, err
		}
	default:
		token.RefreshToken = s.opaqueRefreshToken(name, g.user.Id)
	}
	return token, &sdk.Token{
		Owner: app.Owner, Name: name, CreatedTime: timestamp(issued),
		Application: app.Name, Organization: g.client.Organization.Name, User: g.user.Name,
		AccessToken: token.AccessToken, RefreshToken: token.RefreshToken,
		AccessTokenHash: tokenHash(token.AccessToken), RefreshTokenHash: tokenHash(token.RefreshToken),
		ExpiresIn: int(life / time.Second), Scope: g.scope, TokenType: "Bearer", CodeIsUsed: true,
	}, nil
}

func (s *Service) sign(ctx context.Context, g grant, claims grantClaims) (string, error) {
	encoded, err := s.claims.encode(g.client.Application, g.user, claims)
	if err != nil {
		return "", err
	}
	var token string
	err = s.signing.do(ctx, func() (err error) {
		token, err = g.client.key.sign(g.client.Application.TokenSigningMethod, encoded)
		return err
	})
	return token, err
}

// tokenHash is the form in which Casdoor keeps tokens; the hash of no token is empty.
func tokenHash(token string) string {
	if token == "" {
		return ""
	}
	return digest(token)
}

// digest is the SHA-256 of a text in hex.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// tokenColumns names the columns that know a row's tokens: the hashes or, in a Casdoor that has none yet, the tokens
// themselves.
type tokenColumns struct{ access, refresh string }

func tokenColumnsOf(tokens *table[sdk.Token]) tokenColumns {
	byHash := tokenColumns{"access_token_hash", "refresh_token_hash"}
	if tokens.has(byHash.access, byHash.refresh) {
		return byHash
	}
	return tokenColumns{"access_token", "refresh_token"}
}

// hashed reports whether the rows keep hashes.
func (c tokenColumns) hashed() bool { return c.access == "access_token_hash" }

// isAccess reports whether token is the access token of a row.
func (c tokenColumns) isAccess(row *sdk.Token, token string) bool {
	stored := row.AccessToken
	if c.hashed() {
		stored = row.AccessTokenHash
	}
	return sameSecret(stored, c.accessKey(token))
}

// accessKey returns what stands in the access column of an access token's row.
func (c tokenColumns) accessKey(token string) string {
	if c.hashed() {
		return tokenHash(token)
	}
	return token
}

// isRefresh reports whether token is the refresh token of a row.
func (c tokenColumns) isRefresh(row *sdk.Token, token string) bool {
	if c.hashed() {
		// Before the hash of an earlier version stands the row's id.
		hash := strings.TrimPrefix(row.RefreshTokenHash, strings.ReplaceAll(row.Name, "-", ""))
		return sameSecret(hash, tokenHash(token))
	}
	return sameSecret(row.RefreshToken, token)
}

// ofRefresh returns what stands in the refresh column of a row.
func (c tokenColumns) ofRefresh(row *sdk.Token) string {
	if c.hashed() {
		return row.RefreshTokenHash
	}
	return row.RefreshToken
}

// insertToken adds a token row: with hashes only, where the database has columns for them, for whoever reads it must
// not be able to use a token.
func (s *Store) insertToken(tx *txn, row *sdk.Token) error {
	stored := *row
	if s.tokenBy.hashed() {
		stored.AccessToken, stored.RefreshToken = "", ""
	}
	return s.tokens.sendInsert(tx, &stored, "", nil)
}

// sameSecret compares in a time that tells nothing of where the texts differ. No secret is the same as another.
func sameSecret(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

func isJWT(token string) bool { return strings.Count(token, ".") == 2 }

// An opaque refresh token is the id of its row, the start of the hash of its user's id, 16 random bytes, and a code
// over all that: so a spent one, which its row knows no more, is told from one that was made up.
const (
	refreshSubject = 16 // where each part begins
	refreshNonce   = 32
	refreshCode    = 48
	refreshSize    = refreshCode + sha256.Size
)

func (s *Service) opaqueRefreshToken(name, userID string) string {
	id, subject := uuid.MustParse(name), sha256.Sum256([]byte(userID))
	message := make([]byte, refreshCode, refreshSize)
	copy(message, id[:])
	copy(message[refreshSubject:refreshNonce], subject[:])
	_, _ = rand.Read(message[refreshNonce:]) // never fails
	return base64.RawURLEncoding.EncodeToString(append(message, s.sealer.authenticate(message)...))
}

// decodeOpaque returns what an opaque refresh token is made of, or nil where it is not one.
func decodeOpaque(token string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != refreshSize {
		return nil
	}
	return raw
}

// rowOf returns owner and name of the row that a token of ours says is its own, or ErrNotFound; whether it is, the row
// says. An opaque token says no owner: it is that of app.
func (s *Service) rowOf(ctx context.Context, app *sdk.Application, token string) (owner, name string, err error) {
	if raw := decodeOpaque(token); raw != nil {
		return app.Owner, uuid.UUID(raw[:refreshSubject]).String(), nil
	}
	claims, err := s.verify(ctx, token)
	if isA[*Refusal](err) {
		return "", "", errors.Join(ErrNotFound, err)
	}
	if err != nil {
		return "", "", err
	}
	owner, name = claims.row()
	return owner, name, nil
}

// speaksFor reports whether a token that a row knows was issued for this user, and not for one who had the name before.
func speaksFor(token string, user *sdk.User) bool {
	if raw := decodeOpaque(token); raw != nil {
		subject := sha256.Sum256([]byte(user.Id))
		return bytes.HasPrefix(subject[:], raw[refreshSubject:refreshNonce])
	}
	claims := &tokenClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token, claims) // the row's hash vouches for it
	return err == nil && claims.Subject == user.Id
}

// isOurRefresh reports whether a refresh token was issued here for the client, valid still or spent. What another
// organization has signed, with a cert of its own, must not end a sign-in.
func (s *Service) isOurRefresh(ctx context.Context, c *Client, token string) bool {
	if raw := decodeOpaque(token); raw != nil {
		return s.sealer.authentic(raw[:refreshCode], raw[refreshCode:])
	}
	claims, err := s.verify(ctx, token)
	return err == nil && claims.TokenType == refreshTokenType &&
		(claims.key.owner == adminOwner || claims.key.owner == c.home)
}
