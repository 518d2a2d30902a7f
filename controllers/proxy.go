package controllers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minidoor/minidoor/object"
)

// proxyBuffer is what one passed-through request copies at a time, in bytes.
const proxyBuffer = 32 << 10

// gatewayHeader names the gateways that have passed a request on.
const gatewayHeader = "Minidoor-Gateway"

// newProxy returns a handler that passes requests on to the Casdoor at deps.Upstream: path, query, headers and body as
// they came, without the hop-by-hop headers (RFC 9110 §7.6.1), streams as they flow, WebSockets too. gateway is added to
// gatewayHeader.
func newProxy(deps *Deps, gateway string) *httputil.ReverseProxy {
	casdoor := &upstream{deps: deps}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(deps.Upstream)
			r.Out.Host = r.In.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			dropCookies(r.Out)
			dropUpgrade(r.Out.Header)
			deps.forward(r.In, r.Out.Header)
			r.Out.Header.Add(gatewayHeader, gateway)
		},
		Transport:      newProxyTransport(),
		BufferPool:     &bufferPool{},
		ModifyResponse: casdoor.answered,
		ErrorHandler:   casdoor.failed,
		ErrorLog:       slog.NewLogLogger(deps.Logger.Handler(), slog.LevelDebug),
	}
}

func newProxyTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns:        1024,
		MaxIdleConnsPerHost: 512,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // what the client did not ask for is not unpacked for it
	}
}

// dropCookies takes the cookies of the console out of a request: the Casdoor could do with them what the admin can.
func dropCookies(r *http.Request) {
	cookies := r.Cookies()
	if !slices.ContainsFunc(cookies, isPasswordCookie) {
		return
	}
	r.Header.Del("Cookie")
	for _, cookie := range slices.DeleteFunc(cookies, isPasswordCookie) {
		r.AddCookie(cookie)
	}
}

// dropUpgrade keeps a request from leaving HTTP/1.1, but for a WebSocket: what stands before the Casdoor may speak
// HTTP/2 in clear, and requests inside such a connection would get past the gateway unseen.
func dropUpgrade(h http.Header) {
	if upgrade := h.Get("Upgrade"); upgrade != "" && !strings.EqualFold(upgrade, "websocket") {
		h.Del("Upgrade")
		h.Del("Connection")
	}
}

// forward tells the Casdoor who asks: the client, behind those that the proxies before us have named, if we trust them.
func (d *Deps) forward(in *http.Request, out http.Header) {
	host, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		return
	}
	hops, proto, name := []string{host}, "http", in.Host
	if d.trusts(host) {
		hops = append(in.Header.Values("X-Forwarded-For"), host)
		for header, value := range map[string]*string{"X-Forwarded-Proto": &proto, "X-Forwarded-Host": &name} {
			if said := in.Header.Get(header); said != "" {
				*value = said
			}
		}
		if said := in.Header.Values("Forwarded"); len(said) > 0 {
			out["Forwarded"] = said
		}
	}
	out.Set("X-Forwarded-For", strings.Join(hops, ", "))
	out.Set("X-Forwarded-Proto", proto)
	out.Set("X-Forwarded-Host", name)
}

// upstream is the Casdoor behind a gateway. Of the requests that it does not answer the log has the first, then one in
// each refusalPause, and their number when it answers again: a line for each would make a storm worse.
type upstream struct {
	deps       *Deps
	unanswered atomic.Int64
	mu         sync.Mutex
	last, told time.Time // of the unanswered ones
}

// upstreamPause is how long no request may have failed before the Casdoor is said to answer again: one that answers
// here and there would have two lines for each that fails.
const upstreamPause = time.Second

// failed answers for a Casdoor that does not, if the client is still there.
func (u *upstream) failed(w http.ResponseWriter, r *http.Request, err error) {
	if gone := r.Context().Err(); gone != nil {
		err = gone // whatever broke by that: the body ends too early, for one
	}
	e, known := errors.AsType[*APIError](orLeft(r, err))
	if !known {
		e = &APIError{
			Status: http.StatusBadGateway, Code: object.Unavailable, Message: "Casdoor does not answer",
			Err: fmt.Errorf("no answer from Casdoor: %w", err), Told: !u.toTell(),
		}
	}
	u.deps.notPassed(w, r, shapeOf(r.URL.Path), e)
}

// toTell notes a request that is not answered, and reports whether the log is to have it.
func (u *upstream) toTell() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last = time.Now()
	if u.unanswered.Add(1) > 1 && u.last.Sub(u.told) < refusalPause {
		return false
	}
	u.told = u.last
	return true
}

// answered notes an answer.
func (u *upstream) answered(*http.Response) error {
	if u.unanswered.Load() == 0 {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := u.unanswered.Load(); n > 0 && time.Since(u.last) >= upstreamPause {
		u.unanswered.Store(0)
		u.deps.Logger.Info("Casdoor answers again", "unanswered", n)
	}
	return nil
}

// clientBody is the body of a request that is passed on. What is wrong with it is an *APIError: it is not the Casdoor
// that fails.
type clientBody struct{ io.ReadCloser }

// Read implements io.Reader.
func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if _, told := errors.AsType[*APIError](err); err == nil || err == io.EOF || told {
		return n, err
	}
	e := badRequest("the body of the request cannot be read")
	e.Err = err
	return n, e
}

// notPassed answers a request that is not passed on, and logs why, under one request id.
func (d *Deps) notPassed(w http.ResponseWriter, r *http.Request, form shape, e *APIError) {
	ctx, serving := withServing(r)
	w.Header().Set(requestIDHeader, serving.id)
	d.letRead(w, r)
	if !errors.Is(e.Err, context.Canceled) {
		logError(d.Logger, r.WithContext(ctx), "pass-through", e)
	}
	writeError(w, form, e)
}

// bufferPool implements httputil.BufferPool.
type bufferPool struct{ pool sync.Pool }

// Get returns a buffer.
func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, proxyBuffer)
}

// Put takes a buffer back.
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
