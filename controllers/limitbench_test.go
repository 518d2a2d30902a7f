package controllers

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/minidoor/minidoor/object"
)

// BenchmarkLimitsAndMetrics is what both add to a sign-in that succeeds: all limits with one reading and one writing
// access to the database.
func BenchmarkLimitsAndMetrics(b *testing.B) {
	const plenty = 1 << 30
	m := NewMetrics(prometheus.NewRegistry(), "bench")
	limits, err := NewLimits(LimitsConfig{
		PerIP: plenty, PerApplication: plenty, PerOpenID: plenty, FailedPerIP: plenty, FailedShare: 50,
		MaxSignIns: plenty, MaxWaiting: plenty, Backlog: func() int { return 0 }, Metrics: m,
	})
	if err != nil {
		b.Fatal(err)
	}
	deps, token := &Deps{Limits: limits, Metrics: m}, &object.Token{}
	r := httptest.NewRequest("POST", "/", nil)
	ctx := r.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = limits.request(ctx, deps.network(r))
			_ = limits.application(ctx, "client")
			p, _ := limits.signIn(ctx, deps.network(r))
			m.Called("code2Session", 80*time.Millisecond, nil)
			_ = p.exchanged(ctx, "wx1234567890abcdef", "oGveIs04GrW3otXuKsv96tKNR6xk")
			m.Read(time.Millisecond, nil)
			m.Written(time.Millisecond, nil)
			p.end(ctx, "client", nil)
			m.signIn(90*time.Millisecond, token, nil)
		}
	})
}
