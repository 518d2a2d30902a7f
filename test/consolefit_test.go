package test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/test/harness"
)

const (
	longName      = "a-name-of-sixty-four-characters-as-some-systems-make-them-012345"
	longShopTitle = "一家名字特别特别长的小程序商店，专门销售熊猫主题的文具、玩具、服装、图书以及各种周边产品（上海旗舰店）🐼🛍️"
)

// longRows have names as long as they may be, and what else takes room.
func longRows() harness.Rows {
	unbroken := strings.Repeat("LongName", 12)
	return harness.Rows{
		"organizations": {{"owner": "admin", "name": longName, "displayName": unbroken}},
		"certs":         {{"owner": longName, "name": "cert-" + longName, "cryptoAlgorithm": "ES256"}},
		"providers": {{
			"owner": longName, "name": "wx-" + longName, "displayName": unbroken, "category": "OAuth",
			"type": "WeChatMiniProgram", "clientId": "wx" + strings.Repeat("0", 30), "clientSecret": "s",
		}},
		"applications": {{
			"owner": "admin", "name": "app-" + longName, "displayName": longShopTitle, "organization": longName,
			"cert": "cert-" + longName, "clientId": strings.Repeat("c0ffee00", 8), "clientSecret": "s",
			"providers": []harness.Row{{"name": "wx-" + longName}},
		}},
		"users": {{
			"owner": longName, "name": longName, "displayName": longShopTitle, "phone": "+8613800138000", "isAdmin": true,
			"email":          "somebody.with.a.long.address@mail.department.subsidiary.example.com",
			"lastSigninTime": "2026-01-31T08:00:00Z", "lastSigninIp": "2001:db8:85a3:1319:8a2e:370:7344:7334",
		}},
	}
}

// longPaths are the pages of longRows.
func longPaths() (paths []string) {
	for row, does := range map[string][]string{
		"users?id=" + longName + "/" + longName:                      {"view", "forbid", "delete"},
		"providers?id=" + longName + "/wx-" + longName:               {"view", "edit", "delete"},
		"applications?id=admin/app-" + longName:                      {"view", "edit", "key", "secret", "delete"},
		"certs?id=" + longName + "/cert-" + longName:                 {"delete"},
		"log?errcode=x&from=y&user=" + longName:                      {""},
		"users?by=name&value=" + longName:                            {""},
		"none?id=" + longName + "&" + url.QueryEscape(longShopTitle): {""},
	} {
		section, query, _ := strings.Cut(row, "?")
		for _, action := range does {
			paths = append(paths, strings.TrimSuffix("/console/"+section+"/"+action, "/")+"?"+query)
		}
	}
	return paths
}

// No page is wider than its window (WCAG 2.2 §1.4.10): on the narrowest phone, which is also a window of 1280 pixels at
// 400 %, and at widths where the sections move beside the page, or cards become tables. Nor is a column so narrow that
// nobody can read it.
func TestConsoleFits(t *testing.T) {
	t.Parallel()
	needProgram(t, "chromium")
	s := startConsole(t)
	fillConsole(t, s)
	s.Apply(t, longRows())
	browser := startBrowser(t)
	for _, language := range []string{"en", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			w := &consoleWalk{openPage(t, browser, s.URL, "/console", visit{language: language, width: 320}), s, ""}
			w.signIn()
			paths := append(consolePaths(harness.Organization+"/wechat-oShop10_kXyZ7Ab3Qw9Lm2Nc5Vb"), longPaths()...)
			for _, path := range paths {
				w.do(chromedp.EmulateViewport(320, 900, chromedp.EmulateMobile), chromedp.Navigate(s.URL+path))
				w.loaded()
				w.checkFit(320, path)
				for _, width := range []int64{768, 960, 1280} {
					w.do(chromedp.EmulateViewport(width, 900))
					w.checkFit(int(width), path)
				}
			}
		})
	}
}

func (w *consoleWalk) checkFit(width int, path string) {
	w.t.Helper()
	const measure = `(() => {
		const cells = document.querySelectorAll(".list tbody :is(th, td):not(.whole)")
		const links = document.querySelectorAll("nav a")
		return [
			document.documentElement.scrollWidth, ...[...links].map((a) => innerWidth - a.clientWidth + a.scrollWidth),
			...[...cells].map((cell) => innerWidth + 100 - cell.offsetWidth),
		].reduce((a, b) => Math.max(a, b))
	})()`
	assert.LessOrEqual(w.t, get(w.page, chromedp.Evaluate[int](measure)), width, "%s at %d", path, width)
}

// Who chooses colours of their own, as Windows' contrast themes do, sees what is chosen and where the focus is.
func TestForcedColours(t *testing.T) {
	t.Parallel()
	needProgram(t, "chromium")
	s := startConsole(t)
	fillConsole(t, s)
	browser := startBrowser(t)
	w := &consoleWalk{openPage(t, browser, s.URL, "/console", visit{language: "en", width: 1440}), s, ""}
	w.signIn()
	w.forceColours()
	colour := func(selector, pseudo string) string {
		return get(w.page, chromedp.Evaluate[string](fmt.Sprintf(
			`getComputedStyle(document.querySelector(%q), %q).backgroundColor`, selector, pseudo)))
	}
	assert.NotEqual(t, colour(`nav a:not([aria-current])`, ""), colour(`nav a[aria-current]`, ""))
	assert.NotEqual(t, colour(`footer button:not([aria-pressed])`, ""), colour(`footer button[aria-pressed]`, ""))
	assert.NotEqual(t, colour(`.legend .ok`, "::before"), colour(`.legend .failed`, "::before"))
}

func (p *page) forceColours() {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}},
		})
		return err
	}))
}
