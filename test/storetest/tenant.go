package storetest

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/testclock"
)

// row is a row of an init data file.
type row = map[string]any

// with returns r with some fields set.
func (base fields) with(set row) row {
	r := maps.Clone(row(base))
	maps.Copy(r, set)
	return r
}

// fields are the usual ones of a row.
type fields row

// tenant is an organization with an application and a mini program, and a service with a clock of its own.
type tenant struct {
	*suite
	service *object.Authority
	clock   *testclock.Clock
	wechat  *wechat
	name    string // of the organization, and of all that belongs to it

	clientID string // of its first application
	setup    setup
}

// setup is how a tenant differs from the usual one.
type setup struct {
	organization, application, provider, item, options row

	refreshJWT bool
	files      object.Files // nil: none can be uploaded
}

// issuer is the iss of the tests' tokens.
const issuer = "https://id.example.com"

func (s *suite) tenant(t *testing.T, what setup) *tenant {
	t.Helper()
	n := &tenant{
		suite: s, name: "shop-" + strings.ToLower(rand.Text()[:8]), clock: testclock.At(time.Now()),
		wechat: &wechat{}, setup: what,
	}
	n.clientID = "app-" + n.name
	n.service = n.newService(t, s.sealer)
	n.change(t, what)
	return n
}

func (n *tenant) newService(t *testing.T, sealer *object.Sealer) *object.Authority {
	t.Helper()
	registry, err := provider.NewRegistry(provider.Platform{
		Type: "WeChatMiniProgram", Tag: "wechat_miniprogram", Prefix: "wechat",
		New:                 func(provider.Config) (provider.Provider, error) { return n.wechat, nil },
		PlaceholderNickname: func(name string) bool { return name == "微信用户" },
		PlaceholderAvatar:   func(url string) bool { return strings.HasSuffix(url, "/grey") },
	})
	require.NoError(t, err)
	service, err := object.NewAuthority(n.store, object.ServiceConfig{
		Registry: registry, Sealer: sealer, RefreshTokenJWT: n.setup.refreshJWT, Now: n.clock.Now,
		Files: n.setup.files, FilesURL: issuer + "/files/",
	})
	require.NoError(t, err)
	return service
}

// change brings the tenant's rows in: at first, and when its settings change.
func (n *tenant) change(t *testing.T, what setup) {
	t.Helper()
	n.apply(t, row{
		"organizations": []row{fields{"owner": "admin", "name": n.name}.with(what.organization)},
		"providers": []row{fields{
			"owner": "admin", "name": "wx-" + n.name, "category": "OAuth", "type": "WeChatMiniProgram",
			"clientId": "wx" + n.name, "clientSecret": "app-secret-" + n.name,
		}.with(what.provider)},
		"applications": []row{n.application("app-", "wx-", what)},
		"miniProgramProviders": []row{
			fields{"owner": "admin", "name": "wx-" + n.name}.with(what.options),
		},
	})
}

func (n *tenant) application(prefix, providerPrefix string, what setup) row {
	item := fields{"name": providerPrefix + n.name, "canSignUp": true, "canSignIn": true}.with(what.item)
	return fields{
		"owner": "admin", "name": prefix + n.name, "organization": n.name, "cert": fastCert, "enableSignUp": true,
		"clientId": prefix + n.name, "clientSecret": "client-secret-" + n.name, "expireInHours": 1,
		"refreshExpireInHours": 24, "providers": []row{item},
	}.with(what.application)
}

// addApplication gives the tenant another application, with a mini program of its own, and returns its client id.
func (n *tenant) addApplication(t *testing.T) string {
	t.Helper()
	n.apply(t, row{
		"providers": []row{{
			"owner": "admin", "name": "second-wx-" + n.name, "category": "OAuth", "type": "WeChatMiniProgram",
			"clientId": "second-wx" + n.name, "clientSecret": "second-app-secret-" + n.name,
		}},
		"applications":         []row{n.application("second-", "second-wx-", n.setup)},
		"miniProgramProviders": []row{fields{"owner": "admin", "name": "second-wx-" + n.name}.with(n.setup.options)},
	})
	return "second-" + n.name
}

// apply brings an init data file in.
func (s *suite) apply(t *testing.T, data row) {
	t.Helper()
	require.NoError(t, s.store.ApplyInitData(t.Context(), writeJSON(t, data), false))
}

func writeJSON(t *testing.T, data any) string {
	t.Helper()
	text, err := json.Marshal(data)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "init_data.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

func (n *tenant) client(t *testing.T) *object.Client { return n.clientOf(t, n.clientID) }

func (n *tenant) clientOf(t *testing.T, id string) *object.Client {
	t.Helper()
	c, err := n.service.Client(t.Context(), id)
	require.NoError(t, err)
	return c
}

// request is a sign-in with the tenant's first application. See wechat for the code.
func (n *tenant) request(t *testing.T, code string) object.SignInRequest {
	t.Helper()
	return object.SignInRequest{
		Client: n.client(t), Tag: "wechat_miniprogram", Code: code, Issuer: issuer, ClientIP: "203.0.113.7",
	}
}

func (n *tenant) signIn(t *testing.T, code string) *object.Token {
	t.Helper()
	return n.send(t, n.request(t, code))
}

func (n *tenant) send(t *testing.T, req object.SignInRequest) *object.Token {
	t.Helper()
	token, err := n.service.SignIn(t.Context(), req)
	require.NoError(t, err)
	return token
}

// principal is whom the token speaks for.
func (n *tenant) principal(t *testing.T, token *object.Token) *object.Principal {
	t.Helper()
	p, err := n.service.Authenticate(t.Context(), token.AccessToken)
	require.NoError(t, err)
	return p
}

// user signs somebody in and returns the user's row.
func (n *tenant) user(t *testing.T, code string) *sdk.User {
	t.Helper()
	return n.find(t, n.signIn(t, code).UserName)
}

func (n *tenant) find(t *testing.T, name string) *sdk.User {
	t.Helper()
	user, err := n.service.FindUser(t.Context(), n.app(), n.name, "name", name)
	require.NoError(t, err)
	return user
}

// app is the tenant's application as a caller of the management API.
func (n *tenant) app() *object.Caller {
	return &object.Caller{Role: object.App, Organization: n.name, Name: "app-" + n.name}
}

// users returns how many users the tenant has.
func (n *tenant) users(t *testing.T) int {
	t.Helper()
	return len(n.rows(t, `SELECT name FROM "user" WHERE owner=?`, n.name))
}

func (n *tenant) tokenRows(t *testing.T) []map[string]string {
	t.Helper()
	return n.rows(t, `SELECT * FROM "token" WHERE organization=?`, n.name)
}

// settingsAge is how long a change of settings made elsewhere may be unseen.
const settingsAge = 3 * time.Second

// assertRefused checks that err is a refusal with that code, and that its message holds the words.
func assertRefused(t *testing.T, err error, code object.ErrorCode, words ...string) {
	t.Helper()
	var refusal *object.Refusal
	if !assert.ErrorAs(t, err, &refusal) {
		return
	}
	assert.Equal(t, code, refusal.Code, refusal.Message)
	for _, word := range words {
		assert.Contains(t, refusal.Message, word)
	}
}

// inParallel runs tests beside each other.
func inParallel(t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// concurrently runs n calls at once and waits for them.
func concurrently(n int, call func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			call(i)
		})
	}
	close(start)
	wg.Wait()
}
