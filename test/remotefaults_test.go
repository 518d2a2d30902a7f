package test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/fakecasdoor"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// casdoorFaults are the ways in which a Casdoor fails to do its part, and what the log says then.
func casdoorFaults() map[string]struct {
	fault fakecasdoor.Fault
	log   string
} {
	const (
		silent  = "casdoor does not answer"
		garbled = "casdoor's answer is not its API's"
		status  = "casdoor answers with an HTTP error"
		refused = "casdoor refuses the call"
		mend    = "casdoor refuses us: casdoorClientId or casdoorClientSecret is wrong"
	)
	redirect := func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Location", "/api/health")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
	return map[string]struct {
		fault fakecasdoor.Fault
		log   string
	}{
		"hang":         {fakewechat.Hang(), silent},
		"slow body":    {fakecasdoor.SlowBody(time.Hour), silent},
		"reset":        {fakewechat.Reset(), silent},
		"SQL":          {fakecasdoor.Leak(), refused},
		"500":          {fakecasdoor.Page(), status},
		"redirect":     {redirect, status},
		"HTML":         {fakewechat.HTML(), garbled},
		"garbage":      {fakecasdoor.Garbage(), garbled},
		"truncated":    {fakewechat.Truncated(), garbled},
		"empty":        {fakewechat.Empty(), garbled},
		"types":        {fakewechat.Body(http.StatusOK, "application/json", `{"status":["ok"]}`), garbled},
		"null":         {fakewechat.Body(http.StatusOK, "application/json", "null"), refused},
		"format":       {fakecasdoor.Refusal("%s%d%v"), refused},
		"unauthorized": {fakecasdoor.Refusal("Unauthorized operation"), mend},
	}
}

func TestRemoteFaults(t *testing.T) {
	t.Parallel()
	for name, c := range casdoorFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := &recording{}
			s := startRemote(t, remoteOptions{timeout: limitFor(name, time.Second), wrap: rec.wrap})
			token := s.SignIn(t, "oHolder").AccessToken
			n := 0
			for action, paths := range map[string][]string{
				"sign-in": {getApplications, getApplication, getOrganization, getCerts, getUser, addUser, addToken},
				"profile": {getCerts, getToken, getUser, getOrganization, updateUser},
				"health":  {getHealth},
			} {
				for _, path := range paths {
					n++
					do := s.action(t, action, token, n)
					s.settle()
					s.casdoor.Inject(path, c.fault, -1)
					reply := do()
					assert.Equal(t, "5", reply.Header.Get("Retry-After"), "%s %s", action, path)
					unavailable(t, reply, true)
					s.casdoor.Heal(path)
					s.settle()
					again := do()
					for n := 0; n < 5 && hangs(name) && again.Status != http.StatusOK; n++ {
						s.settle()
						again = do() // a busy machine may not have answered within the second
					}
					assert.Equal(t, http.StatusOK, again.Status, "%s %s: %s", action, path, again.Body)
				}
			}
			assert.NotEmpty(t, s.Log.Lines("add-user: "+c.log))
			s.checkSecrets(t, rec)
		})
	}
}

// action returns something that the server does, number n of them.
func (s *remoteServer) action(t *testing.T, name, token string, n int) func() harness.Reply {
	return map[string]func() harness.Reply{
		"sign-in": func() harness.Reply { return s.trySignIn(t, "oNew"+strconv.Itoa(n)) },
		"profile": func() harness.Reply { return s.profile(t, token, "name "+strconv.Itoa(n)) },
		"health":  func() harness.Reply { return s.Call(t, http.MethodGet, "/api/health", "", nil) },
	}[name]
}

func (s *remoteServer) checkSecrets(t *testing.T, rec *recording) {
	t.Helper()
	q := newSearch(rec)
	require.NotEmpty(t, q.tokens)
	for i, secret := range s.Fake.Secrets() {
		q.add("WeChat's secret "+strconv.Itoa(i), secret)
	}
	q.add("AppSecret", harness.AppSecret)
	q.add("client secret", fakecasdoor.ClientSecret)
	q.add("SQL", fakecasdoor.LeakedSQL)
	q.add("endpoint", s.at.URL)
	q.add("format", "%s%d%v")
	q.add("format", "MISSING")
	s.casdoor.Change(func(r *fakecasdoor.Rows) { q.add("private key", r.Certs[0].PrivateKey) })
	q.check(t, s.Log, rec)
}

// A user whom Casdoor has added, though its answer was lost, is that user at the next try.
func TestRemoteLostAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fakecasdoor.Fault{
		"truncated": fakewechat.Truncated(),
		"refused": func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
			answer(nowhere{http.Header{}}, r)
			fakecasdoor.Leak()(w, r, answer)
		},
		"unaffected": func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
			answer(nowhere{http.Header{}}, r)
			fakewechat.Body(http.StatusOK, "application/json", `{"status":"ok","data":"Unaffected"}`)(w, r, answer)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRemote(t, remoteOptions{})
			s.casdoor.Inject(addUser, fault, 1)
			if reply := s.trySignIn(t, "oLost"); name == "truncated" {
				unavailable(t, reply, true)
			} else {
				assert.False(t, *reply.Tokens(t).NewUser, "somebody was faster")
			}
			s.casdoorTakes(t, s.SignIn(t, "oLost"), "wechat-oLost")
			assert.Len(t, s.casdoor.Users(), 2)
		})
	}
}

// With isUsernameLowered, Casdoor stores another name than the one that is asked for later.
func TestRemoteLoweredNames(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	s.casdoor.Inject(addUser, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		r.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(body), `"wechat-oLower"`, `"wechat-olower"`)))
		answer(w, r)
	}, -1)
	for range 2 {
		unavailable(t, s.trySignIn(t, "oLower"), true)
	}
	assert.Len(t, s.Log.Lines("isUsernameLowered must be false there"), 1)
	assert.Empty(t, s.casdoor.Tokens())
}

// nowhere is an http.ResponseWriter that keeps nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }

// What Casdoor did not change it says it did not; that must not pass for done.
func TestRemoteUnaffected(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	unaffected := fakewechat.Body(http.StatusOK, "application/json", `{"status":"ok","data":"Unaffected"}`)
	for _, path := range []string{addUser, addToken} {
		s.casdoor.Inject(path, unaffected, 1)
		unavailable(t, s.trySignIn(t, "oNobody"), true)
	}
	token := s.SignIn(t, "oNobody").AccessToken
	s.casdoor.Inject(updateUser, unaffected, 1)
	assert.Equal(t, http.StatusOK, s.profile(t, token, "x").Status, "MySQL, of a row that is so already")

	gone := func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		deleted := s.user(t, "wechat-oNobody")
		_, err := sdk.NewClient(s.at.URL, fakecasdoor.ClientID, fakecasdoor.ClientSecret, "", fakecasdoor.Organization,
			fakecasdoor.Application).DeleteUser(&deleted)
		assert.NoError(t, err)
		unaffected(w, r, answer)
	}
	s.casdoor.Inject(updateUser, gone, 1)
	unavailable(t, s.profile(t, token, "y"), true)
	assert.True(t, *s.SignIn(t, "oNobody").NewUser)
}

// A request that Casdoor keeps waiting ends with the time-out of one call, however many it would have made.
func TestRemoteHangIsBounded(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{timeout: 200 * time.Millisecond})
	for _, path := range []string{getApplications, getUser, addUser} {
		s.casdoor.Inject(path, fakewechat.Hang(), -1)
	}
	start := time.Now()
	replies := together(80, func(int) harness.Reply { return s.trySignIn(t, "oHang") }) // more than may call at once
	for _, reply := range replies {
		unavailable(t, reply, true)
	}
	assert.Less(t, time.Since(start), 10*time.Second)
}

func TestRemoteStart(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	for name, c := range map[string]struct {
		change func(*object.RemoteConfig)
		want   string
	}{
		"wrong secret": {func(cfg *object.RemoteConfig) { cfg.ClientSecret = "wrong" }, "casdoorClientSecret is wrong"},
		"wrong id":     {func(cfg *object.RemoteConfig) { cfg.ClientID = "nope" }, "casdoorClientId or"},
		"no endpoint":  {func(cfg *object.RemoteConfig) { cfg.Endpoint = "" }, "all of its RemoteConfig"},
		"no AppSecret": {func(cfg *object.RemoteConfig) { cfg.AppSecrets = nil }, "all of its RemoteConfig"},
	} {
		t.Run(name, func(t *testing.T) {
			s.options.config = c.change
			_, err := s.service(t)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), fakecasdoor.ClientSecret)
		})
	}
}

// A Casdoor that starts later than we do does no harm.
func TestRemoteStartsBeforeCasdoor(t *testing.T) {
	t.Parallel()
	s := startRemote(t, remoteOptions{})
	token := s.SignIn(t, "oLate").AccessToken
	late := *s
	late.Server = &harness.Server{Fake: s.Fake, Log: &harness.Log{}}
	late.casdoor.Inject(getApplications, fakecasdoor.Page(), -1)
	late.serve(t)
	assert.Len(t, late.Log.Lines("nobody can sign in until casdoor answers", "casdoor answers with an HTTP error"), 1)
	unavailable(t, late.trySignIn(t, "oLate"), true)
	unavailable(t, late.profile(t, token, "x"), true)
	late.casdoor.Heal(getApplications)
	late.SignIn(t, "oLate")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	down := late
	down.options.config = func(cfg *object.RemoteConfig) { cfg.Endpoint = "http://" + listener.Addr().String() }
	down.Server = &harness.Server{Fake: s.Fake, Log: &harness.Log{}}
	down.serve(t)
	unavailable(t, down.trySignIn(t, "oDown"), true)
	assert.Empty(t, down.Log.Lines(listener.Addr().String()))
}
