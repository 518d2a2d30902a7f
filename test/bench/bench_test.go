package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse(nil, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []string{"sqlite"}, o.databases)
	assert.Equal(t, []int{1}, o.instances)
	assert.Equal(t, []int{1000, 2000000}, o.users)
	assert.Len(t, o.algorithms, 3)
	assert.Equal(t, 2000, o.crowd)
	assert.Equal(t, 80*time.Millisecond, o.latency)
	assert.Equal(t, 32, o.workers)
	assert.Equal(t, 5*time.Second, o.duration)

	o, err = parse([]string{"-smoke", "-c", "4", "-floor", "here"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []int{200}, o.users)
	assert.Contains(t, o.databases, "sqlite")
	assert.Equal(t, []int{1, 2}, o.instances)
	assert.Less(t, o.duration, time.Second)
	assert.Equal(t, 4, o.workers)
	assert.Equal(t, "here", o.floor)

	for _, args := range []string{
		"-users x", "-users 0", "-users 10,", "-alg HS256", "-db oracle", "-db sqlite,", "-instances 0", "-crowd -1",
		"-c 0", "-rounds 0", "-d 0s", "-unknown",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		assert.Error(t, err, args)
	}
}

func TestRequestsAreHTTP(t *testing.T) {
	t.Parallel()
	read := func(request []byte) (*http.Request, string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(request))))
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r, string(body)
	}
	tokens := []string{"token-0", "token-1"}

	a := algorithms()["ES256"]
	signIn := signInRequests(a, func(series, worker, n int) string { return openID(n) })
	r, body := read(signIn(nil, 7, 1, 2))
	assert.Equal(t, "POST /api/login/oauth/access_token", r.Method+" "+r.URL.String())
	assert.Equal(t, "tag=wechat_miniprogram&client_id=bench-ES256&code=u:"+openID(2)+"::7-1-2", body)

	r, body = read(accountRequests(tokens)(nil, 7, 1, 2))
	assert.Equal(t, "GET /api/get-account", r.Method+" "+r.URL.String())
	assert.Equal(t, "Bearer token-1", r.Header.Get("Authorization"))
	assert.Empty(t, body)

	r, body = read(updateRequests(tokens, 1)(nil, 7, 1, 2))
	assert.Equal(t, "bench/wechat-"+openID(0), r.URL.Query().Get("id"), "a worker more than there are users shares one")
	assert.Equal(t, "Bearer token-1", r.Header.Get("Authorization"))
	assert.Contains(t, body, `"displayName":"name 7-1-2"`)
}

func TestLoadCountsEveryAnswer(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		io.WriteString(w, `{"status":"ok"}`) //nolint:errcheck // the client is gone
	}))
	defer server.Close()
	l := load{
		addresses: []string{server.Listener.Addr().String()}, workers: 3, duration: 50 * time.Millisecond, want: []byte("ok"),
		request: func(buf []byte, worker, n int) []byte {
			return accountRequests([]string{"", "", ""})(buf, 0, worker, n)
		},
	}
	s, err := l.run(t.Context())
	require.NoError(t, err)
	assert.Positive(t, s.P50)
	assert.GreaterOrEqual(t, s.P99, s.P50)
	assert.LessOrEqual(t, s.Rate*l.duration.Seconds(), float64(served.Load()))

	l.want = []byte("another answer")
	_, err = l.run(t.Context())
	assert.ErrorContains(t, err, `wrong answer: 200 {"status":"ok"}`)
}

// At an even pace a request that comes while all workers wait has waited since it was due.
func TestLoadAtAnEvenPace(t *testing.T) {
	t.Parallel()
	const slow, interval = 60 * time.Millisecond, 10 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(slow)
		io.WriteString(w, "ok") //nolint:errcheck // the client is gone
	}))
	defer server.Close()
	l := load{
		addresses: []string{server.Listener.Addr().String()}, workers: 1, interval: interval, duration: 5 * interval,
		want: []byte("ok"), request: func(buf []byte, _, _ int) []byte {
			return accountRequests([]string{""})(buf, 0, 0, 0)
		},
	}
	s, err := l.run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 5, s.Count)
	assert.GreaterOrEqual(t, s.P99, 5*slow-4*interval)

	l.workers = 5
	s, err = l.run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 5, s.Count)
	assert.GreaterOrEqual(t, s.P50, slow)
}

func TestLoadCountsFailures(t *testing.T) {
	t.Parallel()
	var served, failed atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 1 { // on a busy machine there may be no other
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		io.WriteString(w, "ok") //nolint:errcheck // the client is gone
	}))
	defer server.Close()
	l := load{
		addresses: []string{server.Listener.Addr().String()}, workers: 1, duration: 50 * time.Millisecond,
		want: []byte("ok"), failed: &failed, request: func(buf []byte, _, _ int) []byte {
			return accountRequests([]string{""})(buf, 0, 0, 0)
		},
	}
	s, err := l.run(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, failed.Load())
	assert.EqualValues(t, served.Load()-1, s.Count)
}

func TestTargets(t *testing.T) {
	t.Parallel()
	b := bench{
		options: options{instances: []int{1, 2}}, sites: []*site{{kind: "sqlite", users: 10}, {kind: "postgres", users: 10}},
	}
	all, left := b.targets()
	assert.Equal(t, []target{{b.sites[0], 1}, {b.sites[1], 1}, {b.sites[1], 2}}, all)
	require.Len(t, left, 1)
	assert.Contains(t, left[0], "sqlite, 2 instances, 10 users: n/a")
}

func TestSignaturesCostWhatTheyShould(t *testing.T) {
	t.Parallel()
	rsa, err := algorithms()["RS256"].cost()
	require.NoError(t, err)
	ecdsa, err := algorithms()["ES256"].cost()
	require.NoError(t, err)
	assert.Greater(t, rsa, ecdsa)
}
