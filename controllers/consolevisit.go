package controllers

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	beecontext "github.com/beego/beego/v2/server/web/context"

	"github.com/minidoor/minidoor/object"
)

// consolePolicy lets the pages load from this server alone, but for pictures: users' avatars are where they chose.
const consolePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data: https:; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// visit is one request for a page of the console.
type visit struct {
	*Base

	w      http.ResponseWriter
	r      *http.Request
	caller *object.Caller // nil: nobody has signed in
	words  *words
	theme  string // "light", "dark" or "": as the browser likes it
	here   string // the page to come back to after another language is chosen, say; empty: none, it is shown once
}

func newVisit(b *Base) *visit {
	r := b.Ctx.Request
	v := &visit{
		Base: b, w: b.Ctx.ResponseWriter, r: r, words: b.Deps.site().words[preferredLanguage(r)], theme: themeOf(r),
		here: r.URL.Path,
	}
	if r.Method == http.MethodGet {
		v.here = r.URL.RequestURI()
	}
	return v
}

// identify sets the caller: the admin of the session's cookie, or nobody. Other users have nothing to do here.
func (v *visit) identify() error {
	c, err := v.sessionCaller()
	if err != nil || c.Role == object.Nobody {
		return err
	}
	if c.Role < object.Admin {
		return membersMayNot()
	}
	c.ClientIP, c.Address = v.Deps.clientIP(v.r), v.r.Method+" "+v.r.URL.Path
	v.caller = c
	return nil
}

func membersMayNot() *APIError {
	return forbidden("The console is for administrators", nil)
}

// isOwner reports whether this server is the Casdoor itself, whose rows it may change.
func (v *visit) isOwner() bool { return v.Deps.Authority != nil }

// view is what a page's template gets.
type view struct {
	Page     string // the template's name
	Section  string // of the navigation
	Data     any
	Caller   *object.Caller
	Here     string // see visit.here
	Language string
	Theme    string
	Done     string // what has just been done: the end of a text's key; empty: nothing
	Owner    bool   // see visit.isOwner
	Casdoor  string // where the pages of the other Casdoor are; empty: there is none
}

// render answers with a page.
func (v *visit) render(status int, page string, data any) error {
	var text bytes.Buffer
	err := v.Deps.site().pages[v.words.tag][page].Execute(&text, view{
		Page: page, Section: sectionOf(v.r.URL.Path), Data: data, Caller: v.caller, Here: v.here,
		Language: v.words.tag, Theme: v.theme,
		Done: v.done(v.r.URL.Query().Get("done")), Owner: v.isOwner(), Casdoor: v.casdoor(),
	})
	if err != nil {
		return err
	}
	v.header("text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(text.Bytes()) // the client has left
	return nil
}

func (v *visit) header(contentType string) {
	h := v.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", consolePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
}

// download sends a file to keep.
func (v *visit) download(contentType, name string, body []byte) {
	v.header(contentType)
	v.w.Header().Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(name))
	_, _ = v.w.Write(body) // the client has left
}

// done returns the name of a message, if there is such a one: the query is anybody's to write.
func (v *visit) done(name string) string {
	if v.words.has("done." + name) {
		return name
	}
	return ""
}

// casdoor returns where the other Casdoor's pages are: this server passes them on.
func (v *visit) casdoor() string {
	if v.isOwner() {
		return ""
	}
	return v.Deps.origin(v.r)
}

func sectionOf(path string) string {
	section, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, consoleRoot), "/"), "/")
	return section
}

// leave answers a form with a page that a reload may repeat. done names the message that it shows; empty: none.
func (v *visit) leave(path string, query url.Values, done string) error {
	if query == nil {
		query = url.Values{}
	}
	if done != "" {
		query.Set("done", done)
	}
	to := consoleRoot + path
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	v.redirect(to)
	return nil
}

func (v *visit) redirect(to string) {
	v.header("text/plain; charset=utf-8")
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// askToSignIn has the visitor sign in, and come back.
func (v *visit) askToSignIn() error {
	if v.r.Method != http.MethodGet {
		return v.askToSendAgain()
	}
	query := url.Values{}
	if v.r.URL.Path != consoleRoot {
		query.Set("next", v.r.URL.RequestURI())
	}
	return v.leave("/sign-in", query, "")
}

// nextOf returns where to go after a sign-in: a page of the console, whatever the request says.
func nextOf(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !isConsole(u.Path) ||
		strings.ContainsAny(path, "\\\r\n") || strings.Contains(u.Path, "..") {
		return consoleRoot
	}
	return u.RequestURI()
}

// problem is what the page of an error shows.
type problem struct {
	Status    int
	Key       string // of the texts
	RequestID string
	SignOut   bool // the visitor is signed in as somebody who may not come in
}

// fail logs an error and shows its page.
func (v *visit) fail(err error) {
	e := pageError(err)
	logError(v.Deps.Logger, v.r, "request refused", e, upstreamAttrs(err)...)
	v.showError(e)
}

func pageError(err error) *APIError {
	if errors.Is(err, object.ErrNotFound) {
		return notFound()
	}
	e := apiError(err)
	if e.Code == object.AccessDenied && e.Status == http.StatusBadRequest {
		denied := *e
		denied.Status = http.StatusForbidden
		return &denied
	}
	return e
}

func (v *visit) showError(e *APIError) {
	p := problem{Status: e.Status, Key: "error.500", RequestID: requestID(v.r.Context())}
	switch e.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusTooManyRequests,
		http.StatusServiceUnavailable, http.StatusNotImplemented:
		p.Key = "error." + strconv.Itoa(e.Status)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		p.Key = "error.400"
	}
	_, signedIn := v.Deps.sessionToken(v.r)
	p.SignOut = signedIn && v.caller == nil && e.Status == http.StatusForbidden
	setRetryAfter(v.w, e)
	if err := v.render(e.Status, "error", p); err != nil {
		v.Deps.Logger.ErrorContext(v.r.Context(), "page", "cause", err)
		writeError(v.w, casdoorShape, serverError(err))
	}
}

// errorPage answers with the page of an error that has been logged.
func (d *Deps) errorPage(w http.ResponseWriter, r *http.Request, e *APIError) {
	b := &Base{Deps: d}
	b.Ctx = beecontext.NewContext()
	b.Ctx.Reset(w, r)
	newVisit(b).showError(e)
}
