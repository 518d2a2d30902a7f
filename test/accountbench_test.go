//go:build unix

package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// BenchmarkAccount reads the accounts of users, 16 at a time for each processor and without sockets of theirs. What a
// database server works is not counted.
//
//	go test ./test -run '^$' -bench Account/sqlite -benchtime 20000x
func BenchmarkAccount(b *testing.B) {
	const known = 100
	for _, kind := range testdb.Kinds() {
		b.Run(kind.Name, func(b *testing.B) {
			s := harness.Start(b, harness.Options{Store: kind.Empty(b)})
			requests := make([]*http.Request, known)
			for n := range requests {
				requests[n] = httptest.NewRequest(http.MethodGet, "/api/get-account", nil)
				requests[n].Header.Set("Authorization", "Bearer "+s.SignIn(b, fmt.Sprintf("oBench%d", n)).AccessToken)
			}
			var count atomic.Int64
			b.SetParallelism(16)
			b.ResetTimer()
			before := cpuTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					recorder := httptest.NewRecorder()
					s.Handler.ServeHTTP(recorder, requests[count.Add(1)%known].Clone(b.Context()))
					assert.Equal(b, http.StatusOK, recorder.Code)
				}
			})
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1e3, "cpu-µs/read")
		})
	}
}
