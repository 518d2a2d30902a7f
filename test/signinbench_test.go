//go:build unix

package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// BenchmarkSignIn signs people in, 16 at a time for each processor and without sockets of theirs. What the fake WeChat
// works, and SQLite, is counted; what a database server works is not.
//
//	go test ./test -run '^$' -bench SignIn/sqlite -benchtime 10000x
func BenchmarkSignIn(b *testing.B) {
	const known = 1000
	for _, kind := range testdb.Kinds() {
		b.Run(kind.Name, func(b *testing.B) {
			s := harness.Start(b, harness.Options{Store: kind.Empty(b), Rows: harness.Rows{
				"certs": {{"owner": "admin", "name": "cert-fast", "cryptoAlgorithm": "ES256"}},
			}, Application: harness.Row{"cert": "cert-fast"}})
			for n := range known {
				signInOnce(b, s, fmt.Sprintf("oKnown%d", n))
			}
			var count atomic.Int64
			for name, openID := range map[string]func(int64) string{
				"returning": func(n int64) string { return fmt.Sprintf("oKnown%d", n*7919%known) },
				"new":       func(n int64) string { return fmt.Sprintf("oNew%d", n) },
			} {
				b.Run(name, func(b *testing.B) {
					b.SetParallelism(16)
					before := cpuTime(b)
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							signInOnce(b, s, openID(count.Add(1)))
						}
					})
					b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1e3, "cpu-µs/sign-in")
				})
			}
		})
	}
}

func signInOnce(b *testing.B, s *harness.Server, openID string) {
	form := strings.NewReader(harness.SignInForm(s.NewCode(openID)).Encode())
	r := httptest.NewRequest(http.MethodPost, harness.PathToken, form)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	s.Handler.ServeHTTP(recorder, r)
	assert.Equal(b, http.StatusOK, recorder.Code)
}
