// Package fakewechat is a stand-in for api.weixin.qq.com: what WeChat's server API does when a mini program signs in,
// and, on request, what it does when it fails. Tests, benchmarks and the -demo flag use it.
package fakewechat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// The paths that a Server serves.
const (
	PathCode2Session = "/sns/jscode2session"
	PathStableToken  = "/cgi-bin/stable_token"
	PathCheckSession = "/wxa/checksession"
	PathPhone        = "/wxa/business/getuserphonenumber"
	PathCheckText    = "/wxa/msg_sec_check"
	PathCheckImage   = "/wxa/img_sec_check"
	PathCheckMedia   = "/wxa/media_check_async"
)

const defaultCodesPerMinute = 100

// Options set a Server up. AppID and AppSecret are the only ones it needs.
type Options struct {
	AppID     string // the one mini program that the server knows
	AppSecret string // its secret

	Now func() time.Time // the clock of codes, quotas and tokens; nil means time.Now

	// CodesPerMinute is how many codes of one user may be exchanged in a minute; zero means 100, as WeChat has it, and
	// less than zero means no limit.
	CodesPerMinute int

	// SelfMintedCodes accepts codes "u:OPENID:NONCE" and "u:OPENID:UNIONID:NONCE" that nobody asked NewCode for, each
	// once, so that a load test can make its own.
	SelfMintedCodes bool

	// KeepSecrets makes Secrets complete. The memory for it grows with every sign-in.
	KeepSecrets bool
}

// Server is a fake api.weixin.qq.com. It is an http.Handler, safe for concurrent use.
type Server struct {
	Arrivals

	options Options
	routes  map[string]http.HandlerFunc
	closed  context.Context
	close   context.CancelFunc

	mu      sync.Mutex
	secrets []string
	codes   codes
	phones  phoneCodes
	users   map[string]*user
	tokens  tokens
	rules   []rule
	media   []MediaCheck
}

var _ http.Handler = (*Server)(nil)

// New returns a Server without users.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CodesPerMinute == 0 {
		o.CodesPerMinute = defaultCodesPerMinute
	}
	s := &Server{
		options: o,
		codes:   newCodes(),
		phones:  phoneCodes{},
		users:   map[string]*user{},
		tokens:  tokens{expires: map[string]time.Time{}},
	}
	s.closed, s.close = context.WithCancel(context.Background())
	s.routes = map[string]http.HandlerFunc{
		PathCode2Session: s.code2Session,
		PathStableToken:  s.stableToken,
		PathCheckSession: s.checkSession,
		PathPhone:        s.phone,
		PathCheckText:    s.checkText,
		PathCheckImage:   s.checkImage,
		PathCheckMedia:   s.checkMedia,
	}
	return s
}

// Close ends the calls that hang. It does not stop the server from answering others.
func (s *Server) Close() { s.close() }

// ServeHTTP answers a call as WeChat does, or as an injected fault wants it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, found := s.routes[r.URL.Path]
	if !found {
		http.NotFound(w, r)
		return
	}
	fault := s.Arrive(r.URL.Path)
	if fault == nil {
		answer(w, r)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closed, cancel)()
	fault(w, r.WithContext(ctx), answer)
}

// Secrets returns what must appear in no log: the AppSecret and, with Options.KeepSecrets, every code, phone code,
// SessionKey and access token that the server gave out or took.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{s.options.AppSecret}, s.secrets...)
}

// keep remembers a secret. The caller holds s.mu.
func (s *Server) keep(secret string) {
	if s.options.KeepSecrets {
		s.secrets = append(s.secrets, secret)
	}
}

// reply writes v as WeChat does: JSON that is called text.
func reply(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings and numbers are ever passed
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Write(body) //nolint:errcheck // the client is gone
}

// status is a reply that says no more than how it went.
type status struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

// refuse writes an error with WeChat's words and an id of the call.
func refuse(w http.ResponseWriter, code int) {
	reply(w, status{code, messageOf(code)})
}

func messageOf(code int) string {
	return fmt.Sprintf("%s, rid: %08x-%08x-%08x", words(code), rand.Uint32(), rand.Uint32(), rand.Uint32())
}

func words(code int) string {
	text, found := map[int]string{
		-1:    "system error",
		40001: "invalid credential, access_token is invalid or not latest",
		40002: "invalid grant_type",
		40003: "invalid openid",
		40004: "invalid media type",
		40005: "invalid file type",
		40006: "invalid meida size",
		40013: "invalid appid",
		40029: "invalid code",
		40125: "invalid appsecret",
		40129: "invalid scene",
		40163: "code been used",
		40164: "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist",
		40226: "code blocked",
		41001: "access_token missing",
		41002: "appid missing",
		41004: "appsecret missing",
		41008: "missing code",
		41005: "media data missing",
		43002: "require POST method",
		43104: "the openid does not match the appid",
		44002: "empty post data",
		44991: "reach max api minute frequence",
		45009: "reach max api daily quota limit",
		45011: "api minute-quota reach limit, must slower, retry next minute",
		47001: "data format error",
		48001: "api unauthorized",
		61010: "code is expired", // of a user who was away for too long
		87007: "session_key is not existd or expired",
		87008: "invalid sig_method",
		87009: "invalid signature",
		87014: "risky content",
		87020: "repeat request limit exceeded",
	}[code]
	if !found {
		return "error"
	}
	return text
}

// readJSON reads the body of a POST into v and returns WeChat's errcode, or 0.
func readJSON(r *http.Request, v any) int {
	if r.Method != http.MethodPost {
		return 43002
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	switch {
	case err == nil && len(body) == 0:
		return 44002
	case err != nil || json.Unmarshal(body, v) != nil:
		return 47001
	}
	return 0
}

// readCall is readJSON for the calls that want an access token.
func (s *Server) readCall(r *http.Request, v any) int {
	if errcode := s.checkToken(r.URL.Query().Get("access_token")); errcode != 0 {
		return errcode
	}
	return readJSON(r, v)
}
