package controllers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// Every path that manages something has a rule, and every rule a path.
func TestRulesAndRoutes(t *testing.T) {
	t.Parallel()
	var deps *controllers.Deps
	harness.Start(t, harness.Options{Deps: func(d *controllers.Deps) { deps = d }})
	others := []string{ // which have rules of their own: the token decides, or nobody needs one
		"get-account", "get-version-info",
	}
	routed := []string{"get-sign-ins"} // which the console asks for itself
	for _, path := range controllers.Paths(deps) {
		action, api := strings.CutPrefix(path, "/api/")
		verb, _, manages := strings.Cut(action, "-")
		if api && manages && !strings.Contains(action, "/") && !slices.Contains(others, action) &&
			slices.Contains([]string{"get", "add", "update", "delete", "upload", "set", "check"}, verb) {
			routed = append(routed, action)
		}
	}
	slices.Sort(routed)
	assert.Equal(t, object.Actions(), routed)
}
