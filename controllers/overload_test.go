package controllers_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// overloaded asserts that a reply says so, and when to come again.
func overloaded(t *testing.T, reply harness.Reply) {
	t.Helper()
	assert.Equal(t, http.StatusServiceUnavailable, reply.Status, reply.Body)
	assert.Contains(t, "12345", reply.Header.Get("Retry-After"))
	assert.Contains(t, reply.Body, "The server is busy, please try again")
}

func TestSignInsInFlight(t *testing.T) {
	t.Parallel()
	const most = 3
	s := harness.Start(t, harness.Options{Limits: controllers.LimitsConfig{MaxSignIns: most}})
	release := make(chan struct{})
	s.Fake.Inject(fakewechat.PathCode2Session, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		<-release
		answer(w, r)
	}, most)
	accepted := make(chan harness.Reply, most)
	for n := range most {
		code := s.NewCode(fmt.Sprintf("oFlight%d", n))
		go func() { accepted <- signInWith(t, s, code) }()
	}
	const inFlight = "minidoor_sign_ins_in_flight"
	require.Eventually(t, func() bool { return s.Metric(t, inFlight) == most }, 10*time.Second, time.Millisecond)
	code := s.NewCode("oLate")
	overloaded(t, signInWith(t, s, code))
	assert.Contains(t, signInWith(t, s, code).Body, "temporarily_unavailable")
	assert.Equal(t, http.StatusOK, s.Call(t, "GET", "/api/health", "", nil).Status)
	close(release)
	for range most {
		assert.Equal(t, http.StatusOK, (<-accepted).Status, "what is accepted finishes")
	}
	assert.Equal(t, http.StatusOK, signInWith(t, s, code).Status, "a code that was turned away is not spent")
	assert.InDelta(t, 2, s.Metric(t, `minidoor_turned_away_total{limit="sign_ins"}`), 0)
	assert.InDelta(t, 0, s.Metric(t, inFlight), 0)
	assert.InDelta(t, 0, s.Metric(t, "minidoor_waiting_requests"), 0)
}

func TestNoNewWorkWhileTheDatabaseHasEnough(t *testing.T) {
	t.Parallel()
	var backlog atomic.Int64
	s := harness.Start(t, harness.Options{Limits: controllers.LimitsConfig{
		MaxWaiting: 5, Backlog: func() int { return int(backlog.Load()) },
	}})
	tokens := s.SignIn(t, "oWork")
	client := url.Values{"client_id": {harness.ClientID}, "client_secret": {harness.ClientSecret}}
	form := func(grant string) url.Values {
		return url.Values{
			"grant_type": {grant}, "refresh_token": {tokens.RefreshToken},
			"client_id": client["client_id"], "client_secret": client["client_secret"],
		}
	}
	code := s.NewCode("oWork")
	requests := map[string]func() harness.Reply{
		"sign-in":            func() harness.Reply { return signInWith(t, s, code) },
		"refresh":            func() harness.Reply { return s.Call(t, "POST", harness.PathRefresh, "", form("refresh_token")) },
		"client credentials": func() harness.Reply { return s.Call(t, "POST", harness.PathToken, "", form("client_credentials")) },
		"account":            func() harness.Reply { return s.Call(t, "GET", harness.PathAccount, tokens.AccessToken, nil) },
		"profile": func() harness.Reply {
			return s.Call(t, "POST", harness.PathProfile, tokens.AccessToken, map[string]string{"nickName": "x"})
		},
	}
	backlog.Store(5)
	for name, request := range requests {
		t.Run(name, func(t *testing.T) { overloaded(t, request()) })
	}
	assert.InDelta(t, len(requests), s.Metric(t, `minidoor_turned_away_total{limit="waiting"}`), 0)
	backlog.Store(4)
	for _, name := range []string{"sign-in", "account", "profile", "client credentials", "refresh"} {
		assert.Equal(t, http.StatusOK, requests[name]().Status, name)
	}
}

// When the database does not answer, those who ask it about anything do not pile up; and they take no place of those
// who have signed in.
func TestStrangersDoNotPileUp(t *testing.T) {
	t.Parallel()
	var limits *controllers.Limits
	s := harness.Start(t, harness.Options{
		Limits: controllers.LimitsConfig{MaxWaiting: 5},
		Deps:   func(deps *controllers.Deps) { limits = deps.Limits },
	})
	tokens := s.SignIn(t, "oKnown")
	cookie := map[string]string{"Cookie": "minidoor_session=made-up"}
	requests := []scenario{
		{path: harness.PathToken, body: "tag=wechat_miniprogram&code=x&client_id=made-up"},
		{path: harness.PathRefresh, body: "grant_type=refresh_token&refresh_token=x&client_id=made-up"},
		{method: "GET", path: "/api/get-users?clientId=made-up&clientSecret=x"},
		{method: "GET", path: "/api/get-user?id=shop/boss", header: cookie},
		{method: "GET", path: "/api/logout", header: cookie},
		{method: "GET", path: "/console", header: cookie},
		{method: "GET", path: "/api/get-application?id=admin/made-up"},
		{method: "GET", path: "/api/get-app-login?type=code&clientId=made-up"},
		{method: "GET", path: "/.well-known/made-up/jwks"},
		{method: "GET", path: "/api/metrics", header: basic("made-up", "x")},
	}
	limits.Ask(5)
	for _, r := range requests {
		assert.Equal(t, http.StatusServiceUnavailable, r.send(s.Handler).Code, r.path)
	}
	s.Account(t, tokens.AccessToken)
	limits.Ask(-5)
	for _, r := range requests {
		assert.Less(t, r.send(s.Handler).Code, http.StatusInternalServerError, r.path)
	}
	assert.InDelta(t, len(requests), s.Metric(t, `minidoor_turned_away_total{limit="waiting"}`), 0)
}

// An export is in memory until its client has read it: a user has one at a time.
func TestExportsOfOneUser(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	export := func(w http.ResponseWriter, openID string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, harness.PathExport, nil)
		r.Header.Set("Authorization", "Bearer "+s.SignIn(t, openID).AccessToken)
		s.Handler.ServeHTTP(w, r)
	}
	slow := slowReader{httptest.NewRecorder(), make(chan struct{}, 1), make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() { export(slow, "oSlow") })
	<-slow.reading
	again, other := httptest.NewRecorder(), httptest.NewRecorder()
	export(again, "oSlow")
	assert.Equal(t, http.StatusTooManyRequests, again.Code)
	assert.NotEmpty(t, again.Header().Get("Retry-After"))
	export(other, "oOther")
	assert.Equal(t, http.StatusOK, other.Code)
	close(slow.release)
	reading.Wait()
	again = httptest.NewRecorder()
	export(again, "oSlow")
	assert.Equal(t, http.StatusOK, again.Code)
	assert.InDelta(t, 1, s.Metric(t, `minidoor_turned_away_total{limit="exports"}`), 0)
}

// slowReader is a client that reads nothing until it is released.
type slowReader struct {
	*httptest.ResponseRecorder

	reading chan struct{} // hears of each answer that begins
	release chan struct{}
}

// Write implements http.ResponseWriter.
func (w slowReader) Write(text []byte) (int, error) {
	w.reading <- struct{}{}
	<-w.release
	return w.ResponseRecorder.Write(text)
}

func TestLargeListsInTurn(t *testing.T) {
	t.Parallel()
	for large, most := range map[string]int{"": 2, "&p=1&pageSize=100": 16} {
		t.Run(large, func(t *testing.T) {
			t.Parallel()
			testListsInTurn(t, large, most)
		})
	}
}

// testListsInTurn has so many clients read such a list slowly.
func testListsInTurn(t *testing.T, large string, most int) {
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oListed").AccessToken
	list := func(ctx context.Context, w http.ResponseWriter, page string) {
		query := url.Values{
			"owner": {harness.Organization}, "clientId": {harness.ClientID}, "clientSecret": {harness.ClientSecret},
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/get-users?"+query.Encode()+page, nil)
		s.Handler.ServeHTTP(w, r)
	}
	reading, release := make(chan struct{}, most+1), make(chan struct{})
	var readers sync.WaitGroup
	for range most {
		readers.Go(func() { list(t.Context(), slowReader{httptest.NewRecorder(), reading, release}, large) })
	}
	for range most {
		<-reading
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	late, paged := httptest.NewRecorder(), httptest.NewRecorder()
	list(ctx, late, large)
	assert.Equal(t, http.StatusServiceUnavailable, late.Code)
	list(t.Context(), paged, "&p=1&pageSize=10")
	assert.Contains(t, paged.Body.String(), "wechat-oListed", "small pages do not wait")
	for _, header := range []map[string]string{nil, bearer(token)} { // nor does who gets no list
		scenario{method: http.MethodGet, path: "/api/get-users?owner=shop" + large, header: header, status: http.StatusOK,
			has: []string{casdoor("Unauthorized operation")}}.run(t, s.Handler)
	}
	close(release)
	readers.Wait()
	again := httptest.NewRecorder()
	list(t.Context(), again, large)
	assert.Contains(t, again.Body.String(), "wechat-oListed")
}

// Slow clients with large bodies fill the memory no further than so many can. Small bodies, as mini programs send them,
// and those who have sent all of it are none of them.
func TestLargeBodiesAtOneTime(t *testing.T) {
	t.Parallel()
	const most = 64
	s := harness.Start(t, harness.Options{})
	large := scenario{body: "unknown=" + strings.Repeat("x", 100<<10), status: http.StatusBadRequest,
		has: []string{"is longer than 255 bytes"}}
	large.run(t, s.Handler)
	var sending sync.WaitGroup
	var rest []*io.PipeWriter
	for range most {
		reader, writer := io.Pipe()
		rest = append(rest, writer)
		sending.Go(func() { large.sendBody(httptest.NewRecorder(), s.Handler, reader) })
		_, err := io.WriteString(writer, large.body[:50<<10]) // returns when it is read
		require.NoError(t, err)
	}
	for _, path := range []string{harness.PathToken, harness.PathRefresh, "/api/login", "/api/add-user", "/console/sign-in"} {
		w := scenario{path: path, body: large.body}.send(s.Handler)
		assert.Equal(t, http.StatusServiceUnavailable, w.Code, path)
		assert.Contains(t, "12345", w.Header().Get("Retry-After"), path)
	}
	s.SignIn(t, "oSmall")
	assert.InDelta(t, 5, s.Metric(t, `minidoor_turned_away_total{limit="bodies"}`), 0)
	for _, writer := range rest {
		require.NoError(t, writer.CloseWithError(io.ErrUnexpectedEOF))
	}
	sending.Wait()
	large.run(t, s.Handler)
}

// serve runs controllers.Serve on a loopback port.
func serve(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, end := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		assert.NoError(t, controllers.Serve(ctx, listener, handler, slog.New(slog.DiscardHandler), new(atomic.Int64)))
	})
	t.Cleanup(func() {
		end()
		served.Wait()
	})
	return listener.Addr().String()
}

func TestClientsThatSendTooMuch(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	address := serve(t, s.Handler)
	post := "POST " + harness.PathToken + " HTTP/1.1\r\nHost: x\r\n"
	for name, c := range map[string]struct {
		sent string
		want string
	}{
		"header that fits": {
			"GET /made-up HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", "404",
		},
		"header":       {post + "X-Long: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431"},
		"many headers": {post + strings.Repeat("X-Many: x\r\n", 8<<10) + "\r\n", "431"},
		"path":         {"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "431"},
		"body": {post + "Content-Length: 2000000\r\nContent-Type: application/json\r\n\r\n" +
			strings.Repeat("x", 2000000), "413"},
		"chunks": {post + "Transfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 17), "413"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			go func() { _, _ = io.WriteString(conn, c.sent) }() // the server may close before all is sent
			reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer func() { _ = reply.Body.Close() }()
			assert.Contains(t, reply.Status, c.want)
		})
	}
}

// A slowloris holds connections by sending next to nothing. The server cuts each off, and answers others meanwhile.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes as long as the server's patience")
	}
	s := harness.Start(t, harness.Options{Limits: controllers.LimitsConfig{MaxSignIns: 1, MaxWaiting: 1}})
	address := serve(t, s.Handler)
	head := "POST " + harness.PathToken + " HTTP/1.1\r\nHost: x\r\n"
	const slow = 50
	var cut sync.WaitGroup
	for n := range slow {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		sent := head // half a header
		if n%2 == 1 {
			sent += "Content-Length: 100\r\n\r\ntag=" // half a body
		}
		_, err = io.WriteString(conn, sent)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(45*time.Second)))
		cut.Go(func() {
			_, err := io.Copy(io.Discard, conn)
			assert.NoError(t, err, "the server closes")
		})
	}
	reply, err := http.PostForm("http://"+address+harness.PathToken, harness.SignInForm(s.NewCode("oQuick")))
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, reply.StatusCode, "slow clients take nobody's place")
	require.NoError(t, reply.Body.Close())
	cut.Wait()
}
