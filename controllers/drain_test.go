package controllers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
)

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

// A gateway lets go of those whom its Casdoor answers, too.
func TestDrainingGateway(t *testing.T) {
	t.Parallel()
	casdoor := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(casdoor.Close)
	upstream, err := url.Parse(casdoor.URL)
	require.NoError(t, err)
	draining := make(chan struct{})
	door := controllers.New(controllers.Deps{Upstream: upstream, Draining: draining})
	connection := func() string {
		w := httptest.NewRecorder()
		door.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/login", nil))
		assert.Equal(t, http.StatusOK, w.Code)
		return w.Header().Get("Connection")
	}
	assert.Empty(t, connection())
	close(draining)
	assert.Equal(t, "close", connection())
}
