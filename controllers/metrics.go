package controllers

import (
	"database/sql"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

// Metrics are what Prometheus reads of a server. A nil *Metrics counts nothing. No label holds what a client has sent,
// or whom it is about; the values of each are few. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	signIns       *prometheus.CounterVec
	signedIn      prometheus.Counter // one of signIns
	newUsers      prometheus.Counter
	signInSeconds prometheus.Histogram
	upstream      *prometheus.HistogramVec
	reads, writes accesses
	turnedAway    *prometheus.CounterVec
	swept         *prometheus.CounterVec
	logLost       prometheus.Counter
	errcodes      errcodes
	requests      requests
	platform      platformState
}

// NewMetrics registers the metrics of a build of that version.
func NewMetrics(registry *prometheus.Registry, version string) *Metrics {
	m := &Metrics{
		registry: registry,
		signIns: counters("sign_ins_total", "Sign-ins of mini programs by what they were answered: ok or an OAuth error, "+
			"and the platform's kind of failure and errcode where it was to blame.", "outcome", "kind", "errcode"),
		newUsers: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "new_users_total", Help: "Users who were made by their first sign-in.",
		}),
		signInSeconds: prometheus.NewHistogram(histogram("sign_in_seconds", "How long sign-ins took, all in all.")),
		upstream: prometheus.NewHistogramVec(histogram("upstream_seconds",
			"How long calls of the platform's API took, by call and kind of failure, or ok."), []string{"op", "result"}),
		turnedAway: counters("turned_away_total", "Requests over a limit.", "limit"),
		swept:      counters("swept_rows_total", "Expired rows that were deleted.", "table"),
		logLost: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "sign_in_log_lost_total", Help: "Lines that the log of sign-ins has lost.",
		}),
		errcodes: errcodes{known: map[int]string{0: ""}},
		requests: newRequests(),
	}
	m.signedIn = m.signIns.WithLabelValues("ok", "", "")
	database := prometheus.NewHistogramVec(histogram("database_seconds",
		"How long reads and transactions took, with the wait for a connection or a shared commit."), []string{"op"})
	databaseErrors := counters("database_errors_total", "Reads and transactions that failed.", "op")
	m.reads = accesses{database.WithLabelValues("read"), databaseErrors.WithLabelValues("read")}
	m.writes = accesses{database.WithLabelValues("write"), databaseErrors.WithLabelValues("write")}
	for _, reason := range limitReasons() { // what is 0 is shown, too
		m.turnedAway.WithLabelValues(reason)
	}
	build := gauges("build_info", "1, with what runs.", "version", "goversion")
	build.WithLabelValues(version, runtime.Version()).Set(1)
	registry.MustRegister(
		m.signIns, m.newUsers, m.signInSeconds, m.upstream, breakerCollector{&m.platform},
		database, databaseErrors, m.turnedAway, m.swept,
		m.logLost,
		m.requests.answered, m.requests.took, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

const namespace = "minidoor"

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}
}

// signIn counts a sign-in that was answered with a token or an error.
func (m *Metrics) signIn(took time.Duration, token *object.Token, err error) {
	if m == nil {
		return
	}
	m.signInSeconds.Observe(took.Seconds())
	if err != nil {
		kind, code := "", 0
		if upstream, ok := errors.AsType[*provider.Error](err); ok {
			kind, code = upstream.Kind.String(), upstream.Code
		}
		m.signIns.WithLabelValues(string(apiError(err).Code), kind, m.errcodes.label(code)).Inc()
		return
	}
	m.signedIn.Inc()
	if token.NewUser {
		m.newUsers.Inc()
	}
}

// Called implements idp.Observer.
func (m *Metrics) Called(op string, took time.Duration, err error) {
	result := "ok"
	if upstream, ok := errors.AsType[*provider.Error](err); ok {
		result = upstream.Kind.String()
	}
	m.upstream.WithLabelValues(op, result).Observe(took.Seconds())
	m.platform.called(err)
}

// Breaker implements idp.Observer.
func (m *Metrics) Breaker(appID, op string, until time.Time) {
	m.platform.breaker(breaker{appID, op}, until)
}

// Read implements object.Observer.
func (m *Metrics) Read(took time.Duration, err error) { m.reads.count(took, err) }

// Written implements object.Observer.
func (m *Metrics) Written(took time.Duration, err error) { m.writes.count(took, err) }

// accesses are one kind of access to the database.
type accesses struct {
	took   prometheus.Observer
	failed prometheus.Counter
}

func (a accesses) count(took time.Duration, err error) {
	a.took.Observe(took.Seconds())
	if err != nil {
		a.failed.Inc()
	}
}

// Swept counts rows that a sweep has deleted.
func (m *Metrics) Swept(table string, rows int64) { m.swept.WithLabelValues(table).Add(float64(rows)) }

// LogLost counts lines that the log of sign-ins has lost.
func (m *Metrics) LogLost(lines int) { m.logLost.Add(float64(lines)) }

func (m *Metrics) limited(reason string) {
	if m != nil {
		m.turnedAway.WithLabelValues(reason).Inc()
	}
}

// watchLimits shows how full the server is, and whether limits are shared.
func (m *Metrics) watchLimits(l *Limits, shared *sharedLimits) {
	if m == nil {
		return
	}
	m.show("sign_ins_in_flight", "Sign-ins that are under way.", l.signIns.count)
	m.show("waiting_requests", "Requests that are at or wait for a signature or the database.", l.working.count)
	if shared != nil {
		m.show("redis_up", "1 while limits are shared through Redis, 0 while it does not answer.", func() int64 {
			if shared.down.Load() {
				return 0
			}
			return 1
		})
	}
}

func (m *Metrics) show(name, help string, value func() int64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, func() float64 { return float64(value()) }))
}

// WatchStore shows how busy the database's connections are, and how many writes wait for it.
func (m *Metrics) WatchStore(store *object.Store) {
	m.show("database_writes", "Transactions that run or wait for a connection or a shared commit.", func() int64 {
		return int64(store.Writing())
	})
	m.registry.MustRegister(poolCollector{store})
}

// poolCollector shows the connections to the database.
type poolCollector struct{ store *object.Store }

var (
	poolConnections = describe("database_connections", "Connections by what they are: in use or idle.", "pool", "state")
	poolLimit       = describe("database_connections_max", "How many connections there may be.", "pool")
	poolWaits       = describe("database_waits_total", "How often somebody waited for a connection.", "pool")
	poolWaited      = describe("database_wait_seconds_total", "How long they waited.", "pool")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// Describe implements prometheus.Collector.
func (poolCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{poolConnections, poolLimit, poolWaits, poolWaited} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c poolCollector) Collect(metrics chan<- prometheus.Metric) {
	for pool, stats := range c.store.Pools() {
		collectPool(metrics, pool, stats)
	}
}

func collectPool(metrics chan<- prometheus.Metric, pool string, stats sql.DBStats) {
	show := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, kind, value, append([]string{pool}, labels...)...)
	}
	show(poolConnections, prometheus.GaugeValue, float64(stats.InUse), "in_use")
	show(poolConnections, prometheus.GaugeValue, float64(stats.Idle), "idle")
	show(poolLimit, prometheus.GaugeValue, float64(stats.MaxOpenConnections))
	show(poolWaits, prometheus.CounterValue, float64(stats.WaitCount))
	show(poolWaited, prometheus.CounterValue, stats.WaitDuration.Seconds())
}

// breakerCollector shows which breakers are open.
type breakerCollector struct{ platform *platformState }

var breakerOpen = describe("breaker_open", "1 while calls of an API are refused because it is down.", "app_id", "op")

// Describe implements prometheus.Collector.
func (breakerCollector) Describe(descs chan<- *prometheus.Desc) { descs <- breakerOpen }

// Collect implements prometheus.Collector.
func (c breakerCollector) Collect(metrics chan<- prometheus.Metric) {
	for b, refuses := range c.platform.breakers() {
		value := 0.0
		if refuses {
			value = 1
		}
		metrics <- prometheus.MustNewConstMetric(breakerOpen, prometheus.GaugeValue, value, b.appID, b.op)
	}
}

// errcodes gives the label of an errcode. The platform chooses them; past maxErrcodes different ones the rest are
// "other".
type errcodes struct {
	mu    sync.Mutex
	known map[int]string
}

const maxErrcodes = 50

func (e *errcodes) label(code int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	label, known := e.known[code]
	switch {
	case known:
		return label
	case len(e.known) > maxErrcodes:
		return "other"
	}
	label = strconv.Itoa(code)
	e.known[code] = label
	return label
}
