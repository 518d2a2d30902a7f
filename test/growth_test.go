package test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// BenchmarkGrowth tells how many MB a million sign-ins add to SQLite's file: of people who are known, and of new ones.
// The first figure is what a sweep gives back for the next sign-ins to fill.
func BenchmarkGrowth(b *testing.B) {
	for name, openID := range map[string]func(int) string{
		"known users": func(n int) string { return fmt.Sprintf("oGrowth%d", n%100) },
		"new users":   func(n int) string { return fmt.Sprintf("oGrowth%d", n) },
	} {
		b.Run(name, func(b *testing.B) {
			s := harness.Start(b, harness.Options{Rows: harness.Rows{
				"certs": {{"owner": "admin", "name": "cert-fast", "cryptoAlgorithm": "ES256"}},
			}, Application: harness.Row{"cert": "cert-fast"}})
			for n := range 100 {
				s.SignIn(b, openID(n))
			}
			before := used(b, s)
			for n := range b.N {
				s.SignIn(b, openID(100+n))
			}
			grown := used(b, s) - before
			b.ReportMetric(float64(grown)/float64(b.N), "MB/million")
			require.NoError(b, object.NewSweeper(s.Store, object.SweeperConfig{
				Every: time.Hour, Pause: time.Microsecond,
				Now: func() time.Time { return time.Now().Add(365 * 24 * time.Hour) },
			}).Sweep(b.Context()))
			b.ReportMetric(float64(used(b, s)-before)/float64(b.N), "MB/million-swept")
		})
	}
}

// used returns how many bytes of the file hold something.
func used(b *testing.B, s *harness.Server) int {
	b.Helper()
	bytes, err := strconv.Atoi(s.Value(b, "SELECT (page_count-freelist_count)*page_size "+
		"FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"))
	require.NoError(b, err)
	return bytes
}
