//go:build unix

package test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// BenchmarkAccount reads the account of a user, without sockets.
//
//	go test ./test -run '^$' -bench Account -benchtime 20000x
func BenchmarkAccount(b *testing.B) {
	s := harness.Start(b, harness.Options{})
	token := s.SignIn(b, "oBench").AccessToken
	request := httptest.NewRequest(http.MethodGet, "/api/get-account", nil)
	request.Header.Set("Authorization", "Bearer "+token)
	before := cpuTime(b)
	for b.Loop() {
		recorder := httptest.NewRecorder()
		s.Handler.ServeHTTP(recorder, request.Clone(b.Context()))
		require.Equal(b, http.StatusOK, recorder.Code)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1e3, "cpu-µs/read")
}
