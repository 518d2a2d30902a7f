// Package fakecasdoor is a stand-in for a Casdoor: the REST calls that casdoor-go-sdk makes for us, with what Casdoor
// v3.158 answers to them (its faults included), and an upstream that shows how a gateway passes requests on.
package fakecasdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/test/fakewechat"
)

// What a new Server knows.
const (
	Organization = "shop"
	Application  = "app-shop"
	Provider     = "wxmp"
	Cert         = "cert-built-in"
	ClientID     = "shopclient0000000000"
	ClientSecret = "shopsecret000000000000000000000000000000"
	AppID        = "wx1234567890abcdef"
	AdminName    = "boss"
)

// Options set a Server up. The zero Options are those of a Casdoor with one shop.
type Options struct {
	Now     func() time.Time // the clock of rows and tokens; nil means time.Now
	KeyBits int              // of the cert's RSA key; 0 means 2048, which is quicker to make than Casdoor's 4096
	Rows    func(*Rows)      // changes the settings that the server starts with; may be nil
	Users   []sdk.User       // more users beside the admin
}

// Server is a fake Casdoor. It is an http.Handler, safe for concurrent use; all it knows is in memory.
type Server struct {
	fakewechat.Arrivals

	now    func() time.Time
	routes map[string]handler
	others map[string]http.HandlerFunc
	closed context.Context
	close  context.CancelFunc

	lines    chan string
	ends     chan struct{}
	streams  atomic.Int64
	uploaded counter

	mu     sync.Mutex
	rows   Rows
	users  map[string]sdk.User  // by owner/name
	tokens map[string]sdk.Token // as above
}

var _ http.Handler = (*Server)(nil)

// New returns a Server with the rows of Options.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.KeyBits == 0 {
		o.KeyBits = 2048
	}
	s := &Server{
		now:    o.Now,
		lines:  make(chan string),
		ends:   make(chan struct{}),
		rows:   newRows(o.KeyBits, o.Now()),
		users:  map[string]sdk.User{},
		tokens: map[string]sdk.Token{},
	}
	s.closed, s.close = context.WithCancel(context.Background())
	s.routes, s.others = s.api(), s.upstream()
	if o.Rows != nil {
		o.Rows(&s.rows)
	}
	for _, u := range append([]sdk.User{admin()}, o.Users...) {
		s.SetUser(u)
	}
	return s
}

// Close ends the requests that hang and the open streams. It does not stop the server from answering others.
func (s *Server) Close() { s.close() }

// ServeHTTP answers a request as Casdoor does, or as an injected fault wants it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closed, cancel)()
	r = r.WithContext(ctx)
	if fault := s.Arrive(r.URL.Path); fault != nil {
		fault(w, r, s.answer)
		return
	}
	s.answer(w, r)
}

// call is a request to Casdoor's API.
type call struct {
	*http.Request
	body []byte
	user string // owner/name of who calls: "app/app-shop" for a client with its secret, "" for nobody
}

// handler returns the reply to a call: a value for JSON, status 200; a tokenError has its own status.
type handler func(*call) any

func (s *Server) api() map[string]handler {
	return map[string]handler{
		"/api/get-application":           s.getApplication,
		"/api/get-applications":          s.getApplications,
		"/api/get-organization":          s.getOrganization,
		"/api/get-provider":              s.getProvider,
		"/api/get-cert":                  s.getCert,
		"/api/get-certs":                 s.getCerts,
		"/api/get-account":               s.getAccount,
		"/api/get-user":                  s.getUser,
		"/api/add-user":                  s.addUser,
		"/api/update-user":               s.updateUser,
		"/api/delete-user":               s.deleteUser,
		"/api/get-token":                 s.getToken,
		"/api/add-token":                 s.addToken,
		"/api/delete-token":              s.deleteToken,
		"/api/logout":                    s.logout,
		"/api/login/oauth/access_token":  s.oauthToken,
		"/api/login/oauth/refresh_token": s.oauthRefresh,
		"/api/login/oauth/introspect":    s.introspect,
		"/api/health":                    func(*call) any { return done(nil) },
		"/.well-known/jwks":              s.jwks,
		pathDiscovery:                    s.discovery,
	}
}

// answer gives the right answer, after Casdoor's two filters: who calls, and whether they may.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	handle, found := s.routes[r.URL.Path]
	if !found {
		s.passOn(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ParseMultipartForm(1 << 20) //nolint:errcheck // most bodies are no forms
	c := &call{Request: r, body: body}
	var problem string
	if c.user, problem = s.signedIn(r); problem == "" && !s.allowed(c) {
		problem = unauthorized
	}
	if problem != "" {
		write(w, filtered{"error", problem, nil, nil})
		return
	}
	write(w, handle(c))
}

// filtered is a refusal of Casdoor's filters, which has fewer fields than the replies behind them.
type filtered struct {
	Status string `json:"status"`
	Msg    string `json:"msg"`
	Data   any    `json:"data"`
	Data2  any    `json:"data2"`
}

func done(data any) sdk.Response { return sdk.Response{Status: "ok", Data: data} }

func refuse(message string) sdk.Response { return sdk.Response{Status: "error", Msg: message} }

// affected is the reply to a change of a row.
func affected(changed bool) sdk.Response {
	if changed {
		return done("Affected")
	}
	return done("Unaffected")
}

func write(w http.ResponseWriter, reply any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if e, ok := reply.(tokenError); ok {
		e.writeHeader(w)
	}
	json.NewEncoder(w).Encode(reply) //nolint:errcheck // the client is gone
}
