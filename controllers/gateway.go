package controllers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minidoor/minidoor/object"
)

// gateway stands before a Casdoor. What mini programs ask is answered here; everything else goes to the Casdoor as it
// is, and its answer comes back as it is.
type gateway struct {
	deps  *Deps
	own   http.Handler
	proxy *httputil.ReverseProxy
	name  string // of this gateway, by which it knows what it has passed on itself
}

func newGateway(deps *Deps, own http.Handler) *gateway {
	name := rand.Text()
	return &gateway{deps, own, newProxy(deps, name), name}
}

// errLoop is what a casdoorUpstream is found out by that ends here again, directly or through the proxies before: each
// request would go round until there are no more connections.
var errLoop = errors.New("casdoorUpstream leads back to this server")

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := routed(r.URL.Path)
	if isLookedInto(path, r) {
		defer g.deps.Limits.boundBody(r)()
	}
	if g.isOurs(path, r) {
		r.URL.Path = path
		g.own.ServeHTTP(w, r)
		return
	}
	w, done := g.deps.Metrics.request(w, r, routeCasdoor)
	defer done()
	g.deps.sayGoodbye(w.Header())
	if slices.Contains(r.Header.Values(gatewayHeader), g.name) {
		g.proxy.ErrorHandler(w, r, errLoop)
		return
	}
	if r.URL.Opaque != "" {
		// Of x:http://host/path all behind the colon would be sent on, and has a path there that it does not have here.
		e := badRequest("the target of the request is neither a path nor an address with one")
		g.deps.notPassed(w, r, casdoorShape, e)
		return
	}
	if hidesHeader(r) {
		e := badRequest("the header Connection names a header that is meant for the server")
		g.deps.notPassed(w, r, shapeOf(r.URL.Path), e)
		return
	}
	leave, err := g.deps.Limits.passOn(r.Context())
	if err != nil {
		w.Header().Set("Connection", "close") // which spares us the rest of the body: it may take its time
		g.deps.notPassed(w, r, shapeOf(r.URL.Path), apiError(err))
		return
	}
	defer leave()
	g.pass(w, r)
}

// pass passes a request on. An upload or a stream lasts as long as it lasts: the Casdoor decides. When that has
// answered, or does not, there is an end to what of the body it has not read, and to reading the last of the answer.
func (g *gateway) pass(w http.ResponseWriter, r *http.Request) {
	until := func(read, write time.Time) { // a writer without deadlines has none to set
		conn := http.NewResponseController(w)
		_ = conn.SetReadDeadline(read)
		_ = conn.SetWriteDeadline(write)
	}
	until(time.Time{}, time.Time{})
	defer func() {
		end := time.Now().Add(requestTimeout)
		until(end, end.Add(answerTime)) // an answer may follow the body
	}()
	r.Body = clientBody{r.Body}
	g.proxy.ServeHTTP(w, r)
}

// routed returns the path of the route that a Casdoor's router takes a path for: that is beego's, which leaves out
// slashes and dots, and one of these ends, until beego 2 of any segment.
func routed(p string) string {
	segments := strings.Split(path.Clean(p), "/")
	for i, segment := range segments {
		for _, end := range []string{".json", ".xml", ".html"} {
			if route, ok := strings.CutSuffix(segment, end); ok {
				segments[i] = route
				break
			}
		}
	}
	return strings.Join(segments, "/")
}

// hidesHeader reports whether a request's header Connection names one that tells whose the request is: the proxy would
// take that out, and the Casdoor would read another request than we have looked through. No sender may do so
// (RFC 9110 §7.6.1).
func hidesHeader(r *http.Request) bool {
	for name := range strings.SplitSeq(strings.Join(r.Header["Connection"], ","), ",") {
		switch http.CanonicalHeaderKey(strings.TrimSpace(name)) {
		case "Content-Type", "Content-Encoding", "Content-Length", "Authorization", "Cookie":
			return true
		}
	}
	return false
}

const (
	accessTokenPath = "/api/login/oauth/access_token"
	updateUserPath  = "/api/update-user"
)

// isLookedInto reports whether it takes a request's body to know whose the request is.
func isLookedInto(path string, r *http.Request) bool {
	return r.Method == http.MethodPost && (path == accessTokenPath || path == updateUserPath)
}

func (g *gateway) isOurs(path string, r *http.Request) bool {
	switch {
	case strings.HasPrefix(path, "/api/mini-program/"):
		return true
	case strings.HasPrefix(path, filesPath):
		return g.deps.Files != nil
	case isConsole(path):
		return g.deps.Console != nil
	case !isLookedInto(path, r):
		return false
	case path == accessTokenPath:
		return g.isSignIn(r)
	default:
		return g.isOwnUpdate(r)
	}
}

// isSignIn reports whether a token request carries a tag of ours, anywhere that Casdoor may find it. One that cannot be
// looked through is ours to refuse: it is too large, or encoded, which Casdoor would undo.
func (g *gateway) isSignIn(r *http.Request) bool {
	if r.Header.Get("Content-Encoding") != "" {
		return true
	}
	body, whole := peek(r)
	for _, tag := range append(tagsOf(r.Header.Get("Content-Type"), body), formValues(r.URL.RawQuery, "tag")...) {
		if g.deps.Service.SignsIn(tag) {
			return true
		}
	}
	return !whole
}

// peek returns the body of a request, at most maxBody of it, and whether that is all. The request can be read as
// before.
func peek(r *http.Request) (body []byte, whole bool) {
	rest := r.Body
	body, err := io.ReadAll(io.LimitReader(rest, maxBody+1))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	return body, err == nil && len(body) <= maxBody
}

// tagsOf returns the values of the parameter "tag" in a body, read as form fields, as a multipart form and as JSON,
// whatever the content type says: which of them Casdoor takes hangs on how beego and Go's library read that, each in a
// way of its own. A body that is malformed has those that stand before the fault.
func tagsOf(contentType string, body []byte) []string {
	_, params, _ := mime.ParseMediaType(contentType)
	tags := append(formValues(string(body), "tag"),
		multipartTags(multipart.NewReader(bytes.NewReader(body), params["boundary"]))...)
	var fields struct{ Tag string }
	_ = json.Unmarshal(body, &fields)
	return append(tags, fields.Tag)
}

// formValues returns the values of a form field. It takes fields one by one: of more than 10,000 together
// url.ParseQuery reads none, while that of an older Go, with which a Casdoor may be built, reads them all.
func formValues(form, name string) (values []string) {
	for field := range strings.SplitSeq(form, "&") {
		parsed, _ := url.ParseQuery(field)
		values = append(values, parsed[name]...)
	}
	return values
}

func multipartTags(form *multipart.Reader) (tags []string) {
	for {
		part, err := form.NextPart()
		if err != nil {
			return tags
		}
		if part.FormName() == "tag" {
			value, _ := io.ReadAll(part)
			tags = append(tags, string(value))
		}
	}
}

// isOwnUpdate reports whether an update-user is that of a mini program's user for the own account. Admins may change
// more than profile fields, and other users are the Casdoor's own. One with several access tokens, of which Casdoor
// would choose, is ours to refuse (RFC 6750 §2).
func (g *gateway) isOwnUpdate(r *http.Request) bool {
	tokens, whole := accessTokens(r)
	if len(tokens) > 1 || !whole {
		return true
	}
	if len(tokens) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	p, err := g.deps.authenticate(ctx, tokens[0])
	if _, refused := errors.AsType[*object.Refusal](err); refused {
		return false // in the Casdoor's words
	}
	if err != nil {
		return true // in ours: whether it could be let through is not known
	}
	if p.User.IsAdmin || !g.deps.Service.IsMiniProgramUser(p.User) {
		return false
	}
	if !isForm(r) && namesAnother(r.URL.Query(), p.User.GetId()) { // a form may have an id that Casdoor prefers
		return false
	}
	r.Header.Set("Authorization", "Bearer "+tokens[0])
	return true
}

// namesAnother reports whether the id of an update-user is another user's. Where it is no owner/name, or a userId
// stands beside it, Casdoor goes by what else says who it is, such as the token.
func namesAnother(query url.Values, self string) bool {
	id := query.Get("id")
	owner, name, _ := strings.Cut(id, "/")
	return id != self && owner != "" && name != "" && !strings.Contains(name, "/") && !query.Has("userId")
}

// accessTokens returns the access tokens of a request, wherever Casdoor takes one from (routers/auto_signin_filter.go
// there), each once, and whether the whole request was looked through.
func accessTokens(r *http.Request) (tokens []string, whole bool) {
	forms, whole := []string{r.URL.RawQuery}, true
	if isForm(r) {
		var body []byte
		body, whole = peek(r)
		forms = append(forms, string(body))
	}
	for _, form := range forms {
		tokens = append(tokens, formValues(form, "accessToken")...)
		tokens = append(tokens, formValues(form, "access_token")...)
	}
	if token, ok := bearer(r); ok {
		tokens = append(tokens, token)
	}
	tokens = slices.DeleteFunc(tokens, func(token string) bool { return token == "" })
	slices.Sort(tokens)
	return slices.Compact(tokens), whole
}

// isForm reports whether Go's library takes a request's body for form fields.
func isForm(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/x-www-form-urlencoded"
}
