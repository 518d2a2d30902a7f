package test

import (
	"net/http"
	"testing"

	"github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// A back end that uses casdoor-go-sdk with Casdoor finds in us what it knows.
func TestSDK(t *testing.T) {
	t.Parallel()
	stranger := harness.Start(t, harness.Options{}).SDK()
	for name, o := range map[string]harness.Options{
		"opaque refresh tokens": {},
		"JWT refresh tokens":    {RefreshTokenJWT: true},
		"ES256": {
			Rows:        harness.Rows{"certs": {{"owner": "admin", "name": "cert-es", "cryptoAlgorithm": "ES256"}}},
			Application: harness.Row{"cert": "cert-es"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, o)
			tokens := s.SignIn(t, "oSDK")
			checkClaims(t, s, tokens.AccessToken, false)
			if o.RefreshTokenJWT {
				checkClaims(t, s, tokens.RefreshToken, true)
			}
			_, err := stranger.ParseJwtToken(tokens.AccessToken)
			require.Error(t, err, "another server's cert does not verify it")
			checkReads(t, s, tokens)
			checkRefresh(t, s, tokens)
		})
	}
}

func checkClaims(t *testing.T, s *harness.Server, token string, isRefresh bool) {
	t.Helper()
	claims, err := s.SDK().ParseJwtToken(token)
	require.NoError(t, err)
	assert.Equal(t, isRefresh, claims.IsRefreshToken())
	assert.Equal(t, "wechat-oSDK", claims.Name)
	assert.Equal(t, harness.Organization, claims.Owner)
	assert.Equal(t, claims.Id, claims.Subject)
	assert.Equal(t, "oSDK", claims.WeChat)
	assert.Equal(t, s.URL, claims.Issuer)
	assert.Equal(t, harness.ClientID, claims.Azp)
	assert.Equal(t, []string{harness.ClientID}, []string(claims.Audience))
}

// checkReads reads the account as the user and as the application, and changes it as the user.
func checkReads(t *testing.T, s *harness.Server, tokens harness.Tokens) {
	t.Helper()
	back, user := s.SDK(), s.SDK().WithAccessToken(tokens.AccessToken)
	account, err := user.GetAccount()
	require.NoError(t, err)
	assert.Equal(t, "wechat-oSDK", account.Name)
	for reader, read := range map[string]func() (*casdoorsdk.User, error){
		"user":                   func() (*casdoorsdk.User, error) { return user.GetUser(account.Name) },
		"user by id":             func() (*casdoorsdk.User, error) { return user.GetUserByUserId(account.Id) },
		"client credentials":     func() (*casdoorsdk.User, error) { return back.GetUser(account.Name) },
		"client credentials, id": func() (*casdoorsdk.User, error) { return back.GetUserByUserId(account.Id) },
	} {
		found, err := read()
		require.NoError(t, err, reader)
		assert.Equal(t, account, found, reader)
	}
	nobody, err := back.GetUser("nobody")
	require.NoError(t, err)
	assert.Nil(t, nobody)
	_, err = user.GetUser(harness.AdminName)
	require.EqualError(t, err, "Unauthorized operation")
	checkUpdates(t, user, account)
}

func checkUpdates(t *testing.T, user *casdoorsdk.Client, account *casdoorsdk.User) {
	t.Helper()
	account.DisplayName = "小明"
	changed, err := user.UpdateUser(account)
	require.NoError(t, err)
	assert.True(t, changed)
	account.Bio, account.Score = "hello", 99
	changed, err = user.UpdateUserForColumns(account, []string{"bio"})
	require.NoError(t, err)
	assert.True(t, changed)
	_, err = user.UpdateUser(account)
	require.EqualError(t, err, "score cannot be changed by the user")
	account.Score = 0
	changed, err = user.UpdateUser(account)
	require.NoError(t, err)
	assert.False(t, changed)
	changed, err = user.UpdateUserByUserId(account.Owner, account.Id, account)
	require.NoError(t, err)
	assert.False(t, changed)
	_, err = user.UpdateUserById(harness.Organization+"/"+harness.AdminName, account)
	require.EqualError(t, err, "Unauthorized operation")

	now, err := user.GetAccount()
	require.NoError(t, err)
	account.UpdatedTime = now.UpdatedTime
	assert.Equal(t, account, now)
}

func checkRefresh(t *testing.T, s *harness.Server, tokens harness.Tokens) {
	t.Helper()
	back := s.SDK()
	renewed, err := back.RefreshOAuthToken(tokens.RefreshToken)
	require.NoError(t, err)
	assert.NotEqual(t, tokens.AccessToken, renewed.AccessToken)
	assert.NotEqual(t, tokens.RefreshToken, renewed.RefreshToken)
	claims, err := back.ParseJwtToken(renewed.AccessToken)
	require.NoError(t, err)

	answer, err := back.IntrospectToken(renewed.AccessToken, "access_token")
	require.NoError(t, err)
	assert.True(t, answer.Active)
	assert.Equal(t, harness.ClientID, answer.ClientId)
	assert.Equal(t, "wechat-oSDK", answer.Username)
	assert.Equal(t, "Bearer", answer.TokenType)
	assert.Equal(t, claims.Subject, answer.Sub)
	assert.Equal(t, claims.ID, answer.Jti)
	assert.Equal(t, claims.ExpiresAt.Unix(), int64(answer.Exp))
	answer, err = back.IntrospectToken(renewed.RefreshToken, "refresh_token")
	require.NoError(t, err)
	assert.True(t, answer.Active)
	for _, old := range []string{tokens.AccessToken, tokens.RefreshToken, "nonsense"} {
		answer, err = back.IntrospectToken(old, "")
		require.NoError(t, err)
		assert.Equal(t, &casdoorsdk.IntrospectTokenResult{}, answer)
	}

	_, err = back.RefreshOAuthToken(tokens.RefreshToken)
	require.ErrorContains(t, err, "invalid_grant")
	_, err = back.WithAccessToken(renewed.AccessToken).GetAccount()
	assert.EqualError(t, err, "Access token doesn't exist in database", "the reuse ended the family")
}

// Whoever knows no Casdoor finds keys and routes by OpenID Connect Discovery.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{
		Rows: harness.Rows{"certs": {
			{"owner": "admin", "name": "cert-es", "cryptoAlgorithm": "ES256"},
			{"owner": "admin", "name": "cert-es512", "cryptoAlgorithm": "ES512"},
			{"owner": "admin", "name": "cert-saml", "cryptoAlgorithm": "ES256", "scope": "SAML"},
		}},
		Application: harness.Row{"cert": "cert-es"},
	})
	var discovery map[string]any
	s.Call(t, "GET", "/.well-known/openid-configuration", "", nil).JSON(t, &discovery)
	assert.Equal(t, s.URL, discovery["issuer"])
	for _, name := range []string{"userinfo_endpoint", "jwks_uri", "end_session_endpoint"} {
		reply := s.Call(t, "GET", discovery[name].(string)[len(s.URL):], "", nil)
		assert.Equal(t, http.StatusOK, reply.Status, name)
	}
	var keys jose.JSONWebKeySet
	s.Call(t, "GET", discovery["jwks_uri"].(string)[len(s.URL):], "", nil).JSON(t, &keys)
	var ids []string
	for _, key := range keys.Keys {
		ids = append(ids, key.KeyID)
		assert.True(t, key.IsPublic(), key.KeyID)
		assert.True(t, key.Valid(), key.KeyID)
		assert.Equal(t, "sig", key.Use)
		assert.NotEmpty(t, key.Certificates)
	}
	assert.Equal(t, []string{"cert-built-in", "cert-es", "cert-es512"}, ids)

	token, err := jwt.ParseSigned(s.SignIn(t, "oKeys").AccessToken, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	require.Len(t, token.Headers, 1)
	assert.Equal(t, "cert-es", token.Headers[0].KeyID)
	var claims jwt.Claims
	require.NoError(t, token.Claims(keys, &claims), "the key set verifies it")
	require.NoError(t, claims.Validate(jwt.Expected{
		Issuer: discovery["issuer"].(string), AnyAudience: jwt.Audience{harness.ClientID},
	}))
	other := jose.JSONWebKeySet{Keys: keys.Key("cert-built-in")}
	assert.Error(t, token.Claims(other, &claims), "another key does not")
}
