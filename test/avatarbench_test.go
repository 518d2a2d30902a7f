//go:build unix

package test

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// BenchmarkAvatar uploads photos of about 3 MB through HTTP, each user one after the other.
//
//	go test ./test -run '^$' -bench Avatar -benchtime 5s
func BenchmarkAvatar(b *testing.B) {
	s := harness.Start(b, harness.Options{})
	form := uploadForm(b, picturePart(photo()), nickPart("小明"))
	b.SetBytes(int64(len(form.Body)))
	before := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		token := s.SignIn(b, "oBench").AccessToken
		for pb.Next() {
			reply := s.Call(b, "POST", harness.PathAvatar, token, form)
			require.Equal(b, http.StatusOK, reply.Status, reply.Body)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "uploads/s")
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1e6, "cpu-ms/upload")
}

// cpuTime is the process's, client and server, in nanoseconds: unlike the clock it does not mind who else uses the
// machine.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}
