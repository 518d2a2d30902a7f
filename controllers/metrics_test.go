package controllers_test

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

func TestWhoMayReadMetrics(t *testing.T) {
	t.Parallel()
	const builtInApp, adminApp = "builtinclient000000", "adminclient00000000"
	inBuiltIn := harness.App("app-ops", builtInApp, harness.Provider)
	inBuiltIn["organization"] = "built-in"
	shared := harness.App("app-shared", "sharedclient0000000", harness.Provider)
	shared["isShared"] = true
	s := harness.Start(t, harness.Options{Rows: harness.Rows{"applications": {inBuiltIn, shared}}})
	shopper := s.SignIn(t, "oShopper").AccessToken
	s.Exec(t, "UPDATE user SET is_admin=1 WHERE name='wechat-oBoss'")
	form := harness.SignInForm(s.NewCode("oAdmin"))
	form.Set("client_id", builtInApp)
	admin := s.Call(t, "POST", harness.PathToken, "", form).Tokens(t).AccessToken
	s.Exec(t, "UPDATE user SET is_admin=1 WHERE name IN ('wechat-oAdmin', 'wechat-oShopBoss')")
	form.Set("code", s.NewCode("oNobody"))
	nobody := s.Call(t, "POST", harness.PathToken, "", form).Tokens(t).AccessToken
	shopBoss := s.SignIn(t, "oShopBoss").AccessToken
	s.Exec(t, "UPDATE user SET is_admin=1 WHERE name='wechat-oShopBoss'")

	for name, c := range map[string]struct {
		header map[string]string
		status int
	}{
		"metrics token":         {bearer(harness.MetricsToken), 200},
		"admin":                 {bearer(admin), 200},
		"built-in application":  {basic(builtInApp, harness.ClientSecret), 200},
		"anybody":               {nil, 401},
		"half a token":          {bearer(harness.MetricsToken[:10]), 401},
		"empty token":           {bearer(""), 401},
		"user":                  {bearer(shopper), 403},
		"user of built-in":      {bearer(nobody), 403},
		"admin of another":      {bearer(shopBoss), 403},
		"another application":   {basic(harness.ClientID, harness.ClientSecret), 403},
		"a shared application":  {basic("sharedclient0000000-org-built-in", harness.ClientSecret), 401},
		"wrong secret":          {basic(builtInApp, "x"), 401},
		"unknown application":   {basic(adminApp, harness.ClientSecret), 401},
		"no secret":             {basic(builtInApp, ""), 401},
		"metrics token as user": {basic(harness.MetricsToken, harness.MetricsToken), 401},
	} {
		for _, path := range []string{"/api/metrics", harness.PathMetrics} {
			t.Run(name+" "+path, func(t *testing.T) {
				w := scenario{method: "GET", path: path, header: c.header}.send(s.Handler)
				require.Equal(t, c.status, w.Code, w.Body.String())
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				assert.Equal(t, c.status == 200, strings.Contains(w.Body.String(), "minidoor_build_info"))
				assert.Equal(t, c.status == 401, w.Header().Get("WWW-Authenticate") != "")
			})
		}
	}
}

func TestMetricsWithoutAToken(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Deps: func(deps *controllers.Deps) { deps.MetricsToken = "" }})
	for _, token := range []string{"", harness.MetricsToken} {
		assert.Equal(t, 401, scenario{method: "GET", path: "/api/metrics", header: bearer(token)}.send(s.Handler).Code)
	}
}

// Where there is no console, a cookie of one is nobody's.
func TestMetricsWithoutAConsole(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Deps: func(deps *controllers.Deps) { deps.Console, deps.Authority = nil, nil }})
	cookie := map[string]string{"Cookie": "minidoor_session=made-up"}
	scenario{method: "GET", path: harness.PathMetrics, header: cookie, status: 401}.run(t, s.Handler)
}

func TestMetricsOff(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Deps: func(deps *controllers.Deps) { deps.Metrics = nil }})
	s.SignIn(t, "oUnseen")
	assert.Equal(t, 404, s.Call(t, "GET", "/api/metrics", harness.MetricsToken, nil).Status)
}

func TestMetricsTellWhatHappened(t *testing.T) {
	t.Parallel()
	s, start := harness.Start(t, harness.Options{}), time.Now()
	for range 2 {
		s.SignIn(t, "oSeen")
	}
	signInWith(t, s, "made-up")
	for _, fault := range []fakewechat.Fault{fakewechat.Errcode(45011), fakewechat.Errcode(40164), fakewechat.Status(502)} {
		s.Fake.Inject(fakewechat.PathCode2Session, fault, 1)
		signInWith(t, s, s.NewCode("oSeen"))
	}
	signInWith(t, s, "")
	for metric, want := range map[string]float64{
		`minidoor_sign_ins_total{errcode="",kind="",outcome="ok"}`:                                        2,
		`minidoor_sign_ins_total{errcode="",kind="",outcome="invalid_request"}`:                           1,
		`minidoor_sign_ins_total{errcode="40029",kind="invalid_code",outcome="invalid_grant"}`:            1,
		`minidoor_sign_ins_total{errcode="45011",kind="throttled",outcome="slow_down"}`:                   1,
		`minidoor_sign_ins_total{errcode="40164",kind="misconfigured",outcome="temporarily_unavailable"}`: 1,
		`minidoor_sign_ins_total{errcode="",kind="unavailable",outcome="temporarily_unavailable"}`:        1,
		`minidoor_new_users_total`:                                                                     1,
		`minidoor_sign_in_seconds_count`:                                                               7,
		`minidoor_sign_in_seconds_bucket{le="10"}`:                                                     7,
		`minidoor_upstream_seconds_count{op="code2Session",result="ok"}`:                               2,
		`minidoor_upstream_seconds_count{op="code2Session",result="unavailable"}`:                      1,
		`minidoor_breaker_open{app_id="` + harness.AppID + `",op="code2Session"}`:                      0,
		`minidoor_build_info{goversion="` + runtime.Version() + `",version="` + harness.Version + `"}`: 1,
		`minidoor_database_connections_max{pool="write"}`:                                              1,
		`minidoor_database_errors_total{op="write"}`:                                                   0,
		`minidoor_database_writes`:                                                                     0,
		`minidoor_sign_ins_in_flight`:                                                                  0,
		`minidoor_turned_away_total{limit="passed_on"}`:                                                0,
	} {
		assert.InDelta(t, want, s.Metric(t, metric), 0, metric)
	}
	elapsed := time.Since(start).Seconds()
	for _, took := range []string{
		`minidoor_sign_in_seconds_sum`, `minidoor_upstream_seconds_sum{op="code2Session",result="ok"}`,
		`minidoor_database_seconds_sum{op="read"}`, `minidoor_database_seconds_sum{op="write"}`,
		`minidoor_http_request_seconds_sum{route="` + harness.PathToken + `"}`,
	} {
		assert.Positive(t, s.Metric(t, took), took)
		assert.Less(t, s.Metric(t, took), 10*elapsed, "%s: in seconds, of some at a time", took)
	}
	assert.GreaterOrEqual(t, s.Metric(t, `minidoor_database_seconds_count{op="write"}`), 2.0)
	assert.GreaterOrEqual(t, s.Metric(t, `minidoor_database_seconds_count{op="read"}`), 2.0)
	assert.Positive(t, s.Metric(t, "go_goroutines"))
	assert.Positive(t, s.Metric(t, "process_resident_memory_bytes"))

	s.Store.Close()
	signInWith(t, s, s.NewCode("oSeen"))
	assert.Positive(t, s.Metric(t, `minidoor_database_errors_total{op="read"}`))
}

// What happens several times at once is counted so many times, and under its own name.
func TestMetricsCountAll(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := controllers.NewMetrics(registry, "v1")
	m.Swept("token", 3)
	m.Swept("token", 4)
	m.Swept("log", 5)
	m.LogLost(6)
	m.Read(time.Second, io.EOF)
	for range 2 {
		m.Written(time.Second, io.EOF)
	}
	assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP minidoor_database_errors_total Reads and transactions that failed.
# TYPE minidoor_database_errors_total counter
minidoor_database_errors_total{op="read"} 1
minidoor_database_errors_total{op="write"} 2
# HELP minidoor_sign_in_log_lost_total Lines that the log of sign-ins has lost.
# TYPE minidoor_sign_in_log_lost_total counter
minidoor_sign_in_log_lost_total 6
# HELP minidoor_swept_rows_total Expired rows that were deleted.
# TYPE minidoor_swept_rows_total counter
minidoor_swept_rows_total{table="log"} 5
minidoor_swept_rows_total{table="token"} 7
`), "minidoor_database_errors_total", "minidoor_sign_in_log_lost_total", "minidoor_swept_rows_total"))
}

// Whatever WeChat makes up, there are not many labels.
func TestLabelsAreFew(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for code := range 80 {
		s.Fake.Inject(fakewechat.PathCode2Session, fakewechat.Errcode(50100+code), 1)
		signInWith(t, s, s.NewCode("oMany"))
	}
	const other = `minidoor_sign_ins_total{errcode="other",kind="unavailable",outcome="temporarily_unavailable"}`
	assert.InDelta(t, 30, s.Metric(t, other), 0)
	s.Fake.Inject(fakewechat.PathCode2Session, fakewechat.Errcode(50100), 1)
	signInWith(t, s, s.NewCode("oMany"))
	first := strings.Replace(other, "other", "50100", 1)
	assert.InDelta(t, 2, s.Metric(t, first), 0, "what has a label keeps it")
}

func TestMetricNamesAreInOrder(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := controllers.NewMetrics(registry, "v1")
	m.Called("code2Session", time.Second, &provider.Error{Kind: provider.KindThrottled})
	m.Breaker("wx1", "code2Session", time.Now().Add(time.Minute))
	m.Swept("token", 1)
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	assert.Empty(t, problems)
}
