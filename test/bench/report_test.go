package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	upTo := func(n int) []time.Duration {
		var all []time.Duration
		for i := range n {
			all = append(all, time.Duration(i+1))
		}
		return all
	}
	for _, c := range []struct {
		count, p int
		want     time.Duration
	}{
		{0, 50, 0},
		{1, 50, 1}, {1, 99, 1},
		{2, 50, 1}, {3, 50, 2}, {2, 99, 2},
		{100, 50, 50}, {100, 90, 90}, {100, 99, 99}, {101, 99, 100},
		{1000, 99, 990},
	} {
		assert.Equal(t, c.want, percentile(upTo(c.count), c.p), "p%d of %d", c.p, c.count)
	}
}

func TestNewSampleSortsAndCounts(t *testing.T) {
	t.Parallel()
	s := newSample([]time.Duration{3, 1, 2, 4}, 2*time.Second)
	assert.Equal(t, sample{Count: 4, Rate: 2, P50: 2, P90: 4, P99: 4}, s)
	assert.Equal(t, sample{}, newSample(nil, time.Second))
}

func rates(rates ...float64) []sample {
	samples := make([]sample, len(rates))
	for i, r := range rates {
		samples[i] = sample{Rate: r, P50: time.Duration(r) * time.Millisecond, P99: time.Duration(2*r) * time.Millisecond}
	}
	return samples
}

func TestMedian(t *testing.T) {
	t.Parallel()
	assert.Equal(t, sample{}, median(nil, byRate))
	assert.Equal(t, rates(7)[0], median(rates(7), byRate))
	assert.Equal(t, rates(5)[0], median(rates(9, 1, 5), byRate), "with the latencies of the same round")
	assert.Equal(t, rates(3)[0], median(rates(9, 1, 5, 3), byRate))
}

func TestNewRowsCompareRounds(t *testing.T) {
	t.Parallel()
	few, many := &site{kind: "sqlite", users: 10}, &site{kind: "sqlite", users: 500}
	other := &site{kind: "mysql", users: 500}
	got := newRows(newSignIn, es256, []target{{few, 1}, {many, 1}, {other, 1}, {other, 2}}, []samples{
		{rates(100, 125, 500), nil, nil},
		{rates(90, 100, 500), rates(100, 200, 400), nil}, // the machine has become faster meanwhile
		{rates(72, 80, 600), nil, nil},
		{rates(144, 160, 100), nil, nil},
	})
	assert.Equal(t, row{
		Operation: newSignIn, Algorithm: es256, DB: "sqlite", Instances: 1, Users: 500,
		Rate: 100, Low: 90, High: 500, P50: 100, P99: 200, Floor: 200, FloorP99: 400, Share: 0.9, OfFirst: 0.9,
	}, got[1])
	assert.Zero(t, got[0].Share, "there is no share without floor")
	assert.Equal(t, []float64{0, 0, 0.8, 1.6},
		[]float64{got[0].OfSQLite, got[1].OfSQLite, got[2].OfSQLite, got[3].OfSQLite})
	assert.InDelta(t, 1, got[3].OfFirst, 0, "is the first with two instances")
}

// TestHalfRate: all rounds have the same rate, so that the median one is that of the latencies.
func TestHalfRate(t *testing.T) {
	t.Parallel()
	of := func(p99s ...time.Duration) []sample {
		samples := make([]sample, len(p99s))
		for i, p99 := range p99s {
			samples[i] = sample{Rate: float64(100 - i), P50: p99 - time.Millisecond, P99: p99}
		}
		return samples
	}
	const ms = time.Millisecond
	got := newRows(halfRate, rs2048, []target{{&site{kind: "sqlite", users: 10}, 1}}, []samples{
		{ours: of(99*ms, 88*ms, 87*ms), floor: of(90*ms, 86*ms, 80*ms), wechat: of(83*ms, 84*ms, 85*ms)},
	})
	assert.Equal(t, []row{{
		Operation: halfRate, Algorithm: rs2048, DB: "sqlite", Instances: 1, Users: 10,
		Rate: 99, Low: 98, High: 100, P50: 87, P99: 88, FloorP99: 86, WeChatP99: 84, OfFirst: 1,
	}}, got)
}

func good() *report {
	returning := func(algorithm string, share float64) row {
		return row{Operation: returningSignIn, Algorithm: algorithm, DB: "sqlite", Instances: 1, Users: 1000,
			Rate: 85, Low: 80, High: 90, Floor: 100, FloorP99: 70, Share: share, OfFirst: 1}
	}
	other := func(operation string, rate, p99 float64) row {
		return row{Operation: operation, Algorithm: rs2048, DB: "mysql", Instances: 2, Users: 2000,
			Rate: rate, P99: p99, OfFirst: 0.95, OfSQLite: 0.8}
	}
	half := other(halfRate, 42, 86)
	half.WeChatP99 = 83
	return &report{
		LatencyMS: 80, SignatureMS: map[string]float64{rs2048: 2, rs4096: 10, es256: 0.1},
		Rows: []row{
			returning(rs2048, 0.9), returning(rs4096, 0.9), returning(es256, 0.65),
			other(newSignIn, 85, 500), other(accountRead, 8000, 500), other(profileUpdate, 2000, 500),
			half,
		},
		Crowds: []crowd{{DB: "mysql", Users: 2000, InFlight: 2000, SignIns: 4000, Rate: 800, Floor: 1000, PeakMiB: 200}},
		Idle:   []idle{{DB: "sqlite", Users: 1000, MiB: 40}},
	}
}

func TestMissed(t *testing.T) {
	t.Parallel()
	require.Empty(t, good().missed(), "what is just enough is enough")
	const here, there = ", sqlite, 1 instances, 1000 users: ", ", mysql, 2 instances, 2000 users: "
	for _, c := range []struct {
		says  string
		spoil func(*report)
	}{
		{"RS256-2048" + here + "the share of floor is 0.89", func(r *report) { r.Rows[0].Share = 0.89 }},
		{"RS256-4096" + here + "the share of floor is 0.89", func(r *report) { r.Rows[1].Share = 0.89 }},
		{"ES256" + here + "the share of floor is 0.64", func(r *report) { r.Rows[2].Share = 0.64 }},
		{"RS256-2048" + there + "the share of SQLite's rate is 0.79", func(r *report) { r.Rows[3].OfSQLite = 0.79 }},
		{"account read, RS256-2048" + there + "the rate is 7999.00", func(r *report) { r.Rows[4].Rate = 7999 }},
		{"profile update, RS256-2048" + there + "the rate is 1999.00", func(r *report) { r.Rows[5].Rate = 1999 }},
		{"profile update, RS256-2048" + there + "the share of the rate", func(r *report) { r.Rows[5].OfFirst = 0.94 }},
		{"half rate, RS256-2048" + there + "p99 is 86.10 ms, more than 86.00 " +
			"(floor's is -, that of WeChat's answers alone 83.00)", func(r *report) { r.Rows[6].P99 = 86.1 }},
		{"2000 in flight, mysql, 2000 users: 1 sign-ins fail", func(r *report) { r.Crowds[0].Failures = 1 }},
		{"2000 in flight, mysql, 2000 users: peak memory is 200.1", func(r *report) { r.Crowds[0].PeakMiB = 200.1 }},
		{"sqlite, 1000 users: idle memory is 40.1 MiB", func(r *report) { r.Idle[0].MiB = 40.1 }},
	} {
		r := good()
		c.spoil(r)
		missed := r.missed()
		require.Len(t, missed, 1, c.says)
		assert.Contains(t, missed[0], c.says)
	}
	r := good()
	r.Rows[6].Algorithm, r.Rows[6].P99 = es256, 100
	assert.Empty(t, r.missed(), "ES256 has no such target")
}

func TestPrintShowsSharesWhereThereAreSome(t *testing.T) {
	t.Parallel()
	r := good()
	r.Machine, r.Workers, r.Seconds, r.Rounds, r.Left = "2 CPUs", 32, 5, 3, []string{"sqlite, 2 instances: n/a"}
	var out bytes.Buffer
	r.print(&out)
	assert.Contains(t, out.String(), "32 requests at a time, 5 s each, median of 3.")
	assert.Regexp(t, `sign-in, returning +RS256-2048 +sqlite +1 +1000 +85 +80 +90 +0.00 +0.00 +0.00 +100 +70.00 +- +0.90 +1.00 +-`,
		out.String())
	assert.Regexp(t, `account read +RS256-2048 +mysql +2 +2000 +8000 .* 500.00 +- +- +- +- +0.95 +0.80`, out.String())
	assert.Contains(t, out.String(), "\nsqlite, 2 instances: n/a\n")
	assert.Contains(t, out.String(), "RS256-2048 2.000 ms RS256-4096 10.000 ms ES256 0.100 ms")
	assert.Contains(t, out.String(), "4000 sign-ins, 800 a second (floor 1000), 0 failures, p99 0 ms, peak memory 200.0 MiB")
	assert.Contains(t, out.String(), "Idle memory, sqlite, 1000 users: 40.0 MiB")
}

func TestWriteJSONKeepsEverything(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bench.json")
	require.NoError(t, good().writeJSON(file))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var read report
	require.NoError(t, json.Unmarshal(text, &read))
	assert.Equal(t, *good(), read)
}
