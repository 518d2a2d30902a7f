package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testWatch(t *testing.T) {
	inParallel(t, map[string]func(*testing.T){
		"Log":        s.testSignInLog,
		"Statistics": s.testStatistics,
		"Instances":  s.testWatchInstances,
		"Outage":     s.testWatchOutage,
		"End":        s.testWatchEnd,
	})
}

// at is an event of the tenant's some time ago.
func (n *tenant) at(ago time.Duration, outcome, user string) object.SignInEvent {
	return object.SignInEvent{
		Time: n.clock.Now().Add(-ago), Organization: n.name, Application: "app", Provider: "wx", Outcome: outcome, User: user,
		Took: 30 * time.Millisecond, ClientIP: "192.0.2.7", RequestID: "request",
	}
}

func (n *tenant) watch(t *testing.T, events ...object.SignInEvent) {
	t.Helper()
	lost := 0
	w := object.NewWatch(n.store, object.WatchConfig{Lost: func(lines int) { lost += lines }})
	for _, e := range events {
		w.Add(e)
	}
	w.Flush(t.Context())
	require.Zero(t, lost)
}

func (n *tenant) adminOf() *object.Caller {
	return &object.Caller{Role: object.Admin, Organization: n.name}
}

func (s *suite) testSignInLog(t *testing.T) {
	n := s.tenant(t, setup{})
	bad := n.at(3*time.Hour, "invalid_grant", "")
	bad.Errcode = 40029
	made := n.at(time.Minute, "ok", "wechat-o2")
	made.NewUser = true
	n.watch(t, bad, n.at(2*time.Hour, "ok", "wechat-o1"), made)
	users := func(q object.LogQuery) (found []string, next string) {
		t.Helper()
		entries, next, err := n.service.SignIns(t.Context(), n.adminOf(), q)
		require.NoError(t, err)
		for _, e := range entries {
			found = append(found, e.Outcome+" "+e.User)
		}
		return found, next
	}
	all := []string{"ok wechat-o2", "ok wechat-o1", "invalid_grant "}
	for name, c := range map[string]struct {
		query object.LogQuery
		want  []string
	}{
		"all":          {object.LogQuery{}, all},
		"organization": {object.LogQuery{Organization: n.name}, all},
		"outcome":      {object.LogQuery{Outcome: "ok"}, all[:2]},
		"failed":       {object.LogQuery{Outcome: "failed"}, all[2:]},
		"errcode":      {object.LogQuery{Errcode: 40029}, all[2:]},
		"user":         {object.LogQuery{User: "wechat-o1"}, all[1:2]},
		"to":           {object.LogQuery{To: bad.Time.Add(time.Second)}, all[2:]},
		"span":         {object.LogQuery{From: n.clock.Now().Add(-150 * time.Minute), To: n.clock.Now().Add(-time.Hour)}, all[1:2]},
	} {
		found, _ := users(c.query)
		assert.Equal(t, c.want, found, name)
	}
	first, next := users(object.LogQuery{Limit: 2})
	assert.Equal(t, all[:2], first)
	rest, next := users(object.LogQuery{Limit: 2, After: next})
	assert.Equal(t, all[2:], rest)
	assert.Empty(t, next)

	entries, _, err := n.service.SignIns(t.Context(), n.adminOf(), object.LogQuery{Limit: 1})
	require.NoError(t, err)
	e := entries[0]
	assert.WithinDuration(t, made.Time, e.Time, time.Millisecond)
	assert.Equal(t, []any{"app", "wx", true, 30 * time.Millisecond, "192.0.2.7", "request"},
		[]any{e.Application, e.Provider, e.NewUser, e.Took, e.ClientIP, e.RequestID})
	s.testLogReach(t, n)
}

func (s *suite) testLogReach(t *testing.T, n *tenant) {
	other := s.tenant(t, setup{})
	for name, c := range map[string]struct {
		caller       *object.Caller
		organization string
		want         int // -1: refused
	}{
		"another admin":        {other.adminOf(), "", 0},
		"another admin asks":   {other.adminOf(), n.name, -1},
		"member":               {&object.Caller{Role: object.Member, Organization: n.name, UserID: "x"}, n.name, -1},
		"nobody":               {&object.Caller{}, "", -1},
		"application":          {&object.Caller{Role: object.App, Organization: n.name}, "", 3},
		"global admin":         {&object.Caller{Role: object.Global, Organization: "built-in"}, n.name, 3},
		"global admin, no one": {&object.Caller{Role: object.Global, Organization: "built-in"}, "no organization", 0},
	} {
		entries, _, err := n.service.SignIns(t.Context(), c.caller, object.LogQuery{Organization: c.organization})
		_, err2 := n.service.Statistics(t.Context(), c.caller, time.Hour)
		if c.want < 0 {
			require.ErrorContains(t, err, "Unauthorized operation", name)
			if c.organization == "" || name == "member" {
				require.ErrorContains(t, err2, "Unauthorized operation", name)
			}
			continue
		}
		require.NoError(t, err, name)
		require.NoError(t, err2, name)
		assert.Len(t, entries, c.want, name)
	}
}

func (s *suite) testStatistics(t *testing.T) {
	n := s.tenant(t, setup{})
	n.clock.Advance(time.Until(time.Now().Truncate(time.Hour).Add(30*time.Minute + 10*time.Second)))
	var events []object.SignInEvent
	for i := range 100 { // 99 take 10 to 20 ms, one takes longer
		e := n.at(5*time.Minute, "ok", "u")
		e.Took, e.NewUser = 15*time.Millisecond, i < 7
		if i == 99 {
			e.Took = 700 * time.Millisecond
		}
		events = append(events, e)
	}
	bad := n.at(5*time.Minute, "invalid_grant", "")
	bad.Errcode = 40029
	slow := n.at(0, "slow_down", "")
	n.watch(t, append(events, bad, bad, slow, n.at(3*time.Hour, "ok", "u"), n.at(10*24*time.Hour, "ok", "u"))...)

	read := func(span time.Duration, points int, step time.Duration) *object.Statistics {
		t.Helper()
		stats, err := n.service.Statistics(t.Context(), n.adminOf(), span)
		require.NoError(t, err)
		require.Len(t, stats.Points, points)
		assert.Equal(t, step, stats.Step)
		for i, p := range stats.Points[1:] {
			assert.Equal(t, step, p.Time.Sub(stats.Points[i].Time))
		}
		return stats
	}
	hour := read(time.Hour, 60, time.Minute)
	p := hour.Points[54]
	assert.Equal(t, n.clock.Now().Add(-5*time.Minute).UTC().Truncate(time.Minute), p.Time)
	assert.Equal(t, []int64{100, 7}, []int64{p.SignIns, p.NewUsers})
	assert.Equal(t, map[string]int64{"invalid_grant 40029": 2}, p.Failures)
	assert.InDelta(t, 15, p.P50Ms, 1)
	assert.InDelta(t, 20, p.P99Ms, 1)
	assert.Equal(t, map[string]int64{"slow_down": 1}, hour.Points[59].Failures)
	assert.Equal(t, map[string]int64{"invalid_grant 40029": 2, "slow_down": 1}, hour.Causes)
	assert.Zero(t, hour.Points[53].P50Ms)
	assert.Equal(t, []int64{100, 7}, []int64{hour.SignIns, hour.Users})
	assert.EqualValues(t, 101, read(24*time.Hour, 96, 15*time.Minute).SignIns)
	assert.EqualValues(t, 102, read(30*24*time.Hour, 120, 6*time.Hour).SignIns)
}

// Instances that count at once count into the same rows.
func (s *suite) testWatchInstances(t *testing.T) {
	n := s.tenant(t, setup{})
	const instances, each = 4, 60
	e := n.at(time.Minute, "ok", "u")
	concurrently(instances, func(int) {
		events := make([]object.SignInEvent, each)
		for i := range events {
			events[i] = e
			events[i].Application = fmt.Sprint("app", i%3)
		}
		for part := 0; part < each; part += 20 {
			n.watch(t, events[part:part+20]...)
		}
	})
	stats, err := n.service.Statistics(t.Context(), n.adminOf(), time.Hour)
	require.NoError(t, err)
	assert.EqualValues(t, instances*each, stats.SignIns)
	assert.Len(t, s.rows(t, `SELECT * FROM mini_program_stat WHERE step=60 AND organization=?`, n.name), 3)
	assert.Len(t, s.rows(t, `SELECT * FROM mini_program_log WHERE organization=?`, n.name), instances*each)
}

// What cannot be written is lost, and told; what comes later is written. Of what is refused without end some is logged.
func (s *suite) testWatchOutage(t *testing.T) {
	n := s.tenant(t, setup{})
	lost := 0
	w := object.NewWatch(n.store, object.WatchConfig{Room: 300, Lost: func(lines int) { lost += lines }})
	for range 301 {
		w.Add(n.at(0, "slow_down", ""))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w.Flush(gone)
	assert.Equal(t, 301, lost)
	for range 300 {
		w.Add(n.at(0, "slow_down", ""))
	}
	w.Add(n.at(0, "ok", "u"))
	w.Flush(t.Context())
	assert.Equal(t, 302, lost)
	assert.Len(t, s.rows(t, `SELECT * FROM mini_program_log WHERE organization=?`, n.name), 200)
	stats, err := n.service.Statistics(t.Context(), n.adminOf(), time.Hour)
	require.NoError(t, err)
	assert.EqualValues(t, 300, stats.Causes["slow_down"])
	w.Add(n.at(0, "ok", "u"))
	w.Flush(t.Context())
	assert.Len(t, s.rows(t, `SELECT * FROM mini_program_log WHERE organization=?`, n.name), 201)
}

// What waits at the end is written.
func (s *suite) testWatchEnd(t *testing.T) {
	n := s.tenant(t, setup{})
	w := object.NewWatch(n.store, object.WatchConfig{Every: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	w.Add(n.at(0, "ok", "u"))
	cancel()
	<-ended
	assert.Len(t, s.rows(t, `SELECT * FROM mini_program_log WHERE organization=?`, n.name), 1)
	var none *object.Watch
	none.Add(n.at(0, "ok", "u"))
}

func testSweepWatch(t *testing.T, s *suite) {
	n := s.tenant(t, setup{})
	var events []object.SignInEvent
	for i := range 6 {
		events = append(events, n.at(time.Duration(i)*time.Minute, "ok", "u"))
	}
	n.watch(t, events...)
	swept := func(age time.Duration) map[string]int64 {
		return newBroom(s.store, n.clock.Now().Add(age)).sweep(t)
	}
	assert.Equal(t, nothing, swept(24*time.Hour))
	assert.Equal(t, map[string]int64{"stat": 6}, swept(49*time.Hour), "the minutes")
	assert.Equal(t, map[string]int64{"log": 6}, swept(31*24*time.Hour))
	hours := int64(len(s.rows(t, `SELECT * FROM mini_program_stat`)))
	assert.Positive(t, hours)
	assert.Equal(t, map[string]int64{"stat": hours}, swept(91*24*time.Hour))
}
