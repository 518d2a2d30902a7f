package test

import (
	"net/http"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// What the dashboard asks for exists, and it shows every metric of ours.
func TestDashboardFitsTheMetrics(t *testing.T) {
	t.Parallel()
	dashboard, err := os.ReadFile("../examples/grafana/minidoor.json")
	require.NoError(t, err)
	var source []byte
	for _, file := range []string{"metrics.go", "metricshttp.go"} {
		text, err := os.ReadFile("../controllers/" + file)
		require.NoError(t, err)
		source = append(source, text...)
	}
	asked := map[string]bool{}
	suffix := regexp.MustCompile(`_(bucket|count|sum)$`)
	for _, name := range regexp.MustCompile(`minidoor_[a-z_]+`).FindAllString(string(dashboard), -1) {
		asked[suffix.ReplaceAllString(name, "")] = true
	}
	known := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?:counters|gauges|histogram|show|describe)\("([a-z_]+)"|Name: "([a-z_]+)"`).
		FindAllStringSubmatch(string(source), -1) {
		known["minidoor_"+name[1]+name[2]] = true
	}
	assert.Greater(t, len(known), 15)
	assert.Equal(t, known, asked)
}

// In a gateway, Casdoor's path is Casdoor's.
func TestMetricsOfAGateway(t *testing.T) {
	t.Parallel()
	s, _ := harness.StartGateway(t, testdb.Kinds()[0].Casdoor(t), harness.Options{})
	assert.InDelta(t, 1, s.Metric(t, `minidoor_database_connections_max{pool="write"}`), 0)
	reply := s.Call(t, "GET", "/api/metrics", harness.MetricsToken, nil)
	assert.NotContains(t, reply.Body, "minidoor_")
	assert.Equal(t, http.StatusUnauthorized, s.Call(t, "GET", harness.PathMetrics, "x", nil).Status)
}
