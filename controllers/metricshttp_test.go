package controllers_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
)

func answered(route, method string, status int) string {
	return fmt.Sprintf(`minidoor_http_requests_total{method=%q,route=%q,status="%d"}`, method, route, status)
}

func TestRequestsAreCountedByRoute(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oCounted").AccessToken
	signInWith(t, s, "made-up")
	for range 2 {
		s.Account(t, token)
	}
	s.Call(t, "HEAD", "/api/health", "", nil)
	for _, name := range []string{"one", "two", ":name"} {
		s.Call(t, "GET", "/api/mini-program/push/"+name, "", nil)
	}
	s.Call(t, "PUT", harness.PathAccount, "", nil)
	s.Call(t, "POST", harness.PathProfile, token, harness.Text{ContentType: "application/json", Body: large()})
	for want, metrics := range map[float64][]string{
		1: {
			answered(harness.PathToken, "POST", 200), answered(harness.PathToken, "POST", 400),
			answered("/api/health", "GET", 200), answered(harness.PathAccount, "other", 405),
			answered(harness.PathProfile, "POST", 413),
		},
		2: {
			answered(harness.PathAccount, "GET", 200),
			`minidoor_http_request_seconds_count{route="` + harness.PathToken + `"}`,
		},
		3: {`minidoor_http_request_seconds_count{route="/api/mini-program/push/:name"}`},
	} {
		for _, metric := range metrics { // a request is counted when it has been answered
			assert.Eventually(t, func() bool { return s.Metric(t, metric) == want }, 10*time.Second, 10*time.Millisecond, metric)
		}
	}
}

func large() string { return `{"nickName":"` + strings.Repeat("x", 2<<20) + `"}` }

// Whatever clients ask for, there are not many labels.
func TestRoutesAsLabelsAreFew(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for n := range 50 {
		s.Call(t, "GET", fmt.Sprintf("/api/made-up-%d", n), "", nil)
		s.Call(t, "GET", fmt.Sprintf("/api/mini-program/push/made-up-%d", n), "", nil)
		s.Call(t, "GET", fmt.Sprintf("/.well-known/made-up-%d/jwks", n), "", nil)
		s.Call(t, fmt.Sprintf("METHOD%d", n), harness.PathAccount, "", nil)
	}
	text := s.Call(t, "GET", harness.PathMetrics, harness.MetricsToken, nil).Body
	assert.NotContains(t, text, "made-up")
	assert.NotContains(t, text, "METHOD")
	assert.LessOrEqual(t, strings.Count(text, "\nminidoor_http_requests_total{"), 5)
	assert.InDelta(t, 50, s.Metric(t, answered("unknown", "GET", 404)), 0)
	assert.InDelta(t, 50, s.Metric(t, answered(harness.PathAccount, "other", 405)), 0)
}

// A large body must end the connection, with the metrics on as well.
func TestLargeBodyClosesTheConnection(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	reply, err := http.Post(s.URL+harness.PathToken, "application/json", strings.NewReader(large()))
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	assert.Equal(t, http.StatusRequestEntityTooLarge, reply.StatusCode)
	assert.True(t, reply.Close)
}

func TestPassedOnRequestsAreCounted(t *testing.T) {
	t.Parallel()
	casdoor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		if r.URL.Path == "/odd" {
			w.WriteHeader(799)
		}
		if r.URL.Path == "/down" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		io.WriteString(w, "casdoor") //nolint:errcheck // the client is gone
	}))
	t.Cleanup(casdoor.Close)
	upstream, err := url.Parse(casdoor.URL)
	require.NoError(t, err)
	registry := prometheus.NewRegistry()
	door := controllers.New(controllers.Deps{Upstream: upstream, Metrics: controllers.NewMetrics(registry, "v1")})
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	for _, path := range []string{"/", "/login/a", "/login/b", "/early", "/odd", "/down"} {
		reply, err := http.Get(server.URL + path)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
	}
	counts := map[string]float64{}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != "minidoor_http_requests_total" {
			continue
		}
		for _, metric := range family.Metric {
			labels := map[string]string{}
			for _, label := range metric.Label {
				labels[label.GetName()] = label.GetValue()
			}
			counts[labels["route"]+" "+labels["status"]] = metric.Counter.GetValue()
		}
	}
	assert.Equal(t, map[string]float64{"casdoor 200": 4, "casdoor 503": 1, "casdoor other": 1}, counts)
}
