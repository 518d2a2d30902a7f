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
	assert.Equal(t, sample{Rate: 2, P50: 2, P90: 4, P99: 4}, s)
	assert.Equal(t, sample{}, newSample(nil, time.Second))
}

func rates(rates ...float64) []sample {
	samples := make([]sample, len(rates))
	for i, r := range rates {
		samples[i] = sample{Rate: r, P50: time.Duration(r) * time.Millisecond}
	}
	return samples
}

func TestMedian(t *testing.T) {
	t.Parallel()
	assert.Equal(t, sample{}, median(nil))
	assert.Equal(t, rates(7)[0], median(rates(7)))
	assert.Equal(t, rates(5)[0], median(rates(9, 1, 5)), "with the latencies of the same round")
	assert.Equal(t, rates(3)[0], median(rates(9, 1, 5, 3)))
}

func TestNewRowComparesMedians(t *testing.T) {
	t.Parallel()
	got := newRow(newSignIn, "ES256", 500, rates(90, 100, 500), rates(400, 200, 100), rates(125))
	assert.Equal(t, row{
		Operation: newSignIn, Algorithm: "ES256", Users: 500, Rate: 100, P50: 100, Floor: 200, Share: 0.5, OfFirst: 0.8,
	}, got)
	without := newRow(newSignIn, "ES256", 500, rates(100), nil, rates(100))
	assert.Zero(t, without.Share, "there is no share without floor")
}

func good() *report {
	return &report{
		Rows: []row{
			{Operation: newSignIn, Algorithm: "RS256-2048", Users: 1000, Rate: 85, Floor: 100, Share: 0.85, OfFirst: 1},
			{Operation: newSignIn, Algorithm: "ES256", Users: 1000, Rate: 50, Floor: 100, Share: 0.5, OfFirst: 1},
			{Operation: newSignIn, Algorithm: "RS256-4096", Users: 1000, Rate: 10, Floor: 100, Share: 0.1, OfFirst: 1},
			{Operation: accountRead, Algorithm: "ES256", Users: 1000, Rate: 4000, OfFirst: 1},
			{Operation: profileUpdate, Algorithm: "ES256", Users: 2000, Rate: 2000, OfFirst: 0.9},
		},
		Idle: []idle{{Users: 1000, MiB: 40}},
	}
}

func TestMissed(t *testing.T) {
	t.Parallel()
	require.Empty(t, good().missed(), "what is just enough is enough; RS256-4096 has no target")
	for name, spoil := range map[string]func(*report){
		"sign-in, new, RS256-2048, 1000 users: the share of floor is 0.84": func(r *report) { r.Rows[0].Share = 0.84 },
		"sign-in, new, ES256, 1000 users: the share of floor is 0.49":      func(r *report) { r.Rows[1].Share = 0.49 },
		"account read, ES256, 1000 users: the rate is 3999.00":             func(r *report) { r.Rows[3].Rate = 3999 },
		"profile update, ES256, 2000 users: the rate is 1999.00":           func(r *report) { r.Rows[4].Rate = 1999 },
		"profile update, ES256, 2000 users: the share of the rate":         func(r *report) { r.Rows[4].OfFirst = 0.89 },
		"idle memory with 1000 users is 40.1 MiB":                          func(r *report) { r.Idle[0].MiB = 40.1 },
	} {
		r := good()
		spoil(r)
		missed := r.missed()
		require.Len(t, missed, 1, name)
		assert.Contains(t, missed[0], name)
	}
}

func TestPrintShowsSharesWhereThereAreSome(t *testing.T) {
	t.Parallel()
	r := good()
	r.Machine, r.Workers, r.Seconds, r.Rounds = "2 CPUs", 32, 5, 3
	var out bytes.Buffer
	r.print(&out)
	assert.Contains(t, out.String(), "32 requests at a time, 5 s each, median of 3.")
	assert.Regexp(t, `sign-in, new +RS256-2048 +1000 +85 +0.00 +0.00 +0.00 +100 +0.85 +1.00`, out.String())
	assert.Regexp(t, `account read +ES256 +1000 +4000 +0.00 +0.00 +0.00 +- +- +1.00`, out.String())
	assert.Contains(t, out.String(), "Idle memory with 1000 users: 40.0 MiB")
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
