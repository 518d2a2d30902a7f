package harness

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
)

// PathMetrics is where every server has its metrics, those beside a Casdoor too.
const PathMetrics = "/api/mini-program/metrics"

func (s *Server) limits(o Options, log *slog.Logger, metrics *controllers.Metrics) *controllers.Limits {
	cfg := o.Limits
	cfg.Metrics, cfg.Logger = metrics, log
	if cfg.Now == nil {
		cfg.Now = o.Now
	}
	if cfg.Backlog == nil {
		cfg.Backlog = s.Store.Writing
	}
	return controllers.NewLimits(cfg)
}

// Metric returns the value of a metric, named with its labels in alphabetical order as Prometheus shows it, or 0 where
// it is not shown.
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
	return 0
}

// From returns a Server whose requests come from another address, if the server trusts its proxies to say so.
func (s *Server) From(address string) *Server {
	other := *s
	other.address = address
	return &other
}
