package controllers_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
)

// Headers are refused before a handler has seen them, when they are larger than anyone needs.
func TestHugeHeaders(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	go func() { ended <- controllers.Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	for size, status := range map[int]int{16 << 10: http.StatusOK, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
		require.NoError(t, err)
		r.Header.Set("X-Filler", strings.Repeat("x", size))
		reply, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_ = reply.Body.Close()
		assert.Equal(t, status, reply.StatusCode)
	}
	cancel()
	assert.NoError(t, <-ended)
}

// A server that is about to end says so where balancers look, goes on serving, and lets go of its clients.
func TestDraining(t *testing.T) {
	t.Parallel()
	draining := make(chan struct{})
	s := harness.Start(t, harness.Options{Deps: func(d *controllers.Deps) { d.Draining = draining }})
	for _, path := range []string{"/api/health", "/api/mini-program/health"} {
		scenario{method: "GET", path: path, status: 200, reply: map[string]string{"Connection": ""}}.run(t, s.Handler)
	}
	close(draining)
	for _, path := range []string{"/api/health", "/api/mini-program/health"} {
		scenario{
			method: "GET", path: path, status: 503, has: []string{"about to end"},
			reply: map[string]string{"Connection": "close", "Retry-After": "5"},
		}.run(t, s.Handler)
	}
	scenario{body: signIn(s.NewCode("oLate")), status: 200, reply: map[string]string{"Connection": "close"}}.run(t, s.Handler)
}
