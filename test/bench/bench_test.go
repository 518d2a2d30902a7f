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
	assert.Equal(t, []int{1000, 500000}, o.users)
	assert.Len(t, o.algorithms, 3)
	assert.Equal(t, 32, o.workers)
	assert.Equal(t, 5*time.Second, o.duration)

	o, err = parse([]string{"-smoke", "-c", "4", "-floor", "here"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []int{200}, o.users)
	assert.Equal(t, time.Second, o.duration)
	assert.Equal(t, 4, o.workers)
	assert.Equal(t, "here", o.floor)

	for _, args := range []string{
		"-users x", "-users 0", "-users 10,", "-alg HS256", "-c 0", "-rounds 0", "-d 0s", "-unknown",
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

func TestOpenIDsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for n := range 1000 {
		seen[openID(n)] = true
		assert.Len(t, openID(n), 28, "as long as WeChat's")
	}
	assert.Len(t, seen, 1000)
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
		address: server.Listener.Addr().String(), workers: 3, duration: 50 * time.Millisecond, want: []byte("ok"),
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
