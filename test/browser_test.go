package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDemoPage walks through /demo as a visitor does, in Chromium. With SCREENSHOTS=folder it takes a picture of each
// step.
func TestDemoPage(t *testing.T) {
	t.Parallel()
	needProgram(t, "chromium")
	binary := buildMinidoor(t)
	browser := startBrowser(t)
	for _, v := range []visit{
		{"en", 375, "Welcome", "Signed in: a new user was created.", "(no nickname yet)", "bob’s phone"},
		{"en", 1440, "Welcome", "Signed in: a new user was created.", "(no nickname yet)", "bob’s phone"},
		{"zh-CN", 375, "欢迎", "登录成功：已创建新用户。", "（还没有昵称）", "bob 的手机"},
		{"zh-CN", 1440, "欢迎", "登录成功：已创建新用户。", "（还没有昵称）", "bob 的手机"},
	} {
		t.Run(fmt.Sprintf("%s %d", v.language, v.width), func(t *testing.T) {
			t.Parallel()
			c, _ := startDemo(t, binary)
			p := openPage(t, browser, c.URL, "/demo", v)
			p.walk()
			p.checkQuiet()
		})
	}
}

// TestDemoPageForWhoSeesItOtherwise looks at it in a narrow window, with colours of the visitor's own, and without
// JavaScript.
func TestDemoPageForWhoSeesItOtherwise(t *testing.T) {
	t.Parallel()
	needProgram(t, "chromium")
	c, _ := startDemo(t, buildMinidoor(t))
	p := openPage(t, startBrowser(t), c.URL, "/demo", visit{language: "en", width: 320})
	p.forceColours()
	p.click("#signin")
	p.arrive("profile", "code", "token", "account")
	const beyond = `document.getElementById("avatars").offsetWidth - document.getElementById("save").offsetWidth`
	assert.LessOrEqual(t, get(p, chromedp.Evaluate[int](beyond)), 0, "avatars leave the phone")
	p.do(chromedp.KeyEvent("\t"))
	const outline = `getComputedStyle(document.querySelector("#avatars input:focus + .picture")).outlineStyle`
	assert.Equal(t, "dashed", get(p, chromedp.Evaluate[string](outline)), "the focus is not to be seen")

	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}), chromedp.Navigate(c.URL+"/demo"))
	shown := get(p, chromedp.Evaluate[string](`document.body.innerText.trim()`))
	assert.Equal(t, "This page needs JavaScript. 此页面需要 JavaScript。", shown)
	height := get(p, chromedp.Evaluate[int](`document.querySelector("main").offsetHeight`))
	assert.Zero(t, height, "a phone that does nothing")
}

// startBrowser returns the context of a headless Chromium.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("lang", "en-US"), chromedp.WSURLReadTimeout(pagePatience))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// visit is a way to look at the page, and words that it shows then.
type visit struct {
	language string
	width    int

	welcome, created, noName, nextHolder string
}

// page is a browser tab, with cookies of its own.
type page struct {
	t     *testing.T
	ctx   context.Context
	url   string // of the server
	visit visit
	steps []string // that the log should have; never nil

	refusals *regexp.Regexp // what the browser says of answers that are meant to be errors; nil: there are none
	shots    int

	mu       sync.Mutex
	problems []string // what a visitor would see in the browser's console, and requests that leave the server
}

func openPage(t *testing.T, browser context.Context, url, path string, v visit) *page {
	t.Helper()
	p := &page{t: t, url: url, visit: v, steps: []string{}}
	var cancel context.CancelFunc
	p.ctx, cancel = chromedp.NewContext(browser, chromedp.WithListener(p.listen), chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(p.ctx)) // the tab lives as long as the context that it is opened with
	var device []chromedp.EmulateViewportOption
	if v.width < 600 {
		device = append(device, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	p.do(chromedp.EmulateViewport(int64(v.width), 900, device...), chromedp.Navigate(url+path))
	return p
}

// listen notes what a page that is in order does not do.
func (p *page) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.note("exception: " + e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		p.note("console: " + string(e.Type))
	case *log.EventEntryAdded: // violations of the content security policy too
		if e.Entry.Source == log.EntrySourceNetwork && p.refusals != nil && p.refusals.MatchString(e.Entry.Text) {
			return
		}
		p.note("log: " + e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, p.url+"/") && !strings.HasPrefix(e.Request.URL, "data:") {
			p.note("request to another origin: " + e.Request.URL)
		}
	}
}

func (p *page) note(problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, problem)
}

func (p *page) checkQuiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	assert.Empty(p.t, p.problems)
}

// pagePatience is how long something on a page may take. A whole visit may take many times as long on a slow machine.
const pagePatience = 2 * time.Minute

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pagePatience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, actions...))
}

// get returns what an action on the page brings.
func get[T any](p *page, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pagePatience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	require.NoError(p.t, err)
	return value
}

func (p *page) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// text returns what an element shows.
func (p *page) text(selector string) string {
	p.t.Helper()
	return strings.TrimSpace(get(p, chromedp.Text(chromedp.CSS(selector), chromedp.NodeReady)))
}

// arrive waits until the phone shows a view and is idle, and the log has got more steps. What then holds everywhere is
// checked.
func (p *page) arrive(view string, more ...string) {
	p.t.Helper()
	p.steps = append(p.steps, more...)
	ready := fmt.Sprintf(`#phone[data-view="%s"][aria-busy="false"]`, view)
	if n := len(p.steps); n > 0 {
		ready = fmt.Sprintf(`body:has(#log > li:nth-child(%d)) %s`, n, ready)
	}
	p.do(chromedp.WaitVisible(chromedp.CSS(ready)))
	p.loaded()
	const steps = `[...document.querySelectorAll("#log > li")].map((li) => li.dataset.step)`
	assert.Equal(p.t, p.steps, get(p, chromedp.Evaluate[[]string](steps)))
	p.checkWidth(view)
	assert.Empty(p.t, p.text("#error"))
	p.screenshot(view)
}

// loaded waits for what the page names, its stylesheet above all: without it, a page that is all there is wider.
func (p *page) loaded() {
	p.t.Helper()
	const load = `document.readyState === "complete" || new Promise((done) => addEventListener("load", () => done(true)))`
	require.True(p.t, get(p, chromedp.Evaluate[bool](load, chromedp.EvalAwaitPromise)))
}

func (p *page) checkWidth(view string) {
	p.t.Helper()
	width := get(p, chromedp.Evaluate[int](`document.documentElement.scrollWidth`))
	assert.LessOrEqual(p.t, width, p.visit.width, "%s is wider than the window", view)
}

func (p *page) screenshot(view string) {
	p.t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	p.shots++
	png := get(p, chromedp.FullScreenshot(100))
	name := fmt.Sprintf("%s-%d-%02d-%s.png", p.visit.language, p.visit.width, p.shots, view)
	require.NoError(p.t, os.WriteFile(filepath.Join(folder, name), png, 0o600))
}

const nickname = "小明 🐼"

// walk signs alice in, fills in her profile, comes back as her, and then as bob.
func (p *page) walk() {
	if p.visit.language != "en" {
		p.click("#lang")
	}
	p.arrive("welcome")
	assert.Equal(p.t, p.visit.language, get(p, chromedp.Evaluate[string](`document.documentElement.lang`)))
	assert.Equal(p.t, p.visit.welcome, p.text(`[data-t="welcomeTitle"]`))

	p.click("#signin")
	p.arrive("profile", "code", "token", "account")
	assert.Equal(p.t, p.visit.created, p.text("#status"))
	p.click(`#avatars label:has(input[value="panda"])`)
	p.do(chromedp.SendKeys(chromedp.CSS("#nickname"), nickname))
	p.click("#save")
	p.arrive("account", "profile")
	p.checkAccount("alice")

	p.click("#refresh")
	p.arrive("account", "renewal")
	p.click("#reload")
	p.arrive("account", "account")
	p.click("#signout")
	p.arrive("welcome", "logout")
	p.click("#signin")
	p.arrive("account", "code", "token", "account")
	p.checkAccount("alice")
	p.checkLog()

	p.click("#switch-user")
	p.arrive("welcome")
	assert.Equal(p.t, p.visit.nextHolder, p.text("#holder"))
	p.click("#signin")
	p.arrive("profile", "code", "token", "account")
	p.click("#later")
	p.arrive("account")
	assert.Equal(p.t, p.visit.noName, p.text("#display-name"))
	assert.Contains(p.t, p.text("#facts"), "wechat-oDemo_bob")
}

func (p *page) checkAccount(user string) {
	p.t.Helper()
	assert.Equal(p.t, nickname, p.text("#display-name"))
	assert.Contains(p.t, p.text("#facts"), "wechat-oDemo_"+user)
	p.do(chromedp.WaitReady(chromedp.CSS(`#picture use[href="#avatar-panda"]`)))
}

// checkLog looks for what the log must not show.
func (p *page) checkLog() {
	p.t.Helper()
	text := get(p, chromedp.TextContent(chromedp.CSS("#log")))
	assert.Contains(p.t, text, "access_token")
	assert.NotRegexp(p.t, regexp.MustCompile(`eyJ[\w-]{12}`), text, "a token is shown whole")
	assert.NotContains(p.t, strings.ToLower(text), "session_key")
}
