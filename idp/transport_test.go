package idp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

// tcpServer accepts connections and notes what each request looks like on the wire. serve says what to answer to the
// n-th request of all connections; nothing means to close the connection.
type tcpServer struct {
	url         string
	requests    chan string
	connections atomic.Int32
}

func newTCPServer(t *testing.T, serve func(n int) string) *tcpServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &tcpServer{url: "http://" + listener.Addr().String(), requests: make(chan string, 16)}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for n := 0; ; {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			n = s.serveConn(conn, n, serve)
		}
	}()
	return s
}

func (s *tcpServer) serveConn(conn net.Conn, n int, serve func(int) string) int {
	defer conn.Close()
	for in := bufio.NewReader(conn); ; {
		var head strings.Builder
		for !strings.HasSuffix(head.String(), "\r\n\r\n") {
			line, err := in.ReadString('\n')
			if err != nil {
				return n
			}
			head.WriteString(line)
		}
		s.requests <- head.String()
		n++
		answer := serve(n)
		if answer == "" {
			return n
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	}
}

const goodSession = `{"openid":"` + testOpenID + `","session_key":"o0q0otL8aEzpcZL/FT9WsQ=="}`

// TestSlowWeChat has WeChat answer nobody before all have asked: who had to wait for somebody else's connection would
// have too little time left for the answer.
func TestSlowWeChat(t *testing.T) {
	t.Parallel()
	const calls = 1500
	var asked atomic.Int32
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == calls {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, goodSession)
	}))
	t.Cleanup(server.Close)
	wechat := newTestWeChat(t, Options{Endpoint: server.URL, Timeout: time.Minute})
	errs := make([]error, calls)
	var callers sync.WaitGroup
	for i := range errs {
		callers.Go(func() { _, errs[i] = wechat.Exchange(t.Context(), fmt.Sprint("code-", i)) })
	}
	callers.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestCodeIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	server := newTCPServer(t, func(n int) string {
		if n == 2 {
			return ""
		}
		return goodSession
	})
	f := newFixture(t, func(o *Options) { o.Endpoint, o.HTTPClient = server.url, nil })

	_, err := f.wechat.Exchange(t.Context(), f.code())
	require.NoError(t, err)
	lost := f.code()
	_, err = f.wechat.Exchange(t.Context(), lost)
	f.fails(t, provider.KindUnavailable, err)
	require.EqualValues(t, 1, server.connections.Load(), "the lost request went over the kept connection")
	_, err = f.wechat.Exchange(t.Context(), f.code())
	require.NoError(t, err)

	require.Len(t, server.requests, 3)
	<-server.requests
	assert.Contains(t, <-server.requests, lost)
	assert.NotContains(t, <-server.requests, lost)
}

// TestNetHTTPReplaysByItself shows why onceTransport exists. When it fails, net/http has changed, and onceTransport
// may be needless.
func TestNetHTTPReplaysByItself(t *testing.T) {
	t.Parallel()
	server := newTCPServer(t, func(n int) string {
		if n == 2 {
			return ""
		}
		return goodSession
	})
	client := &http.Client{Transport: newTransport()}
	for range 2 {
		reply, err := client.Get(server.url)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, reply.Body)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
	}
	assert.Len(t, server.requests, 3)
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	server := newTCPServer(t, func(int) string { return goodSession })
	f := newFixture(t, func(o *Options) { o.Endpoint, o.HTTPClient = server.url, nil })
	for range 3 {
		_, err := f.wechat.Exchange(t.Context(), f.code())
		require.NoError(t, err)
		request := <-server.requests
		assert.Regexp(t, `^GET /sns/jscode2session\?appid=.+ HTTP/1.1\r\n`, request)
		assert.NotContains(t, request, "Transfer-Encoding")
		assert.NotContains(t, request, "Content-Length")
		assert.NotContains(t, request, "Connection: close")
	}
	assert.EqualValues(t, 1, server.connections.Load(), "connections are kept")
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, http.StatusFound)
	}))
	t.Cleanup(server.Close)
	f := newFixture(t, func(o *Options) { o.Endpoint, o.HTTPClient = server.URL, server.Client() })
	_, err := f.wechat.Exchange(t.Context(), f.code())
	f.fails(t, provider.KindUnavailable, err)
	assert.EqualValues(t, 1, calls.Load())
}

func TestDialErrorIsRetriedOnce(t *testing.T) {
	t.Parallel()
	for fails, want := range map[int]bool{1: true, 2: false} {
		f := newFixture(t, nil)
		var calls int
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		f.wechat.client = newClient(Options{Endpoint: "http://wechat.test", HTTPClient: &http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				calls++
				if calls <= fails {
					return nil, refused
				}
				return direct{f.fake}.RoundTrip(r)
			}),
		}})
		_, err := f.wechat.Exchange(t.Context(), f.code())
		if want {
			require.NoError(t, err)
		} else {
			f.fails(t, provider.KindUnavailable, err)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		}
		assert.Equal(t, 2, calls)
	}
}

func TestNoRetryAfterReset(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Reset(), 1)
	_, err := f.wechat.Exchange(t.Context(), f.code())
	f.fails(t, provider.KindUnavailable, err)
	assert.Equal(t, 1, f.fake.Calls(fakewechat.PathCode2Session))
}

func TestRefusedConnection(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	f := newFixture(t, func(o *Options) { o.Endpoint, o.HTTPClient = "http://"+listener.Addr().String(), nil })
	_, err = f.wechat.Exchange(t.Context(), f.code())
	f.fails(t, provider.KindUnavailable, err)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	cases := map[string]any{"value": "a " + testSecret, "error": errors.New(testSecret)}
	for name, value := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *Options) {
				o.HTTPClient = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
					panic(value)
				})}
			})
			_, err := f.wechat.Exchange(t.Context(), f.code())
			f.fails(t, provider.KindUnavailable, err)
			assert.Contains(t, f.logs.String(), "provider call panicked")
			assert.Contains(t, f.logs.String(), "appId="+testAppID)
			f.assertSilent(t, f.logs.String())
		})
	}
}

// roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
