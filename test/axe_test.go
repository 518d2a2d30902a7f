package test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// axeFile is where `npm ci --prefix test/node` puts axe-core. It is a tool of the tests, and no part of the server.
const axeFile = "node/node_modules/axe-core/axe.min.js"

// readAxe returns axe-core, or skips the test where it is not installed.
func readAxe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(axeFile)
	if os.IsNotExist(err) && os.Getenv("CI") != "true" {
		t.Skip("axe-core is not installed: npm ci --prefix test/node")
	}
	require.NoError(t, err)
	return string(text)
}

// checkAccess has axe-core look at the page, in light and in dark, for what keeps people from using it. The browser's
// own evaluation is not subject to the page's policy.
func (p *page) checkAccess(axe, view string) {
	p.t.Helper()
	const run = `axe.run(document, { resultTypes: ["violations"], %s }).then(({ violations }) => violations
		.filter(({ impact }) => impact === "serious" || impact === "critical")
		.flatMap(({ id, nodes }) => nodes.map((n) => id + ": " + n.html.slice(0, 200) + " " + n.failureSummary)))`
	chosen := get(p, chromedp.Evaluate[string](`document.documentElement.dataset.theme || ""`))
	if !get(p, chromedp.Evaluate[bool](`typeof axe === "object"`)) {
		p.do(chromedp.Evaluate[chromedp.Void](axe + ";undefined"))
	}
	for theme, rules := range map[string]string{
		"light": "", "dark": `runOnly: ["color-contrast", "link-in-text-block"]`, // colours are all that differs
	} {
		p.do(chromedp.Evaluate[chromedp.Void](`document.documentElement.dataset.theme = "` + theme + `";undefined`))
		found := get(p, chromedp.Evaluate[[]string](fmt.Sprintf(run, rules), chromedp.EvalAwaitPromise))
		assert.Empty(p.t, found, "%s, %s: %s", view, theme, strings.Join(found, "\n"))
	}
	p.do(chromedp.Evaluate[chromedp.Void](`document.documentElement.dataset.theme = "` + chosen + `";undefined`))
}
