package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
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
func (s *Service) issue(g grant) (*Token, *sdk.Token, error) {
	if g.client.keyErr != nil {
		return nil, nil, g.client.keyErr
	}
	app := g.client.Application
	name, id := g.family, app.Owner+"/"+g.family
	if name == "" {
		name = newID()
		id = app.Owner + "/" + name
	} else {
		id += "." + rand.Text()[:8] // a jti names one token, a row a family of them
	}
	issued, life := s.now(), g.client.lifetime()
	claims := grantClaims{
		TokenType: accessTokenType, Scope: g.scope, Azp: app.ClientId,
		RegisteredClaims: g.registered(id, issued, life),
	}
	token := &Token{ExpiresIn: life, Scope: g.scope, UserName: g.user.Name, Application: app.Name}
	var err error
	if token.AccessToken, err = s.sign(g, claims); err != nil {
		return nil, nil, err
	}
	switch {
	case !g.refresh:
	case s.refreshJWT:
		claims.TokenType = refreshTokenType
		claims.ExpiresAt = jwt.NewNumericDate(issued.Add(g.client.refreshLifetime()))
		if token.RefreshToken, err = s.sign(g, claims); err != nil {
			return nil, nil, err
		}
	default:
		token.RefreshToken = s.opaqueRefreshToken(name, g.user.Id)
	}
	return token, &sdk.Token{
		Owner: app.Owner, Name: name, CreatedTime: timestamp(issued),
		Application: app.Name, Organization: g.client.Organization.Name, User: g.user.Name,
		AccessToken: token.AccessToken, RefreshToken: token.RefreshToken,
		AccessTokenHash: tokenHash(token.AccessToken), RefreshTokenHash: refreshHash(token.RefreshToken),
		ExpiresIn: int(life / time.Second), Scope: g.scope, TokenType: "Bearer", CodeIsUsed: true,
	}, nil
}

func (s *Service) sign(g grant, claims grantClaims) (string, error) {
	encoded, err := s.claims.encode(g.client.Application, g.user, claims)
	if err != nil {
		return "", err
	}
	var token string
	err = s.signing.do(context.Background(), func() (err error) {
		token, err = g.client.key.sign(g.client.Application.TokenSigningMethod, encoded)
		return err
	})
	return token, err
}

// signEach makes signatures.
func signEach(batch []*job[func() error]) {
	for _, j := range batch {
		j.done <- j.ask()
	}
}

// tokenHash is the form in which Casdoor looks tokens up; the hash of no token is empty.
func tokenHash(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// refreshHash is the same for refresh tokens. That of an opaque one, which Casdoor does not know, begins with the id of its
// row, so that it too lies beside its neighbours in time.
func refreshHash(token string) string {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != refreshSize {
		return tokenHash(token)
	}
	return hex.EncodeToString(raw[:refreshSubject]) + tokenHash(token)
}

// tokenKeys names the columns that find token rows: the hashes or, in a Casdoor that has none yet, the tokens themselves.
type tokenKeys struct{ access, refresh string }

func tokenKeysOf(tokens *table[sdk.Token]) tokenKeys {
	byHash := tokenKeys{"access_token_hash", "refresh_token_hash"}
	if tokens.has(byHash.access, byHash.refresh) {
		return byHash
	}
	return tokenKeys{"access_token", "refresh_token"}
}

// hashed reports whether the database finds tokens by their hashes.
func (k tokenKeys) hashed() bool { return k.access == "access_token_hash" }

// accessKey returns what stands in the access column for a token.
func (k tokenKeys) accessKey(token string) string {
	if k.hashed() {
		return tokenHash(token)
	}
	return token
}

// refreshKey is accessKey for the refresh column.
func (k tokenKeys) refreshKey(token string) string {
	if k.hashed() {
		return refreshHash(token)
	}
	return token
}

// isRefresh reports whether token is the refresh token of a row that was found by it.
func (k tokenKeys) isRefresh(row *sdk.Token, token string) bool {
	if k.hashed() {
		return row.RefreshTokenHash == refreshHash(token)
	}
	return row.RefreshToken == token
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

func isJWT(token string) bool { return strings.Count(token, ".") == 2 }

// An opaque refresh token is the id of its row, the start of the hash of its user's id, 16 random bytes, and a code
// over all that: so a spent one, which no row knows any more, is told from one that was made up.
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

// speaksFor reports whether a token that a row knows was issued for this user, and not for one who had the name before.
func speaksFor(token string, user *sdk.User) bool {
	if isJWT(token) {
		claims := &tokenClaims{}
		_, _, err := jwt.NewParser().ParseUnverified(token, claims) // the row's hash vouches for it
		return err == nil && claims.Subject == user.Id
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	subject := sha256.Sum256([]byte(user.Id))
	return err == nil && len(raw) == refreshSize && bytes.HasPrefix(subject[:], raw[refreshSubject:refreshNonce])
}

// refreshTokenRow returns the name of the row that a refresh token of ours was issued for, valid still or spent. It
// returns "" for anything else.
func (s *Service) refreshTokenRow(ctx context.Context, token string) string {
	if isJWT(token) {
		claims, err := s.verify(ctx, token)
		if err != nil || claims.TokenType != refreshTokenType {
			return ""
		}
		return claims.row()
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != refreshSize {
		return ""
	}
	if !s.sealer.authentic(raw[:refreshCode], raw[refreshCode:]) {
		return ""
	}
	return uuid.UUID(raw[:refreshSubject]).String()
}
