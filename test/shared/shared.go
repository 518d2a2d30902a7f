// Package shared finds the folder of captured data that lies beside a checkout, databases and answers of a real
// Casdoor, and compares our answers with them.
package shared

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Variable names the environment variable that says where the shared folder is, if it is not beside the checkout.
const Variable = "MINIDOOR_SHARED"

// Casdoor returns the path of what was captured from a real Casdoor. Without it the test is skipped, or fails where the
// environment says CI=true.
func Casdoor(t testing.TB) string {
	t.Helper()
	for _, root := range roots() {
		path := filepath.Join(root, "casdoor")
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no folder casdoor in %v, and CI=true wants it; %s may name another place", roots(), Variable)
		return ""
	}
	t.Skipf("no folder casdoor in %v; %s may name another place", roots(), Variable)
	return ""
}

// roots are where the shared folder may be: beside the checkout, or one further up for a git work tree.
func roots() []string {
	if path := os.Getenv(Variable); path != "" {
		return []string{path}
	}
	_, file, _, _ := runtime.Caller(0)
	module := filepath.Join(filepath.Dir(file), "..", "..")
	return []string{filepath.Join(module, "..", "shared"), filepath.Join(module, "..", "..", "shared")}
}
