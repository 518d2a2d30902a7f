package controllers

import (
	"cmp"
	"context"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/beego/beego/v2/server/web"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/provider"
)

// Deps is what the controllers work with. The zero value of a field means what its comment says.
type Deps struct {
	Service        *object.Service   // required
	Console        *object.Authority // of the console, and of passwords; nil: there is neither
	Authority      *object.Authority // Console, or nil: another Casdoor answers all but the mini programs' calls
	Origin         string            // the server's public URL, without a slash at its end; empty: as each request names it
	TrustedProxies []netip.Prefix    // who may say X-Forwarded-For and X-Forwarded-Proto; empty: nobody
	Version        string            // of this build
	Logger         *slog.Logger      // nil: silent
	Demo           *Demo             // nil: no /demo
	Files          *blob.Folder      // served at /avatars; nil: avatars are in a bucket, or nowhere
	Draining       <-chan struct{}   // closed when the server is about to end; nil: never
	Upstream       *url.URL          // the Casdoor that gets every request that is not ours; nil: none
	Limits         *Limits           // nil: those of the zero LimitsConfig
	Metrics        *Metrics          // nil: off
	Watch          *object.Watch     // nil: sign-ins are not kept in the database
	MetricsToken   provider.Secret   // the bearer token that may read Metrics; empty: none may

	site       func() *consoleSite // what the pages of the console are made of
	wholeLists chan struct{}       // holds one for each list of all rows that is being answered
	largePages chan struct{}       // as above, of large pages
}

// Limits of one request; upload.go has those of uploads.
const (
	maxBody        = 1 << 20
	requestTimeout = 20 * time.Second
)

// limitsOf returns how large the body of a request may be, in bytes, and how long the request may take.
func limitsOf(path string) (body int64, timeout time.Duration) {
	if path == avatarPath || path == resourcePath {
		return maxUpload, uploadTimeout
	}
	return maxBody, requestTimeout
}

// New returns the handler of all routes. Several may live in one process.
func New(deps Deps) http.Handler {
	deps.Logger = cmp.Or(deps.Logger, slog.New(slog.DiscardHandler))
	if deps.Limits == nil {
		deps.Limits = NewLimits(LimitsConfig{Logger: deps.Logger})
	}
	cfg := &web.Config{
		AppName: "minidoor", RunMode: web.PROD, RouterCaseSensitive: true, MaxMemory: maxBody, MaxUploadSize: maxUpload,
	}
	cfg.WebConfig.AutoRender = false
	app := web.NewHttpServerWithCfg(cfg)
	deps.site = sync.OnceValue(newConsoleSite) // when the first visit needs it
	deps.wholeLists, deps.largePages = make(chan struct{}, maxWholeLists), make(chan struct{}, maxLargePages)
	allowed := register(app, &deps)
	app.Handlers.Init()
	own := &server{deps: &deps, next: app.Handlers, allowed: allowed}
	if deps.Upstream == nil {
		return own
	}
	return newGateway(&deps, own)
}

// server stands before beego: it does what holds for every request.
type server struct {
	deps    *Deps
	next    http.Handler
	allowed map[string]string // path → the methods it has, for the header Allow
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, timeout := limitsOf(r.URL.Path)
	ctx, serving := withServing(r)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r = r.WithContext(ctx)
	route, methods := routeOf(s.allowed, r.URL.Path)
	conn := w
	w, done := s.deps.Metrics.request(conn, r, route)
	defer done()
	header := w.Header()
	header.Set(requestIDHeader, serving.id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	s.deps.letRead(w, r)
	s.deps.sayGoodbye(header)
	defer s.recover(w, r)
	if isPreflight(r) {
		allowPreflight(w)
		return
	}
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet // net/http keeps the body back
	}
	if s.refuses(w, r, route, methods) {
		return
	}
	r.Body = http.MaxBytesReader(conn, r.Body, body) // of net/http itself: it closes the connection then
	// An upload is not kept in memory, and what a gateway looks into has its place already.
	if body == maxBody && (s.deps.Upstream == nil || !isLookedInto(r.URL.Path, r)) {
		defer s.deps.Limits.boundBody(r)()
	}
	hideForm(r)
	s.next.ServeHTTP(w, r)
	if serving.last != nil {
		serving.last(w)
	}
}

// refuses answers a request that is not for beego, and reports whether it did.
func (s *server) refuses(w http.ResponseWriter, r *http.Request, route, methods string) bool {
	form := shapeOf(r.URL.Path)
	if err := s.limit(r); err != nil {
		s.deny(w, r, form, apiError(err))
	} else if route == routeUnknown {
		form, e := notServed(r.URL.Path)
		s.deny(w, r, form, e)
	} else if !allows(methods, r.Method) {
		w.Header().Set("Allow", methods)
		s.deny(w, r, form, methodNotAllowed(methods))
	} else if err := s.deps.sameSite(r); err != nil {
		logError(s.deps.Logger, r, "request refused", err)
		s.deny(w, r, form, err)
	} else {
		return false
	}
	return true
}

// deny answers with an error: in a form of the API, or on a page.
func (s *server) deny(w http.ResponseWriter, r *http.Request, form shape, e *APIError) {
	if isConsole(r.URL.Path) && s.deps.Console != nil {
		s.deps.errorPage(w, r, e)
		return
	}
	writeError(w, form, e)
}

// limit counts the request of a client. A load balancer may always ask how the server is.
func (s *server) limit(r *http.Request) error {
	if r.URL.Path == healthPath || r.URL.Path == ownHealthPath {
		return nil
	}
	return s.deps.Limits.request(r.Context(), s.deps.network(r))
}

// hideForm keeps beego from parsing the body: it would answer a malformed one with an HTML page, and take a method
// from a field named "_method".
func hideForm(r *http.Request) {
	r.Form, r.PostForm, r.MultipartForm = url.Values{}, url.Values{}, &multipart.Form{}
}

func (s *server) recover(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	s.deps.Logger.ErrorContext(r.Context(), "panic", "path", r.URL.Path, "cause", provider.PanicError(cause),
		"stack", string(debug.Stack()))
	s.deny(w, r, shapeOf(r.URL.Path), serverError(nil))
}
