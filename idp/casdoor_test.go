package idp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

// casdoorUserInfo has the fields of the UserInfo in Casdoor's package idp.
type casdoorUserInfo struct {
	Id          string
	Username    string
	DisplayName string
	UnionId     string
	Email       string
	Phone       string
	CountryCode string
	AvatarUrl   string
	Extra       map[string]string
}

var _ = casdoorUserInfo(UserInfo{})

func newCasdoor(t *testing.T, f *fixture) *Casdoor {
	t.Helper()
	c, err := NewCasdoor(testAppID, testSecret, Options{Endpoint: "http://wechat.test"})
	require.NoError(t, err)
	c.SetHttpClient(&http.Client{Transport: direct{f.fake}})
	return c
}

func TestCasdoorSignIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c := newCasdoor(t, f)
	code := f.fake.NewCode(fakewechat.User{OpenID: testOpenID, UnionID: "u1"})
	token, err := c.GetToken(code)
	require.NoError(t, err)
	assert.True(t, token.Valid(), "Casdoor refuses a token that is not")

	info, err := c.GetUserInfo(token)
	require.NoError(t, err)
	assert.Equal(t, &UserInfo{Id: testOpenID, Username: "wechat-" + testOpenID, UnionId: "u1"}, info)

	stored, err := json.Marshal(token)
	require.NoError(t, err)
	f.assertSilent(t, fmt.Sprintf("%s %#v %#v", stored, token, info))
	assert.NotContains(t, string(stored), testOpenID)

	_, err = c.GetToken(code)
	f.fails(t, provider.KindInvalidCode, err)
}

func TestCasdoorRefusesForeignTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c := newCasdoor(t, f)
	token, err := c.GetToken(f.code())
	require.NoError(t, err)
	for name, foreign := range map[string]*oauth2.Token{
		"nil":        nil,
		"empty":      {},
		"openid":     {AccessToken: testOpenID},
		"read back":  {AccessToken: token.AccessToken, TokenType: token.TokenType},
		"wrong type": (&oauth2.Token{}).WithExtra(map[string]any{"openid": 1}),
	} {
		info, err := c.GetUserInfo(foreign)
		require.ErrorIs(t, err, errForeignToken, name)
		assert.Nil(t, info)
	}
}

func TestCasdoorWithoutSecret(t *testing.T) {
	t.Parallel()
	c, err := NewCasdoor(testAppID, "", Options{})
	assert.Nil(t, c)
	assert.Equal(t, provider.KindMisconfigured, provider.KindOf(err))
}

func TestCasdoorSetHttpClientNil(t *testing.T) {
	t.Parallel()
	c, err := NewCasdoor(testAppID, testSecret, Options{Endpoint: "http://127.0.0.1:0"})
	require.NoError(t, err)
	c.SetHttpClient(nil)
	_, err = c.GetToken("code")
	assert.Equal(t, provider.KindUnavailable, provider.KindOf(err))
}
