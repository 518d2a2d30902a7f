//go:build unix

package picture

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkPhonePhoto(b *testing.B) {
	data := phonePhoto(b)
	m := newMaker()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	before := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := m.Thumbnails(b.Context(), bytes.NewReader(data), int64(len(data)))
			require.NoError(b, err)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1e6, "cpu-ms/picture")
}

// cpuTime is the process's, in nanoseconds: unlike the clock it does not mind who else uses the machine.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}
