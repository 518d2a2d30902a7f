package fakecasdoor

import (
	"encoding/base64"
	"net/url"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	pathToken   = "/api/login/oauth/access_token"
	pathRefresh = "/api/login/oauth/refresh_token"
)

// foreign makes a token as somebody does who has the cert's key, and a row for it.
func (c *casdoor) foreign(name string) sdk.Token {
	c.mu.Lock()
	defer c.mu.Unlock()
	app := c.rows.Applications[0]
	t := c.issue(app, c.users["shop/wechat-o1"], "", "casdoor.example.com")
	t.Name = name
	return t
}

func TestAddedTokenIsAccepted(t *testing.T) {
	t.Parallel()
	c := start(t, Options{Users: []sdk.User{shopper()}})
	token := c.foreign("t1")
	hashed := token
	hashed.Name, hashed.AccessToken, hashed.RefreshToken = "t2", "", ""
	hashed.AccessTokenHash, hashed.RefreshTokenHash = hash("opaque"), hash("opaque refresh")
	for _, row := range []sdk.Token{token, hashed} {
		added, err := c.AddToken(&row)
		require.NoError(t, err)
		assert.True(t, added)
	}
	_, err := c.AddToken(&token)
	require.ErrorContains(t, err, "UNIQUE constraint failed: token.owner, token.name")

	row, err := c.GetToken("t1")
	require.NoError(t, err)
	assert.Equal(t, hash(token.AccessToken), row.AccessTokenHash)
	assert.Equal(t, hash(token.RefreshToken), row.RefreshTokenHash)
	row, err = c.GetToken("t2")
	require.NoError(t, err)
	assert.Equal(t, &hashed, row, "hashes that are given stay")
	_, err = c.GetToken("none")
	require.EqualError(t, err, "The token: admin/none does not exist")

	for _, text := range []string{token.AccessToken, "opaque"} {
		u, err := c.WithAccessToken(text).GetAccount()
		require.NoError(t, err)
		assert.Equal(t, "id1", u.Id)
	}
	c.clock.Advance(168*time.Hour + time.Second)
	_, err = c.WithAccessToken("opaque").GetAccount()
	require.ErrorContains(t, err, "Access token has expired, expireTime = ")
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	c := start(t, Options{Users: []sdk.User{shopper()}})
	for name, path := range map[string]string{"t1": pathToken, "t2": pathRefresh} {
		token := c.foreign(name)
		_, err := c.AddToken(&token)
		require.NoError(t, err)
		form := url.Values{
			"grant_type": {"refresh_token"}, "client_id": {ClientID}, "client_secret": {ClientSecret},
			"refresh_token": {token.RefreshToken},
		}
		status, reply := c.ask(t, path, form)
		require.Equal(t, 200, status, reply)
		_, err = c.WithAccessToken(reply["access_token"].(string)).GetAccount()
		require.NoError(t, err)
		_, err = c.WithAccessToken(token.AccessToken).GetAccount()
		require.EqualError(t, err, "Access token doesn't exist in database", "the old row is gone")

		status, reply = c.ask(t, path, form)
		assert.Equal(t, 400, status)
		assert.Equal(t, map[string]any{
			"error": "invalid_grant", "error_description": "refresh token is invalid or revoked",
		}, reply)
		form.Set("client_secret", "x")
		status, _ = c.ask(t, path, form)
		assert.Equal(t, 401, status)
	}
	_, err := c.AddToken(&sdk.Token{
		Owner: "admin", Name: "t3", Application: Application, ExpiresIn: 1, RefreshTokenHash: hash("opaque"),
	})
	require.NoError(t, err)
	_, err = c.RefreshOAuthToken("opaque")
	require.ErrorContains(t, err, "parse refresh token error", "Casdoor refreshes its JWTs only")
	_, err = c.RefreshOAuthToken(c.signIn(t, "o1")["refreshToken"].(string))
	require.NoError(t, err)
}

func TestSignInAnswersWithTheRow(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	row := c.signIn(t, "o1")
	assert.Equal(t, "wechat-o1", row["user"])
	assert.NotContains(t, row, "access_token")
	key, err := base64.StdEncoding.DecodeString(row["code"].(string))
	require.NoError(t, err)
	assert.NotEmpty(t, key, "the SessionKey, which is the fault")
	c.signIn(t, "o1")
	assert.Len(t, c.Users(), 2, "the admin and one shopper")

	c.Change(func(r *Rows) { r.Applications[0].EnableSignUp = false })
	status, reply := c.ask(t, pathToken, url.Values{
		"tag": {"wechat_miniprogram"}, "client_id": {ClientID}, "code": {"u:o2:u2:1"},
	})
	assert.Equal(t, 400, status)
	assert.Equal(t, "the application does not allow to sign up new account", reply["error_description"])
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	_, reply := c.ask(t, pathToken, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {ClientID}, "client_secret": {ClientSecret},
	})
	apps, err := c.WithAccessToken(reply["access_token"].(string)).GetApplications()
	require.NoError(t, err)
	assert.Len(t, apps, 1)
}

func TestIntrospect(t *testing.T) {
	t.Parallel()
	c := start(t, Options{Users: []sdk.User{shopper()}})
	row := c.signIn(t, "o1")
	access, refresh := row["accessToken"].(string), row["refreshToken"].(string)
	for _, tc := range []struct {
		token, hint string
		active      bool
	}{
		{access, "access_token", true},
		{access, "", true},
		{refresh, "refresh_token", true},
		{refresh, "", true},
		{access, "refresh_token", false},
		{access, "unknown", false},
		{"nope", "access_token", false},
		{"nope", "", false},
	} {
		result, err := c.IntrospectToken(tc.token, tc.hint)
		require.NoError(t, err)
		assert.Equal(t, tc.active, result.Active, tc)
		if tc.active {
			assert.Equal(t, "wechat-o1", result.Username)
			assert.Equal(t, "id1", result.Sub)
			assert.Equal(t, []string{ClientID}, result.Aud)
			assert.Equal(t, uint(c.clock.Now().Add(168*time.Hour).Unix()), result.Exp)
		}
	}
	stranger := sdk.NewClient(c.url, ClientID, "x", "", Organization, Application)
	_, err := stranger.IntrospectToken(access, "access_token")
	require.ErrorContains(t, err, "status code: 401")
}

func TestLogout(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	token := c.signIn(t, "o1")["accessToken"].(string)
	_, reply := c.ask(t, "/api/logout", url.Values{}, "Authorization", "Bearer "+token)
	assert.Equal(t, "shop/wechat-o1", reply["data"])
	_, err := c.WithAccessToken(token).GetAccount()
	require.NoError(t, err, "the token goes on working, which is the fault")

	c.clock.Advance(time.Second)
	_, reply = c.ask(t, "/api/logout", url.Values{"id_token_hint": {token}})
	assert.Equal(t, "ok", reply["status"])
	_, err = c.WithAccessToken(token).GetAccount()
	require.ErrorContains(t, err, "Access token has expired")
	_, reply = c.ask(t, "/api/logout?id_token_hint=x", nil)
	assert.Equal(t, "Token not found, invalid accessToken", reply["msg"])
	_, reply = c.ask(t, "/api/logout", nil)
	assert.Nil(t, reply["data"])
}

func TestDeleteToken(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.signIn(t, "o1")
	row := c.Tokens()[0]
	for _, tc := range []struct {
		organization string
		want         bool
	}{{"other", false}, {Organization, true}, {Organization, false}} {
		row.Organization = tc.organization
		deleted, err := c.DeleteToken(&row)
		require.NoError(t, err)
		assert.Equal(t, tc.want, deleted)
	}
	assert.Empty(t, c.Tokens())
}
