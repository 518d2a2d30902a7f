package harness

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// PathMetrics is where every server has its metrics, those beside a Casdoor too.
const PathMetrics = "/api/mini-program/metrics"

// Metric returns the value of a metric, named with its labels in alphabetical order as Prometheus shows it, or NaN,
// which equals nothing, where it is not shown.
func (s *Server) Metric(t testing.TB, name string) float64 {
	t.Helper()
	reply := s.Call(t, http.MethodGet, PathMetrics, MetricsToken, nil)
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	for line := range strings.Lines(reply.Body) {
		if text, found := strings.CutPrefix(line, name+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			require.NoError(t, err)
			return value
		}
	}
	return math.NaN()
}
