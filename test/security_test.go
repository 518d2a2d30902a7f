package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// A cert is replaced without a gap: what the old one has signed goes on, and both keys are published.
func TestCertRotation(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := harness.Start(t, harness.Options{Now: clock.Now})
	before := s.SignIn(t, "oRotate")
	app := harness.App(harness.Application, harness.ClientID, harness.Provider)
	app["cert"] = "cert-next"
	s.Apply(t, harness.Rows{
		"certs": {{"owner": "admin", "name": "cert-next", "cryptoAlgorithm": "ES256"}}, "applications": {app},
	})
	clock.Advance(10 * time.Second) // settings are seen by then
	after := s.SignIn(t, "oRotate")
	assert.Equal(t, "cert-built-in", keyOf(t, before.AccessToken))
	assert.Equal(t, "cert-next", keyOf(t, after.AccessToken))
	for _, token := range []string{before.AccessToken, after.AccessToken} {
		s.Account(t, token)
	}
	refreshed := s.Call(t, http.MethodPost, harness.PathRefresh, "", map[string]string{
		"grant_type": "refresh_token", "client_id": harness.ClientID, "refresh_token": before.RefreshToken,
	}).Tokens(t)
	assert.Equal(t, "cert-next", keyOf(t, refreshed.AccessToken))
	keys := s.Call(t, http.MethodGet, "/.well-known/jwks", "", nil).Body
	for _, kid := range []string{"cert-built-in", "cert-next"} {
		assert.Contains(t, keys, `"kid":"`+kid+`"`)
	}
}

func keyOf(t *testing.T, token string) any {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	require.NoError(t, err)
	return parsed.Header["kid"]
}

// Whoever can write the token table, but has no key of ours, cannot make a token: its hash alone lets nobody in.
func TestStoredHashIsNotEnough(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(s.SignIn(t, "oStored").AccessToken, claims)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	forged := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	forged.Header["kid"] = "cert-built-in"
	text, err := forged.SignedString(key)
	require.NoError(t, err)
	hash := sha256.Sum256([]byte(text))
	s.Exec(t, "UPDATE token SET access_token_hash=?", hex.EncodeToString(hash[:]))
	reply := s.Call(t, http.MethodGet, harness.PathAccount, text, nil)
	assert.Contains(t, reply.Body, "the token is invalid")
}

// No reply can be taken for another kind of content, framed or kept, whatever the path and the method.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for _, path := range []string{
		harness.PathToken, harness.PathRefresh, harness.PathIntrospect, harness.PathAccount, harness.PathUpdateUser,
		harness.PathProfile, "/api/logout", "/api/userinfo", "/api/get-user", "/api/health", "/api/mini-program/health",
		"/.well-known/openid-configuration", "/.well-known/jwks", "/.well-known/app-shop/jwks", "/.well-known/nope/jwks", "/",
		"/.well-known/app-shop/openid-configuration", "/nothing/here", "/api/get-users", "/api/add-user",
		"/api/get-application", "/api/update-cert", "/api/delete-token", "/api/get-resources", "/api/get-app-login",
		"/api/get-user-count", "/api/upload-resource", "/api/../etc/passwd",
	} {
		for method := range strings.FieldsSeq("GET HEAD POST PUT DELETE OPTIONS TRACE CONNECT PATCH") {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
			r.URL.Path = path
			r.Header.Set("Authorization", "Bearer reflected")
			s.Handler.ServeHTTP(w, r)
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
				"Content-Type":            "application/json; charset=utf-8",
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			} {
				assert.Equal(t, want, w.Header().Get(name), "%s %s: %s", method, path, name)
			}
			assert.Empty(t, w.Header().Get("Set-Cookie"))
			assert.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
			assert.NotContains(t, w.Body.String(), "reflected")
			assert.Less(t, w.Code, http.StatusInternalServerError, "%s %s", method, path)
			assert.False(t, w.Code >= 300 && w.Code < 400, "a redirect, which mini programs may not follow")
		}
	}
}
