package shared

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder is a testing.TB that notes how the test would have ended.
type recorder struct {
	testing.TB
	end string
}

func (r *recorder) Helper()               {}
func (r *recorder) Skipf(string, ...any)  { r.end = "skipped" }
func (r *recorder) Fatalf(string, ...any) { r.end = "failed" }

func TestCasdoor(t *testing.T) {
	there := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(there, "casdoor"), 0o700))
	cases := map[string]struct{ root, ci, path, end string }{
		"there":           {there, "", filepath.Join(there, "casdoor"), ""},
		"there, in CI":    {there, "true", filepath.Join(there, "casdoor"), ""},
		"absent":          {filepath.Join(there, "no"), "", "", "skipped"},
		"absent, in CI":   {filepath.Join(there, "no"), "true", "", "failed"},
		"absent, CI says": {filepath.Join(there, "no"), "false", "", "skipped"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv(Variable, c.root)
			t.Setenv("CI", c.ci)
			r := &recorder{TB: t}
			assert.Equal(t, c.path, Casdoor(r))
			assert.Equal(t, c.end, r.end)
		})
	}
}
