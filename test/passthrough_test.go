package test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/fakecasdoor"
	"github.com/minidoor/minidoor/test/harness"
)

// passThrough is a gateway whose own half is never asked, before a stand-in Casdoor.
func passThrough(t *testing.T, change func(*http.Server)) (address string, casdoor *fakecasdoor.Server) {
	t.Helper()
	casdoor = fakecasdoor.New(fakecasdoor.Options{KeyBits: 1024})
	target, err := url.Parse(harness.Serve(t, casdoor))
	require.NoError(t, err)
	gateway := httptest.NewUnstartedServer(controllers.New(controllers.Deps{
		Upstream: target, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
	}))
	if change != nil {
		change(gateway.Config)
	}
	gateway.Start()
	t.Cleanup(gateway.Close)
	return gateway.URL, casdoor
}

// once is a client that follows no redirect and unpacks nothing.
func once(t *testing.T, from string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DisableCompression: true, DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func send(t *testing.T, client *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	reply, err := client.Do(r)
	require.NoError(t, err)
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return reply, string(text)
}

func TestPassThroughOfRequests(t *testing.T) {
	t.Parallel()
	address, _ := passThrough(t, nil)
	body := strings.Repeat("正文 ", 1000)
	ask := func(from string, header http.Header) (echo fakecasdoor.Echo) {
		r, err := http.NewRequestWithContext(t.Context(), "PATCH",
			address+"/api/a%2Fb/..%2fc;v=1?x=%zz&y=a;b&y=%E5%B0%8F", strings.NewReader(body))
		require.NoError(t, err)
		r.Host = "door.example.com"
		r.Header = header
		_, text := send(t, once(t, from), r)
		harness.Reply{Body: text}.JSON(t, &echo)
		return echo
	}
	echo := ask("127.0.0.1", http.Header{
		"Authorization": {"Bearer x"}, "Content-Type": {"text/odd"},
		"Cookie":     {"casdoor_session_id=1; minidoor_session=ours; __Host-minidoor_session=ours; minidoor_browser=ours; b=2"},
		"Connection": {"keep-alive, X-Hop"}, "X-Hop": {"1"}, "Te": {"trailers"}, "Proxy-Authorization": {"Basic x"},
		"Keep-Alive": {"timeout=5"}, "X-Own": {"a", "b"}, "X-Request-Id": {"mine"}, "Accept-Encoding": {"br"},
		"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example.com"},
	})
	sum := sha256.Sum256([]byte(body))
	assert.Equal(t, "PATCH", echo.Method)
	assert.Equal(t, "/api/a%2Fb/..%2fc;v=1", echo.Path)
	assert.Equal(t, "x=%zz&y=a;b&y=%E5%B0%8F", echo.Query, "even what is no query to Go")
	assert.Equal(t, "door.example.com", echo.Host)
	assert.Equal(t, hex.EncodeToString(sum[:]), echo.SHA256)
	for name, want := range map[string][]string{
		"Authorization": {"Bearer x"}, "Cookie": {"casdoor_session_id=1; b=2"}, "Content-Type": {"text/odd"},
		"X-Own": {"a", "b"}, "X-Request-Id": {"mine"}, "Accept-Encoding": {"br"}, "User-Agent": {"Go-http-client/1.1"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"door.example.com"},
		"X-Hop": nil, "Proxy-Authorization": nil, "Keep-Alive": nil, "Connection": nil, "Te": {"trailers"},
	} {
		assert.Equal(t, want, echo.Headers.Values(name), name)
	}
	echo = ask("127.0.0.2", http.Header{
		"X-Forwarded-For": {"203.0.113.7", "10.0.0.1"}, "X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host": {"id.example.com"}, "Forwarded": {"for=203.0.113.7"}, "Cookie": {`a="b, c"; d; e f=1`},
	})
	for name, want := range map[string]string{
		"X-Forwarded-For": "203.0.113.7, 10.0.0.1, 127.0.0.2", "X-Forwarded-Proto": "https",
		"X-Forwarded-Host": "id.example.com", "Forwarded": "for=203.0.113.7", "Cookie": `a="b, c"; d; e f=1`,
	} {
		assert.Equal(t, want, echo.Headers.Get(name), "by a proxy that is trusted, with no cookie of ours: %s", name)
	}
}

// A header that the proxy would take out is not what the Casdoor reads: a request that has such a one does not pass.
func TestPassThroughHidesNothing(t *testing.T) {
	t.Parallel()
	address, casdoor := passThrough(t, nil)
	for _, name := range []string{"Content-Type", "content-length", "CONTENT-ENCODING", "Authorization", "Cookie"} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", address+harness.PathRefresh, strings.NewReader("{}"))
		require.NoError(t, err)
		r.Header = http.Header{"Connection": {"keep-alive", "x, " + name}}
		reply, text := send(t, once(t, "127.0.0.1"), r)
		assert.Equal(t, http.StatusBadRequest, reply.StatusCode, name)
		assert.Contains(t, text, `"error":"invalid_request"`, name)
		assert.NotEmpty(t, reply.Header.Get("X-Request-Id"), name)
	}
	assert.Zero(t, casdoor.Calls(harness.PathRefresh))
}

func TestPassThroughOfReplies(t *testing.T) {
	t.Parallel()
	address, casdoor := passThrough(t, nil)
	direct := httptest.NewServer(casdoor)
	t.Cleanup(direct.Close)
	client := once(t, "127.0.0.1")
	for _, path := range []string{
		fakecasdoor.PathGzip, fakecasdoor.PathTrailers, fakecasdoor.PathNotModified, fakecasdoor.PathCookies,
		"/.well-known/jwks", "/api/get-account",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if method == "HEAD" && path == fakecasdoor.PathTrailers {
				continue // net/http does not announce the trailer of a body that is not sent
			}
			ask := func(base string) (*http.Response, string) {
				r, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
				require.NoError(t, err)
				r.Host = "door.example.com"
				return send(t, client, r)
			}
			want, wantBody := ask(direct.URL)
			got, body := ask(address)
			want.Header.Del("Date")
			got.Header.Del("Date")
			assert.Equal(t, want.StatusCode, got.StatusCode, path)
			assert.Equal(t, want.Header, got.Header, "%s %s: no header more or less", method, path)
			assert.Equal(t, want.Trailer, got.Trailer, path)
			assert.Equal(t, wantBody, body, path)
		}
	}
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
		hints = append(hints, header.Get("Link"))
		return nil
	}}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET",
		address+fakecasdoor.PathEarlyHints, nil)
	require.NoError(t, err)
	send(t, client, r)
	assert.Len(t, hints, 1)
}

// Streams, uploads and WebSockets outlive the deadlines of the server.
func TestPassThroughOfStreams(t *testing.T) {
	t.Parallel()
	const deadline = 100 * time.Millisecond
	address, casdoor := passThrough(t, func(s *http.Server) { s.Handler = harness.Deadlines(s.Handler, deadline) })

	t.Run("events come as they are sent", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", address+fakecasdoor.PathStream, nil)
		require.NoError(t, err)
		reply, err := once(t, "127.0.0.1").Do(r)
		require.NoError(t, err)
		defer reply.Body.Close()
		lines := bufio.NewScanner(reply.Body)
		for _, line := range []string{"one", "two", "three"} {
			<-time.After(deadline)
			require.NoError(t, casdoor.SendLine(t.Context(), line))
			require.True(t, lines.Scan())
			for lines.Text() == "" {
				require.True(t, lines.Scan())
			}
			assert.Contains(t, lines.Text(), line)
		}
		require.NoError(t, casdoor.EndStream(t.Context()))
	})
	t.Run("an upload flows", func(t *testing.T) {
		const size = 64 << 20
		before := casdoor.Uploaded()
		reader, writer := io.Pipe()
		go func() {
			chunk := bytes.Repeat([]byte("x"), 1<<20)
			for range size >> 20 {
				if _, err := writer.Write(chunk); err != nil {
					return
				}
			}
			<-time.After(2 * deadline)
			if casdoor.Uploaded() == before {
				_ = writer.CloseWithError(io.ErrShortWrite) // nothing has arrived: it is kept somewhere
			}
			_ = writer.Close()
		}()
		r, err := http.NewRequestWithContext(t.Context(), "POST", address+fakecasdoor.PathUpload, reader)
		require.NoError(t, err)
		_, text := send(t, once(t, "127.0.0.1"), r)
		var echo fakecasdoor.Echo
		harness.Reply{Body: text}.JSON(t, &echo)
		assert.EqualValues(t, size, echo.Bytes)
	})
	t.Run("a WebSocket talks", func(t *testing.T) {
		conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(address, "http")+fakecasdoor.PathWebSocket, nil)
		require.NoError(t, err)
		defer func() { _ = conn.CloseNow() }()
		for _, message := range []string{"小明", strings.Repeat("x", 20_000)} {
			<-time.After(2 * deadline)
			require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(message)))
			_, got, err := conn.Read(t.Context())
			require.NoError(t, err)
			assert.Equal(t, message, string(got))
		}
	})
}

// A connection that changes to HTTP/2 would carry requests that the gateway does not see.
func TestPassThroughUpgradesToWebSocketsOnly(t *testing.T) {
	t.Parallel()
	upgrades := make(chan http.Header, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrades <- r.Header
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "h2c")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	t.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	gateway := httptest.NewServer(controllers.New(controllers.Deps{Upstream: target}))
	t.Cleanup(gateway.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway.URL, nil)
	require.NoError(t, err)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQAAP__"}}
	reply, err := once(t, "127.0.0.1").Do(r)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	assert.Equal(t, http.StatusBadGateway, reply.StatusCode)
	seen := <-upgrades
	assert.NotContains(t, seen, "Upgrade")
	assert.NotContains(t, seen, "Connection")
}

// An upstream that leads back here, by way of another instance perhaps, is found out before it takes all connections.
func TestPassThroughInARing(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{1, 2} {
		log, ring := &harness.Log{}, make([]*httptest.Server, length)
		for i := range ring {
			ring[i] = httptest.NewUnstartedServer(nil)
		}
		var passed atomic.Int64
		for i, server := range ring {
			next := ring[(i+1)%len(ring)].Listener.Addr().String()
			gateway := controllers.New(controllers.Deps{
				Upstream: &url.URL{Scheme: "http", Host: next}, Logger: controllers.NewLogger(log, slog.LevelInfo, "json"),
			})
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if passed.Add(1) > 10 {
					w.WriteHeader(http.StatusLoopDetected)
					return
				}
				gateway.ServeHTTP(w, r)
			})
			server.Start()
			t.Cleanup(server.Close)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ring[0].URL+"/api/get-account", nil)
		require.NoError(t, err)
		reply, text := send(t, once(t, "127.0.0.1"), r)
		assert.Equal(t, http.StatusBadGateway, reply.StatusCode)
		assert.Contains(t, text, "Casdoor does not answer")
		assert.Equal(t, length+1, passed.Load())
		assert.Len(t, log.Lines(`casdoorUpstream leads back to this server"`), 1)
	}
}

// A target that has no path here, but one where it is sent on to, would carry any request past the gateway.
func TestPassThroughOfTargets(t *testing.T) {
	t.Parallel()
	address, casdoor := passThrough(t, nil)
	body := "tag=wechat_miniprogram&client_id=x&code=y"
	ask := func(target string) int {
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: door\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			target, formType, len(body), body)
		require.NoError(t, err)
		reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, target)
		require.NoError(t, reply.Body.Close())
		return reply.StatusCode
	}
	for _, target := range []string{
		"x:http://door" + harness.PathToken, "http:http://door" + harness.PathToken + "?a=b",
		"x:http://door" + harness.PathUpdateUser, "x:y",
	} {
		assert.Equal(t, http.StatusBadRequest, ask(target), target)
	}
	assert.Zero(t, casdoor.Calls(harness.PathToken))
	assert.Zero(t, casdoor.Calls(harness.PathUpdateUser))
	ask("http://elsewhere" + harness.PathRefresh)
	assert.Equal(t, 1, casdoor.Calls(harness.PathRefresh), "an address has a path")
}

// timedWriter knows the deadlines that its connection was given.
type timedWriter struct {
	*httptest.ResponseRecorder

	read, write []time.Time
}

// SetReadDeadline is what http.ResponseController looks for.
func (w *timedWriter) SetReadDeadline(t time.Time) error { w.read = append(w.read, t); return nil }

// SetWriteDeadline is what http.ResponseController looks for.
func (w *timedWriter) SetWriteDeadline(t time.Time) error { w.write = append(w.write, t); return nil }

// What a Casdoor has not read of a body, and what a client has not read of an answer, is waited for by the server when
// the gateway is done: that must have an end, or a client would keep its connection for hours.
func TestPassThroughHasAnEnd(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"it answers": func(http.ResponseWriter, *http.Request) {},
		"it resets":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		casdoor := httptest.NewServer(answer)
		t.Cleanup(casdoor.Close)
		target, err := url.Parse(casdoor.URL)
		require.NoError(t, err)
		w := &timedWriter{ResponseRecorder: httptest.NewRecorder()}
		controllers.New(controllers.Deps{Upstream: target}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		for _, deadlines := range [][]time.Time{w.read, w.write} {
			require.Len(t, deadlines, 2, name)
			assert.Zero(t, deadlines[0], "%s: none while it is with the Casdoor", name)
			assert.WithinRange(t, deadlines[1], time.Now(), time.Now().Add(time.Minute), name)
		}
		assert.Greater(t, w.write[1], w.read[1], "%s: an answer of the server's may follow the body", name)
	}
}

// brokenBody ends too early, with its client.
type brokenBody struct{ leave func() }

// Read implements io.Reader.
func (b brokenBody) Read([]byte) (int, error) {
	b.leave()
	return 0, io.ErrUnexpectedEOF
}

// A client that has left has had no answer: it counts as such, and not as a Casdoor that does not answer.
func TestPassThroughWhoseClientLeaves(t *testing.T) {
	t.Parallel()
	for method, send := range map[string]func(leave func()) io.Reader{
		"GET":  func(func()) io.Reader { return nil },
		"POST": func(leave func()) io.Reader { return brokenBody{leave} },
	} {
		ctx, leave := context.WithCancel(t.Context())
		casdoor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if method == http.MethodGet {
				leave()
			}
			_, _ = io.Copy(io.Discard, r.Body) // hears so that the client has left
			<-r.Context().Done()
		}))
		t.Cleanup(casdoor.Close)
		target, err := url.Parse(casdoor.URL)
		require.NoError(t, err)
		log, registry := &harness.Log{}, prometheus.NewRegistry()
		w := httptest.NewRecorder()
		controllers.New(controllers.Deps{
			Upstream: target, Metrics: controllers.NewMetrics(registry, "v0"),
			Logger: controllers.NewLogger(log, slog.LevelInfo, "json"),
		}).ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, "/login", send(leave)))
		assert.Equal(t, 499, w.Code, method)
		assert.Empty(t, log.String(), method)
		assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP minidoor_http_requests_total HTTP requests by route, method and status of the answer.
# TYPE minidoor_http_requests_total counter
minidoor_http_requests_total{method="`+method+`",route="casdoor",status="499"} 1
`), "minidoor_http_requests_total"))
	}
}

// A body that is malformed is its client's doing: counted as a Casdoor that is down it would raise the alarm.
func TestPassThroughOfABrokenBody(t *testing.T) {
	t.Parallel()
	casdoor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(casdoor.Close)
	target, err := url.Parse(casdoor.URL)
	require.NoError(t, err)
	log := &harness.Log{}
	gateway := httptest.NewServer(controllers.New(controllers.Deps{
		Upstream: target, Logger: controllers.NewLogger(log, slog.LevelInfo, "json"),
	}))
	t.Cleanup(gateway.Close)
	conn, err := net.Dial("tcp", strings.TrimPrefix(gateway.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\n%s",
		harness.PathRefresh, "3\r\nabc\r\nno size\r\n")
	require.NoError(t, err)
	reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, reply.StatusCode)
	assert.Contains(t, string(text), "the body of the request cannot be read")
	assert.Len(t, log.Lines(`"level":"INFO"`, `"status":400`), 1)
}

// Of a Casdoor that is down the log tells once, however many ask, and once more when it answers again.
func TestPassThroughToACasdoorThatIsDown(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	casdoor := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(casdoor.Close)
	target, err := url.Parse(casdoor.URL)
	require.NoError(t, err)
	log := &harness.Log{}
	gateway := controllers.New(controllers.Deps{
		Upstream: target, Logger: controllers.NewLogger(log, slog.LevelInfo, "json"),
	})
	get := func() int {
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/login", nil))
		return w.Code
	}
	for outage := 1; outage <= 2; outage++ {
		down.Store(true)
		for range 20 {
			require.Equal(t, http.StatusBadGateway, get())
		}
		assert.Len(t, log.Lines(`"level":"ERROR"`, "no answer from Casdoor: "), outage)
		assert.Len(t, log.Lines(`"level":"ERROR"`), outage)
		down.Store(false)
		require.Equal(t, http.StatusOK, get())
		assert.Eventually(t, func() bool {
			return get() == http.StatusOK && len(log.Lines("Casdoor answers again", `"unanswered":20`)) == outage
		}, 10*time.Second, 10*time.Millisecond)
	}
}
