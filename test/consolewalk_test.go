package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// TestConsoleWalk does each task of the console in Chromium, from sign-in on. With SCREENSHOTS=folder it takes a
// picture of each page.
func TestConsoleWalk(t *testing.T) {
	t.Parallel()
	needProgram(t, "chromium")
	axe := readAxe(t)
	browser := startBrowser(t)
	for v, axe := range map[visit]string{ // axe sees each language and each width once
		{language: "en", width: 375}:     axe,
		{language: "en", width: 1440}:    "",
		{language: "zh-CN", width: 375}:  "",
		{language: "zh-CN", width: 1440}: axe,
	} {
		t.Run(fmt.Sprintf("%s %d", v.language, v.width), func(t *testing.T) {
			t.Parallel()
			s := startConsole(t)
			fillConsole(t, s)
			w := &consoleWalk{openPage(t, browser, s.URL, "/console", v), s, axe}
			w.refusals = regexp.MustCompile(`status of (403|409|422) `) // a wrong password, a row that has changed, wrong fields
			w.signIn()
			w.overview()
			w.providers()
			w.applications()
			w.users()
			w.log()
			w.certs()
			w.records()
			w.impatience()
			w.keyboard()
			w.signOut()
			w.checkQuiet()
		})
	}
}

// consoleWalk is an admin's walk through the console.
type consoleWalk struct {
	*page

	server *harness.Server
	axe    string // empty: do without
}

// at waits for a page that has got some element, and checks what holds of all pages.
func (w *consoleWalk) at(name, element string) {
	w.t.Helper()
	ready := chromedp.CSS(fmt.Sprintf(`html:not([data-left]) main[data-page="%s"] %s`, name, element))
	ctx, cancel := context.WithTimeout(w.ctx, pagePatience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.WaitReady(ready)); err != nil {
		w.t.Fatalf("no %s with %s, but %s", name, element, w.text("main"))
	}
	w.loaded()
	// What a page has to say first has the focus: it is read aloud, and what it is about is the next stop.
	w.do(chromedp.WaitReady(chromedp.CSS(`:is(main:not(:has(.note[role])), .note[role]:focus)`)))
	assert.Equal(w.t, w.visit.language, get(w.page, chromedp.Evaluate[string](`document.documentElement.lang`)), name)
	headings := get(w.page, chromedp.Evaluate[int](`document.querySelectorAll("h1").length`))
	assert.Equal(w.t, 1, headings, name)
	w.checkWidth(name)
	if w.axe != "" {
		w.checkAccess(w.axe, name)
	}
	w.screenshot(name)
}

// click leaves the page: what waits for the next one must not take this one for it.
func (w *consoleWalk) click(selector string) {
	w.t.Helper()
	w.do(chromedp.Evaluate[chromedp.Void](`document.documentElement.dataset.left = "";undefined`))
	w.page.click(selector)
}

// to opens a page by its address.
func (w *consoleWalk) to(path, name, element string) {
	w.t.Helper()
	w.do(chromedp.Navigate(w.url + path))
	w.at(name, element)
}

// follow clicks a link in the page's main part.
func (w *consoleWalk) follow(href, name, element string) {
	w.t.Helper()
	w.click(`main a[href*="` + href + `"]`)
	w.at(name, element)
}

// choose presses a button at the foot of the page, and waits for a page that has made it so.
func (w *consoleWalk) choose(name, value, ready string) {
	w.t.Helper()
	w.click(`footer button[name="` + name + `"][value="` + value + `"]`)
	w.do(chromedp.WaitReady(chromedp.CSS(ready)))
	w.loaded() // what moves while it comes is not to be hit with a mouse
}

// enter types into fields of the page's form: names and values in turn.
func (w *consoleWalk) enter(pairs ...string) {
	w.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		w.do(chromedp.SetValue(chromedp.CSS(`main #`+pairs[i]), pairs[i+1]))
	}
}

// send presses the main button of the page's form.
func (w *consoleWalk) send(name, element string) {
	w.t.Helper()
	w.click(`main form .buttons button`)
	w.at(name, element)
}

// sendTwice is send by somebody who clicks twice on everything, faster than the network is.
func (w *consoleWalk) sendTwice(name, element string) {
	w.t.Helper()
	w.latency(500)
	w.do(chromedp.Evaluate[chromedp.Void](`(() => {
		document.documentElement.dataset.left = ""
		const button = document.querySelector("main form .buttons button")
		button.click()
		setTimeout(() => button.click(), 100)
	})()`))
	w.at(name, element)
	w.latency(0)
}

// latency has answers come after so many milliseconds at the earliest.
func (w *consoleWalk) latency(milliseconds float64) {
	w.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{
				{Latency: milliseconds, DownloadThroughput: -1, UploadThroughput: -1},
			},
		})
		return err
	}))
}

func (w *consoleWalk) signIn() {
	w.do(chromedp.WaitReady(chromedp.CSS(`main[data-page="sign-in"]`)))
	if w.visit.language != get(w.page, chromedp.Evaluate[string](`document.documentElement.lang`)) {
		w.choose("language", w.visit.language, `html[lang="`+w.visit.language+`"]`)
	}
	w.at("sign-in", "#password")
	w.enter("username", "admin", "password", "wrong")
	w.send("sign-in", `[role="alert"]`)
	w.enter("username", "admin", "password", w.server.FirstStart.AdminPassword)
	w.send("overview", ".chart")
}

func (w *consoleWalk) overview() {
	for _, span := range []string{"day", "month", "hour"} {
		w.follow("span="+span, "overview", `a[href*="`+span+`"][aria-current]`)
	}
	w.picture("overview")
	assert.Equal(w.t, 3, get(w.page, chromedp.Evaluate[int](`document.querySelectorAll(".chart svg desc").length`)))
	w.page.click(".chart summary")
	w.do(chromedp.WaitVisible(chromedp.CSS(".chart table")))
	w.choose("theme", "dark", `html[data-theme="dark"]`)
	w.choose("theme", "", `html:not([data-theme])`)
}

func (w *consoleWalk) providers() {
	w.click(`nav a[href="/console/providers"]`)
	w.at("providers", ".list")
	w.follow("/providers/add", "form", "#clientSecret")
	w.send("form", `#clientId[aria-invalid="true"][aria-describedby]`)
	w.page.click(`.note a[href="#clientId"]`)
	w.do(chromedp.WaitReady(chromedp.CSS(`#clientId:focus`)))
	w.enter("clientId", "not an AppID", "clientSecret", "0123456789abcdef0123456789abcdef", "displayName", "第二家店 🏮",
		"name",
		"wx-second")
	w.send("form", `#clientId-problem`)
	w.enter("clientId", "wxabcdef0123456789", "clientSecret", "0123456789abcdef0123456789abcdef")
	w.page.click(`#checkNickname`)
	w.send("provider", `.note.good`)
	assert.NotContains(w.t, w.text("main"), "0123456789abcdef0123456789abcdef")
	w.click(`main form .primary`)
	w.at("provider", `.note.bad ol`)
	w.follow("/providers/edit", "form", "#displayName")
	w.enter("displayName", "Second shop")
	w.send("provider", `.note.good`)
	w.follow("/providers/delete", "confirm", ".danger")
	w.send("providers", `.note.good`)

	w.to("/console/providers/view?id="+consoleProviderID, "provider", ".facts")
	w.click(`main form .primary`)
	w.at("provider", `.note.good h2`)
	w.server.Fake.Inject(fakewechat.PathStableToken,
		fakewechat.ErrcodeMessage(40164, "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"), 1)
	w.click(`main form .primary`)
	w.at("provider", `.note.bad #address`)
	assert.Equal(w.t, "203.0.113.7", w.text("#address"))
	w.picture("provider")
}

func (w *consoleWalk) applications() {
	w.click(`nav a[href="/console/applications"]`)
	w.at("applications", ".list")
	w.follow("/applications/add", "form", "#displayName")
	w.send("form", `#displayName[aria-invalid="true"]`)
	w.enter("displayName", "小程序二号", "name", "app-two", "expireInHours", "12")
	w.page.click(`input[name="providers"][value="` + harness.Provider + `"]`)
	w.sendTwice("secret", "#client-secret")
	secret := w.text("#client-secret")
	w.click(`main .primary`)
	w.at("application", "#code")
	assert.NotContains(w.t, w.text("main"), secret)
	assert.Contains(w.t, w.text("#code"), w.text("#client-id"))
	w.picture("application")
	w.follow("/applications/edit", "form", "#displayName")
	w.server.Apply(w.t, harness.Rows{"applications": {{"owner": "admin", "name": "app-two", "displayName": "Meanwhile"}}})
	w.enter("tokenFormat", "JWT-Standard")
	w.send("form", `.note.bad`)
	assert.Equal(w.t, "Meanwhile", get(w.page, chromedp.Value(chromedp.CSS("#displayName"))))
	w.enter("tokenFormat", "JWT-Standard")
	w.send("application", ".note.good")
	w.follow("/applications/key", "form", "#algorithm")
	w.enter("algorithm", "ES256")
	w.send("application", ".note.good")
	assert.Contains(w.t, w.text("main"), "cert-two-")
	w.follow("/applications/secret", "confirm", ".danger")
	w.send("secret", "#client-secret")
	assert.NotEqual(w.t, secret, w.text("#client-secret"))
	w.click(`main .primary`)
	w.at("application", "#code")
	w.follow("/applications/delete", "confirm", ".danger")
	w.send("applications", ".note.good")
}

func (w *consoleWalk) users() {
	w.click(`nav a[href="/console/users"]`)
	w.at("users", ".list")
	w.picture("users")
	w.enter("value", "梅梅")
	w.send("users", "tbody tr:only-child")
	w.click(`main tbody a`)
	w.at("user", ".facts")
	w.follow("/users/forbid", "confirm", ".primary")
	w.send("user", ".tag.bad")
	w.follow("/users/allow", "confirm", ".primary")
	w.send("user", ".tag.good")
	w.follow("/users/end-sessions", "confirm", ".danger")
	w.send("user", ".note.good")
	w.follow("/users/delete", "confirm", ".danger")
	w.send("users", ".note.good")
	w.to("/console/users?by=displayName&value=onerror", "users", "tbody tr:only-child")
	assert.Contains(w.t, w.text("tbody th a"), hostileName)
	w.click(`main tbody a`)
	w.at("user", ".facts")
}

// pressThrice follows the log, leaves that and follows it again, and returns how often the server was asked at once.
// The first answer breaks off.
const pressThrice = `(() => {
  const known = window.fetch, follow = document.getElementById("follow")
  let asked = 0
  window.fetch = (address) => asked++ ? known(address) : Promise.resolve({
    status: 200, redirected: false, text: () => Promise.reject(new Error("it breaks off")),
  })
  for (let i = 0; i < 3; i++) follow.click()
  return asked
})()`

func (w *consoleWalk) log() {
	w.click(`nav a[href="/console/log"]`)
	w.at("log", "#rows tr")
	w.enter("outcome", "failed", "errcode", "40029")
	w.send("log", `#rows tr .tag.bad`)
	w.to("/console/log?errcode=x", "log", `#errcode-problem`)
	w.to("/console/log?user=wechat-oLive", "log", "#no-rows")
	asked := get(w.page, chromedp.Evaluate[int](pressThrice))
	assert.Equal(w.t, 1, asked, "it is followed once, however often the button is pressed")
	w.server.SignIn(w.t, "oLive")
	w.server.Watch.Flush(w.t.Context())
	w.at("log", `#rows tr a[href*="oLive"]`)
	w.page.click("#follow")
	w.do(chromedp.WaitReady(chromedp.CSS(`#follow[aria-pressed="false"]`)))
	w.to("/console/log", "log", "#rows tr")
}

func (w *consoleWalk) certs() {
	w.click(`nav a[href="/console/certs"]`)
	w.at("certs", ".list")
	w.follow("/certs/add", "form", "#algorithm")
	w.enter("name", "cert-walk", "algorithm", "ES256")
	w.send("certs", ".note.good")
	w.follow("/certs/delete?id=admin%2fcert-walk", "confirm", ".danger")
	w.send("certs", ".note.good")
}

func (w *consoleWalk) records() {
	w.click(`nav a[href="/console/records"]`)
	w.at("records", ".list")
	for _, action := range []string{"add-provider", "update-provider", "delete-provider", "delete-user"} {
		assert.Contains(w.t, w.text("main"), action)
	}
}

// sentAgain tries to send the page's form three times: at once, after ten seconds without an answer, and when there
// will be none any more. It returns which of them the page lets go.
const sentAgain = `[1000, 11000, 40000].map((at) => {
	const event = new Event("submit", { bubbles: true, cancelable: true })
	Object.defineProperty(event, "timeStamp", { value: at })
	return document.querySelector("main form").dispatchEvent(event)
})`

func (w *consoleWalk) impatience() {
	w.to("/console/providers/view?id="+consoleProviderID, "provider", ".facts")
	assert.Equal(w.t, []bool{true, false, true}, get(w.page, chromedp.Evaluate[[]bool](sentAgain)))
	const cursor = `getComputedStyle(document.querySelector("main form button")).cursor`
	assert.Equal(w.t, "progress", get(w.page, chromedp.Evaluate[string](cursor)))
}

// keyboard goes to a section without a mouse: past the link that skips all of them.
func (w *consoleWalk) keyboard() {
	w.to("/console", "overview", ".chart")
	const focused = `document.activeElement.getAttribute("href") || document.activeElement.id`
	press := func(keys string) { w.do(chromedp.KeyEvent(keys)) }
	press("\t")
	assert.Equal(w.t, "#main", get(w.page, chromedp.Evaluate[string](focused)))
	for range 3 {
		press("\t")
	}
	assert.Equal(w.t, "/console/providers", get(w.page, chromedp.Evaluate[string](focused)))
	outline := get(w.page, chromedp.Evaluate[string](`getComputedStyle(document.activeElement).outlineStyle`))
	assert.Equal(w.t, "solid", outline, "the focus is not to be seen")
	press("\r")
	w.at("providers", ".list")
	press("\t")
	press("\r")
	w.do(chromedp.WaitReady(chromedp.CSS("#main:focus")))
}

func (w *consoleWalk) signOut() {
	w.click(`header form button`)
	w.at("sign-in", ".note.good")
	w.to("/console/users", "sign-in", "#password")
}

// picture takes one for the README, where CONSOLE_PICTURES names a folder: of the widest window in English, and of the
// narrowest in Chinese.
func (w *consoleWalk) picture(name string) {
	w.t.Helper()
	folder := os.Getenv("CONSOLE_PICTURES")
	wide := w.visit.width == 1440 && w.visit.language == "en"
	narrow := w.visit.width == 375 && w.visit.language != "en" && name == "users"
	if folder == "" || !wide && !narrow {
		return
	}
	if !wide {
		name += "-phone"
	}
	png := get(w.page, chromedp.CaptureScreenshot())
	require.NoError(w.t, os.WriteFile(filepath.Join(folder, "console-"+name+".png"), png, 0o644))
}
