package test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// What the dashboard asks for exists, by those labels, and it shows every metric of ours.
func TestDashboardFitsTheMetrics(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../examples/grafana/minidoor.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	known := metricLabels(t)
	unseen := maps.Clone(known)
	maps.DeleteFunc(unseen, func(name string, _ []string) bool { return !strings.HasPrefix(name, "minidoor_") })
	assert.Greater(t, len(unseen), 15)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			metric := regexp.MustCompile(`(\w+)\{`).FindStringSubmatch(target.Expr)
			require.NotNil(t, metric, target.Expr)
			name := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(metric[1], "")
			require.NotNil(t, known[name], target.Expr)
			labels := append([]string{"job", "instance"}, known[name]...) // Prometheus's own, and ours
			if strings.HasSuffix(metric[1], "_bucket") {
				labels = append(labels, "le")
			}
			for _, asked := range regexp.MustCompile(`(\w+)(?:=~?|!=)"|by \(([\w, ]+)\)|\{\{(\w+)\}\}`).
				FindAllStringSubmatch(target.Expr+target.LegendFormat, -1) {
				assert.Subset(t, labels, strings.Split(asked[1]+asked[2]+asked[3], ", "), target.Expr)
			}
			delete(unseen, name)
		}
	}
	assert.Empty(t, unseen)
}

// metricLabels returns the labels of all metrics that a server may show, by name.
func metricLabels(t *testing.T) map[string][]string {
	t.Helper()
	registry := prometheus.NewRegistry()
	metrics := controllers.NewMetrics(registry, "")
	metrics.WatchStore(nil)
	controllers.NewLimits(controllers.LimitsConfig{Metrics: metrics, Redis: redis.NewClient(&redis.Options{})})
	descs := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descs)
		close(descs)
	}()
	labels := map[string][]string{}
	for desc := range descs {
		found := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{(.*)\}\}`).FindStringSubmatch(desc.String())
		require.NotNil(t, found, desc.String())
		labels[found[1]] = strings.Split(found[2], ",")
	}
	return labels
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
