package controllers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// bearerRoutes are those that ask who is there, each with a request that succeeds.
func bearerRoutes() []scenario {
	return []scenario{
		{method: "GET", path: harness.PathAccount},
		{method: "GET", path: "/api/userinfo"},
		{method: "POST", path: "/api/userinfo"},
		{method: "GET", path: "/api/user"},
		{method: "GET", path: "/api/get-user?id=shop/wechat-oBearer"},
		{method: "GET", path: "/api/get-version-info"},
		{method: "POST", path: harness.PathUpdateUser, body: `{"bio":"b"}`},
		{method: "POST", path: harness.PathProfile, body: `{"nickName":"n"}`},
		{method: "GET", path: "/api/logout"},
		{method: "POST", path: "/api/logout"},
	}
}

// refused tells that a route refuses an Authorization header, with a message that holds part.
func refused(t *testing.T, s *harness.Server, authorization, part string) {
	t.Helper()
	for _, c := range bearerRoutes() {
		c.header = map[string]string{"Content-Type": jsonType, "Authorization": authorization}
		c.status, c.has = 200, []string{`{"status":"error","msg":"`, `"data":null,"data2":null}`, part}
		switch {
		case c.path == "/api/logout" && (strings.Contains(part, "expired") || part == "the user"):
			continue // it ends the token; see test.TestLogoutOfAnExpiredToken and TestLogoutOfAForbiddenUser
		case strings.HasPrefix(c.path, "/api/mini-program/"):
			c.status, c.reply = 401, map[string]string{"WWW-Authenticate": "Bearer"} // RFC 9110 §15.5.2
			if part == "the user" {
				c.status, c.reply = 400, map[string]string{"WWW-Authenticate": ""}
			}
		case strings.HasPrefix(c.path, "/api/get-user") && !strings.HasPrefix(authorization, "Bearer "):
			c.has[2] = "Unauthorized operation" // there are other ways in
		}
		c.run(t, s.Handler)
	}
}

// forge signs claims as it is told.
func forge(t *testing.T, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	require.NoError(t, err)
	return text
}

// claimsOf reads a token without looking at its signature.
func claimsOf(t *testing.T, token string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token, claims)
	require.NoError(t, err)
	return claims
}

func changed(claims jwt.MapClaims, name string, value any) jwt.MapClaims {
	claims = maps.Clone(claims)
	claims[name] = value
	return claims
}

func privateKeyOf(t *testing.T, s *harness.Server) crypto.Signer {
	t.Helper()
	block, _ := pem.Decode([]byte(s.Value(t, "SELECT private_key FROM cert WHERE name='cert-built-in'")))
	require.NotNil(t, block)
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key.(crypto.Signer)
}

func TestBadBearers(t *testing.T) {
	t.Parallel()
	s, stranger := harness.Start(t, harness.Options{}), harness.Start(t, harness.Options{})
	tokens := s.SignIn(t, "oBearer")
	token, claims := tokens.AccessToken, claimsOf(t, tokens.AccessToken)
	part := strings.Split(token, ".")
	ours := privateKeyOf(t, s)
	public, err := x509.MarshalPKIXPublicKey(ours.Public())
	require.NoError(t, err)
	otherRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	otherEC, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	const kid, invalid = "cert-built-in", "the token is invalid"

	for name, c := range map[string]struct{ token, want string }{
		"nonsense":     {"nonsense", invalid},
		"three dots":   {"...", invalid},
		"truncated":    {token[:len(token)-1], invalid},
		"half":         {token[:len(token)/2], invalid},
		"no signature": {part[0] + "." + part[1] + ".", invalid},
		"other end":    {flipped(token), invalid},
		"other claims": {part[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "." + part[2],
			invalid},
		"foreign":       {stranger.SignIn(t, "oBearer").AccessToken, invalid},
		"alg none":      {forge(t, jwt.SigningMethodNone, kid, jwt.UnsafeAllowNoneSignatureType, claims), invalid},
		"HS256, PEM":    {forge(t, jwt.SigningMethodHS256, kid, []byte(s.Certificate), claims), invalid},
		"HS256, DER":    {forge(t, jwt.SigningMethodHS256, kid, public, claims), invalid},
		"HS256, empty":  {forge(t, jwt.SigningMethodHS256, kid, []byte{}, claims), invalid},
		"wrong RSA key": {forge(t, jwt.SigningMethodRS256, kid, otherRSA, claims), invalid},
		"wrong EC key":  {forge(t, jwt.SigningMethodES256, kid, otherEC, claims), invalid},
		"unknown kid":   {forge(t, jwt.SigningMethodRS256, "x", ours, claims), invalid},
		"PS256":         {forge(t, jwt.SigningMethodPS256, kid, ours, claims), invalid},
		"no exp":        {forge(t, jwt.SigningMethodRS256, kid, ours, changed(claims, "exp", nil)), invalid},
		"not yet": {forge(t, jwt.SigningMethodRS256, kid, ours, changed(claims, "nbf", time.Now().Unix()+3600)),
			invalid},
		"past": {forge(t, jwt.SigningMethodRS256, kid, ours, changed(claims, "exp", time.Now().Unix()-1)),
			"expired"},
		"of another use": {forge(t, jwt.SigningMethodRS256, kid, ours, changed(claims, "tokenType", "x")),
			"no access token"},
		"not issued": {forge(t, jwt.SigningMethodRS256, kid, ours, changed(claims, "jti", "admin/x")),
			"doesn't exist"},
		"opaque refresh": {tokens.RefreshToken, invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, s, "Bearer "+c.token, c.want)
		})
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "Basic " + token, "token " + token, token} {
		t.Run("header "+header[:min(len(header), 12)], func(t *testing.T) {
			t.Parallel()
			want := "Please login first"
			if header == "Bearer " {
				want = `"status":"error"`
			}
			refused(t, s, header, want)
		})
	}
}

// flipped changes a bit of the signature that is not one of the spare bits of base64's end.
func flipped(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	other := byte('A')
	if token[at] == 'A' {
		other = 'B'
	}
	return token[:at] + string(other) + token[at+1:]
}

// The name of the scheme has no case (RFC 9110 §11.1).
func TestBearerScheme(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oBearer").AccessToken
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  "} {
		scenario{
			method: "GET", path: harness.PathAccount, status: 200, has: []string{`"status":"ok"`,
				`"name":"wechat-oBearer"`},
			header: map[string]string{"Authorization": scheme + token},
		}.run(t, s.Handler)
	}
}

func TestRefreshTokenIsNoAccessToken(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{RefreshTokenJWT: true})
	tokens := s.SignIn(t, "oBearer")
	refused(t, s, "Bearer "+tokens.RefreshToken, "no access token")
	again := fields("grant_type", "refresh_token", "client_id", harness.ClientID, "refresh_token", tokens.AccessToken)
	scenario{body: again, status: 400, has: []string{oauth("invalid_grant")}}.run(t, s.Handler)
	assert.Equal(t, "wechat-oBearer", s.Account(t, tokens.AccessToken)["name"], "neither attempt ended the tokens")
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := harness.Start(t, harness.Options{
		Now: clock.Now, Application: harness.Row{"expireInHours": 1, "refreshExpireInHours": 2},
	})
	tokens := s.SignIn(t, "oBearer")
	assert.Equal(t, 3600, tokens.ExpiresIn)
	refresh := func(token string) string {
		return fields("grant_type", "refresh_token", "client_id", harness.ClientID, "refresh_token", token)
	}
	clock.Advance(time.Hour - time.Second)
	s.Account(t, tokens.AccessToken)
	clock.Advance(time.Second)
	refused(t, s, "Bearer "+tokens.AccessToken, "the token is expired")
	clock.Advance(time.Hour - time.Second)
	next := s.Call(t, "POST", harness.PathRefresh, "",
		harness.Text{ContentType: formType, Body: refresh(tokens.RefreshToken)})
	clock.Advance(2 * time.Hour)
	late := refresh(next.Tokens(t).RefreshToken)
	scenario{body: late, status: 400, has: []string{oauth("invalid_grant"), "refresh token is expired"}}.run(t,
		s.Handler)
}

// What happened to a user since counts more than the token.
func TestUsersWhoMayNoLonger(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	const gone = "the user of the token doesn't exist"
	for name, c := range map[string]struct {
		change func(user string)
		bearer string // what routes say to the access token
		grant  string // what the token route says to the refresh token
		signIn int    // what a new sign-in gets
	}{
		"forbidden": {bearer: "the user", grant: oauth("access_denied"), signIn: 400, change: func(user string) {
			s.Apply(t, harness.Rows{"users": {{"owner": harness.Organization, "name": user, "isForbidden": true}}})
		}},
		"deleted": {bearer: "the user", grant: oauth("access_denied"), signIn: 400, change: func(user string) {
			s.Apply(t, harness.Rows{"users": {{"owner": harness.Organization, "name": user, "isDeleted": true}}})
		}},
		"removed": {bearer: gone, grant: oauth("invalid_grant"), signIn: 200, change: func(user string) {
			s.Exec(t, "DELETE FROM user WHERE name=?", user)
		}},
		"again": {bearer: gone, grant: oauth("invalid_grant"), signIn: 200, change: func(user string) {
			s.Exec(t, "DELETE FROM user WHERE name=?", user)
			s.Apply(t, harness.Rows{"users": {{"owner": harness.Organization, "name": user}}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := s.SignIn(t, name)
			s.Account(t, tokens.AccessToken)
			c.change("wechat-" + name)
			refused(t, s, "Bearer "+tokens.AccessToken, c.bearer)
			client := basic(harness.ClientID, harness.ClientSecret)
			inactive := []string{`{"active":false}`}
			runAll(t, s.Handler, []scenario{
				{name: "introspect access token", path: harness.PathIntrospect,
					body:   fields("token", tokens.AccessToken),
					header: client, status: 200, has: inactive},
				{name: "introspect refresh token", path: harness.PathIntrospect,
					body:   fields("token", tokens.RefreshToken),
					header: client, status: 200, has: inactive},
				{name: "refresh", status: 400, has: []string{c.grant}, body: fields("grant_type", "refresh_token",
					"client_id", harness.ClientID, "refresh_token", tokens.RefreshToken)},
				{name: "sign in", status: c.signIn, body: signIn(s.NewCode(name))},
			})
		})
	}
}

func TestVersionIsForAdmins(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oBearer").AccessToken
	version := scenario{method: "GET", path: "/api/get-version-info", header: bearer(token), status: 200}
	version.has = []string{casdoor("Unauthorized operation")}
	version.run(t, s.Handler)
	s.Exec(t, "UPDATE user SET is_admin=1 WHERE name='wechat-oBearer'")
	version.has = []string{`"status":"ok"`, `"version":"v0-harness"`}
	version.run(t, s.Handler)
}
