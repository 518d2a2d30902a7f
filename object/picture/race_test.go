//go:build race

package picture

import "testing"

// skipUnderRace skips what takes the race detector minutes: a picture is decoded by one goroutine, and .ci/run decodes
// them all without it.
func skipUnderRace(t *testing.T) {
	t.Helper()
	t.Skip("runs without -race only")
}
