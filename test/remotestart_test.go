package test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakecasdoor"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testclock"
)

// The calls of Casdoor's API that are made.
const (
	getApplications = "/api/get-applications"
	getApplication  = "/api/get-application"
	getOrganization = "/api/get-organization"
	getCerts        = "/api/get-certs"
	getUser         = "/api/get-user"
	addUser         = "/api/add-user"
	updateUser      = "/api/update-user"
	getToken        = "/api/get-token"
	addToken        = "/api/add-token"
	getHealth       = "/api/health"
)

// remoteOptions adapt a server on a fake Casdoor. The zero remoteOptions are right.
type remoteOptions struct {
	rows    func(*fakecasdoor.Rows)
	users   []sdk.User
	timeout time.Duration                   // of a call to Casdoor; 0: as in production
	config  func(*object.RemoteConfig)      // changes it; may be nil
	wrap    func(http.Handler) http.Handler // sees all requests and replies; may be nil
	deps    func(*controllers.Deps, string) // changes them, given Casdoor's URL; may be nil
}

// remoteServer is a server whose users are in a fake Casdoor.
type remoteServer struct {
	*harness.Server
	casdoor *fakecasdoor.Server
	at      *harness.Server // the fake Casdoor, as a server to call
	clock   *testclock.Clock
	wechat  string
	options remoteOptions
}

func startRemote(t testing.TB, o remoteOptions) *remoteServer {
	t.Helper()
	s := &remoteServer{clock: harness.NewClock(), options: o}
	s.casdoor = fakecasdoor.New(fakecasdoor.Options{
		Now: s.clock.Now, KeyBits: 1024, Rows: o.rows, Users: o.users, // made in a tenth of the time
	})
	s.at = &harness.Server{URL: harness.Serve(t, s.casdoor)}
	fake := fakewechat.New(fakewechat.Options{
		AppID: fakecasdoor.AppID, AppSecret: harness.AppSecret, Now: s.clock.Now, CodesPerMinute: -1, KeepSecrets: true,
	})
	s.wechat = harness.Serve(t, fake)
	s.Server = &harness.Server{Fake: fake, Log: &harness.Log{}}
	s.serve(t)
	return s
}

// another returns one more instance on the same Casdoor.
func (s *remoteServer) another(t testing.TB) *remoteServer {
	t.Helper()
	twin := *s
	twin.Server = &harness.Server{Fake: s.Fake, Log: &harness.Log{}}
	twin.serve(t)
	return &twin
}

func (s *remoteServer) serve(t testing.TB) {
	t.Helper()
	service, err := s.service(t)
	require.NoError(t, err)
	log := controllers.NewLogger(s.Log, slog.LevelDebug, "json")
	deps := controllers.Deps{Service: service, Version: "v0-harness", Logger: log}
	if s.options.deps != nil {
		s.options.deps(&deps, s.at.URL)
	}
	s.Handler = controllers.New(deps)
	if s.options.wrap != nil {
		s.Handler = s.options.wrap(s.Handler)
	}
	server := httptest.NewServer(s.Handler)
	t.Cleanup(server.Close)
	s.URL = server.URL
}

func (s *remoteServer) service(t testing.TB) (*object.Service, error) {
	t.Helper()
	log := controllers.NewLogger(s.Log, slog.LevelDebug, "json")
	registry, err := provider.NewRegistry(idp.WeChatPlatform(idp.Options{
		Endpoint: s.wechat, Now: s.clock.Now, Logger: log,
	}))
	require.NoError(t, err)
	cfg := object.RemoteConfig{
		Endpoint: s.at.URL, ClientID: fakecasdoor.ClientID, ClientSecret: fakecasdoor.ClientSecret,
		AppSecrets: map[string]provider.Secret{fakecasdoor.AppID: harness.AppSecret}, Timeout: s.options.timeout,
	}
	if s.options.config != nil {
		s.options.config(&cfg)
	}
	return object.NewRemoteService(t.Context(), cfg, object.ServiceConfig{
		Registry: registry, Now: s.clock.Now, Logger: log,
	})
}

// settle lets the settings that the server knows grow old.
func (s *remoteServer) settle() { s.clock.Advance(5 * time.Second) }

// trySignIn signs the WeChat user with that OpenID in, with more fields of the form, name after value.
func (s *remoteServer) trySignIn(t testing.TB, openID string, more ...string) harness.Reply {
	t.Helper()
	form := harness.SignInForm(s.NewCode(openID))
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return s.Call(t, http.MethodPost, harness.PathToken, "", form)
}

func (s *remoteServer) profile(t testing.TB, token, nickname string) harness.Reply {
	t.Helper()
	return s.Call(t, http.MethodPost, harness.PathProfile, token, map[string]string{"nickName": nickname})
}

// user returns Casdoor's row of a user.
func (s *remoteServer) user(t testing.TB, name string) sdk.User {
	t.Helper()
	user, found := s.casdoor.User(fakecasdoor.Organization + "/" + name)
	require.True(t, found, name)
	return user
}

// calls returns how often each call was made while f ran.
func (s *remoteServer) calls(f func()) map[string]int {
	paths := []string{
		getApplications, getApplication, getOrganization, getCerts, getUser, addUser, updateUser, getToken, addToken,
	}
	before := map[string]int{}
	for _, path := range paths {
		before[path] = s.casdoor.Calls(path)
	}
	f()
	made := map[string]int{}
	for _, path := range paths {
		if n := s.casdoor.Calls(path) - before[path]; n > 0 {
			made[path] = n
		}
	}
	return made
}

// casdoorTakes asserts that Casdoor takes the tokens, and returns those that it renews them with.
func (s *remoteServer) casdoorTakes(t *testing.T, tokens harness.Tokens, name string) harness.Tokens {
	t.Helper()
	assert.Equal(t, name, s.at.Account(t, tokens.AccessToken)["name"])
	for _, token := range []string{tokens.AccessToken, tokens.RefreshToken} {
		seen := s.at.Call(t, http.MethodPost, harness.PathIntrospect, "", url.Values{
			"token": {token}, "client_id": {fakecasdoor.ClientID}, "client_secret": {fakecasdoor.ClientSecret},
		}).Map(t)
		assert.Equal(t, true, seen["active"])
		assert.Equal(t, name, seen["username"])
	}
	return s.at.Call(t, http.MethodPost, harness.PathRefresh, "", refreshForm(tokens.RefreshToken)).Tokens(t)
}
