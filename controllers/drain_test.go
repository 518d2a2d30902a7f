package controllers_test

import (
	"testing"

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
