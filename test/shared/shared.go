// Package shared finds the folder of captured data that lies beside a checkout: databases and answers of a real Casdoor.
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
	path := filepath.Join(root(), "casdoor")
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("no folder %s, and CI=true wants it; %s may name another place", path, Variable)
	default:
		t.Skipf("no folder %s; %s may name another place", path, Variable)
	}
	return ""
}

// root is the shared folder: ../shared of the folder with go.mod or, in a work tree beside others, further up.
func root() string {
	if path := os.Getenv(Variable); path != "" {
		return path
	}
	_, file, _, _ := runtime.Caller(0)
	module := filepath.Join(filepath.Dir(file), "..", "..")
	beside := filepath.Join(module, "..", "shared")
	if _, err := os.Stat(beside); err == nil {
		return beside
	}
	return filepath.Join(module, "..", "..", "shared")
}
