package fakecasdoor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/testclock"
)

// casdoor is a running server, its clock, and a client with the secret of the shop.
type casdoor struct {
	*Server
	*sdk.Client
	url   string
	clock *testclock.Clock
}

func start(t *testing.T, o Options) *casdoor {
	t.Helper()
	c := testclock.At(time.Now())
	o.Now, o.KeyBits = c.Now, 1024 // made in a tenth of the time
	s := New(o)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	client := sdk.NewClient(server.URL, ClientID, ClientSecret, "", Organization, Application)
	return &casdoor{s, client, server.URL, c}
}

// ask sends a request and returns status and body; a form is posted.
func (c *casdoor) ask(t *testing.T, path string, form url.Values, header ...string) (int, map[string]any) {
	t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return c.do(t, r)
}

func (c *casdoor) do(t *testing.T, r *http.Request) (int, map[string]any) {
	t.Helper()
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer reply.Body.Close()
	var out map[string]any
	require.NoError(t, json.NewDecoder(reply.Body).Decode(&out))
	return reply.StatusCode, out
}

// signIn is Casdoor's own sign-in, and returns the token row.
func (c *casdoor) signIn(t *testing.T, openID string) map[string]any {
	t.Helper()
	status, row := c.ask(t, "/api/login/oauth/access_token", url.Values{
		"tag": {"wechat_miniprogram"}, "client_id": {ClientID}, "code": {"u:" + openID + ":1"},
	})
	require.Equal(t, 200, status, row)
	return row
}

func (c *casdoor) as(t *testing.T, openID string) *sdk.Client {
	t.Helper()
	return c.WithAccessToken(c.signIn(t, openID)["accessToken"].(string))
}

func shopper() sdk.User {
	return sdk.User{
		Owner: Organization, Name: "wechat-o1", Id: "id1", DisplayName: "One", WeChat: "o1",
		SignupApplication: Application, Properties: map[string]string{"wechatOpenId": "o1"},
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	const path = "/api/get-applications?owner=admin"
	basic := func(id, secret string) []string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(id, secret)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	cases := map[string]struct {
		query  string
		header []string
		want   string // the message; "" is a right answer
	}{
		"basic":              {"", basic(ClientID, ClientSecret), ""},
		"query":              {"&clientId=" + ClientID + "&clientSecret=" + ClientSecret, nil, ""},
		"nobody":             {"", nil, "Unauthorized operation"},
		"basic wrong secret": {"", basic(ClientID, "x"), "Unauthorized operation"},
		"basic unknown":      {"", basic("x", "x"), "Unauthorized operation"},
		"query wrong secret": {"&clientId=" + ClientID + "&clientSecret=x", nil,
			"Incorrect client secret for application: app-shop"},
		"query unknown":  {"&clientId=x&clientSecret=x", nil, "Application not found for client ID: x"},
		"unknown token":  {"", []string{"Authorization", "Bearer x"}, "Access token doesn't exist in database"},
		"token in query": {"&accessToken=x", nil, "Access token doesn't exist in database"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			status, reply := c.ask(t, path+tc.query, nil, tc.header...)
			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, tc.want, reply["msg"])
			assert.Equal(t, tc.want == "", reply["status"] == "ok")
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	c := start(t, Options{Rows: func(r *Rows) { r.Organizations[0].InitScore = 7 }})
	apps, err := c.GetApplications()
	require.NoError(t, err)
	require.Len(t, apps, 1)
	assert.Equal(t, ClientSecret, apps[0].ClientSecret)

	app, err := c.GetApplication(Application)
	require.NoError(t, err)
	assert.Equal(t, "***", app.Providers[0].Provider.ClientSecret)
	assert.Equal(t, Organization, app.OrganizationObj.Name)

	org, err := c.GetOrganization(Organization)
	require.NoError(t, err)
	assert.Equal(t, 7, org.InitScore)

	p, err := c.GetProvider("admin/" + Provider)
	require.NoError(t, err)
	assert.Equal(t, AppID, p.ClientId)
	assert.Equal(t, "***", p.ClientSecret)

	cert, err := c.GetCert("admin/" + Cert)
	require.NoError(t, err)
	assert.Contains(t, cert.PrivateKey, "BEGIN RSA PRIVATE KEY")
	certs, err := c.GetCerts()
	require.NoError(t, err)
	assert.Equal(t, []*sdk.Cert{cert}, certs)

	c.Change(func(r *Rows) { r.Applications[0].DisableSignin = true })
	app, err = c.GetApplication(Application)
	require.NoError(t, err)
	assert.True(t, app.DisableSignin)

	missing, err := c.GetApplication("none")
	require.NoError(t, err)
	assert.Nil(t, missing)
	assert.Equal(t, 3, c.Calls("/api/get-application"))
}

func TestAnonymousSeesNoSecret(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	_, reply := c.ask(t, "/api/get-application?id=admin/app-shop", nil)
	app := reply["data"].(map[string]any)
	assert.Equal(t, "***", app["clientSecret"])
	assert.Equal(t, "***", app["cert"])
}

func TestFaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault Fault
		want  string // in the SDK's error
	}{
		"page":    {Page(), "status code: 500"},
		"garbage": {Garbage(), "unexpected end of JSON input"},
		"leak":    {Leak(), LeakedSQL},
		"refusal": {Refusal("no"), "no"},
		"reset":   {fakewechat.Reset(), "EOF"},
		"empty":   {fakewechat.Empty(), "unexpected end of JSON input"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, Options{})
			c.Inject("/api/get-user", nil, 1)
			c.Inject("/api/get-user", tc.fault, 2) // net/http asks again when a used connection is reset
			_, err := c.GetUser(AdminName)
			require.NoError(t, err)
			_, err = c.GetUser(AdminName)
			require.ErrorContains(t, err, tc.want)
			c.Heal("/api/get-user")
			u, err := c.GetUser(AdminName)
			require.NoError(t, err)
			assert.True(t, u.IsAdmin)
		})
	}
}

func TestHangEndsWithTheServer(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.Inject("/api/health", fakewechat.Hang(), -1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/api/health", nil)
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(r)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	c.Close()
	_, err = http.Get(c.url + "/api/health")
	require.ErrorIs(t, err, io.EOF)
}

func TestSlowBodyComesInTwoParts(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.Inject("/api/health", SlowBody(time.Hour), 1)
	reply, err := http.Get(c.url + "/api/health")
	require.NoError(t, err)
	defer reply.Body.Close()
	first := make([]byte, 10)
	_, err = io.ReadFull(reply.Body, first)
	require.NoError(t, err)
	assert.Equal(t, `{"status":`, string(first))
	c.Close()
	_, err = io.ReadAll(reply.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	c = start(t, Options{})
	c.Inject("/api/health", SlowBody(time.Millisecond), 1)
	_, whole := c.ask(t, "/api/health", nil)
	assert.Equal(t, "ok", whole["status"])
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	_, config := c.ask(t, "/.well-known/openid-configuration", nil)
	assert.Equal(t, c.url, config["issuer"])
	assert.Equal(t, c.url+"/.well-known/jwks", config["jwks_uri"])
	_, set := c.ask(t, "/.well-known/jwks", nil)
	key := set["keys"].([]any)[0].(map[string]any)
	assert.Equal(t, Cert, key["kid"])

	cert, err := c.GetCert("admin/" + Cert)
	require.NoError(t, err)
	c.Certificate = cert.Certificate
	claims, err := c.ParseJwtToken(c.signIn(t, "o1")["accessToken"].(string))
	require.NoError(t, err)
	assert.Equal(t, "wechat-o1", claims.Name)
}
