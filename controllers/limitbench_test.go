package controllers

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/minidoor/minidoor/object"
)

const plenty = 1 << 30

// BenchmarkLimits is what all limits add to a sign-in that they let through.
func BenchmarkLimits(b *testing.B) {
	limits := NewLimits(LimitsConfig{
		PerIP: plenty, PerApplication: plenty, PerOpenID: plenty, FailedPerIP: plenty, FailedShare: 50,
		MaxSignIns: plenty, MaxWaiting: plenty, Backlog: func() int { return 0 },
	})
	deps, r := &Deps{Limits: limits}, httptest.NewRequest("POST", "/", nil)
	ctx := r.Context()
	b.ReportAllocs()
	for b.Loop() {
		_ = limits.request(ctx, deps.network(r))
		_ = limits.application(ctx, "client")
		p, _ := limits.signIn(ctx, deps.network(r))
		_ = p.exchanged(ctx, "wx1234567890abcdef", "oGveIs04GrW3otXuKsv96tKNR6xk")
		p.end(ctx, "client", nil)
	}
}

// BenchmarkMetrics is what metrics add to a sign-in, with one read and one transaction.
func BenchmarkMetrics(b *testing.B) {
	m, token := NewMetrics(prometheus.NewRegistry(), "bench"), &object.Token{}
	w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		m.Called("code2Session", 80*time.Millisecond, nil)
		m.Read(time.Millisecond, nil)
		m.Written(time.Millisecond, nil)
		m.signIn(90*time.Millisecond, token, nil)
		_, done := m.request(w, r, "/api/login/oauth/access_token")
		done()
	}
}
