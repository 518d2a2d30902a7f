package controllers

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
)

// stillPool is a poolCollector of what does not change.
type stillPool struct {
	poolCollector

	stats sql.DBStats
}

// Collect implements prometheus.Collector.
func (p stillPool) Collect(metrics chan<- prometheus.Metric) { collectPool(metrics, "all", p.stats) }

// Whoever sees that sign-ins wait for connections can tell how many, how long, and how many there are.
func TestMetricsOfAPool(t *testing.T) {
	t.Parallel()
	pool := stillPool{stats: sql.DBStats{
		InUse: 1, Idle: 2, MaxOpenConnections: 3, WaitCount: 4, WaitDuration: 5500 * time.Millisecond, OpenConnections: 6,
	}}
	assert.NoError(t, testutil.CollectAndCompare(pool, strings.NewReader(`
# HELP minidoor_database_connections Connections by what they are: in use or idle.
# TYPE minidoor_database_connections gauge
minidoor_database_connections{pool="all",state="idle"} 2
minidoor_database_connections{pool="all",state="in_use"} 1
# HELP minidoor_database_connections_max How many connections there may be.
# TYPE minidoor_database_connections_max gauge
minidoor_database_connections_max{pool="all"} 3
# HELP minidoor_database_wait_seconds_total How long they waited.
# TYPE minidoor_database_wait_seconds_total counter
minidoor_database_wait_seconds_total{pool="all"} 5.5
# HELP minidoor_database_waits_total How often somebody waited for a connection.
# TYPE minidoor_database_waits_total counter
minidoor_database_waits_total{pool="all"} 4
`)))
}
