package picture

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkPhonePhoto(b *testing.B) {
	data := phonePhoto(b)
	m, err := New(Config{})
	require.NoError(b, err)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := m.Thumbnails(b.Context(), bytes.NewReader(data), int64(len(data)))
			require.NoError(b, err)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}
