package controllers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
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
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path := routed(r.URL.Path); g.isOurs(path, r) {
		r.URL.Path = path
		g.own.ServeHTTP(w, r)
		return
	}
	w, done := g.deps.Metrics.request(w, r, routeCasdoor)
	defer done()
	g.deps.sayGoodbye(w.Header())
	if hidesHeader(r) {
		e := badRequest("the header Connection names a header that is meant for the server")
		logError(g.deps.Logger, r, "pass-through", e)
		writeError(w, shapeOf(r.URL.Path), e)
		return
	}
	// An upload or a stream lasts as long as it lasts: the Casdoor decides. A writer without deadlines has none to lift.
	lift := http.NewResponseController(w)
	_ = lift.SetReadDeadline(time.Time{})
	_ = lift.SetWriteDeadline(time.Time{})
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

func (g *gateway) isOurs(path string, r *http.Request) bool {
	switch {
	case strings.HasPrefix(path, "/api/mini-program/"):
		return true
	case strings.HasPrefix(path, filesPath):
		return g.deps.Files != nil
	case isConsole(path):
		return g.deps.Console != nil
	case r.Method != http.MethodPost:
		return false
	case path == "/api/login/oauth/access_token":
		return g.isSignIn(r)
	case path == "/api/update-user":
		return g.isOwnUpdate(r)
	}
	return false
}

// isSignIn reports whether a token request carries a tag of ours, anywhere that Casdoor may find it. One that cannot be
// looked through is ours to refuse: it is too large, or encoded, which Casdoor would undo.
func (g *gateway) isSignIn(r *http.Request) bool {
	if r.Header.Get("Content-Encoding") != "" {
		return true
	}
	body, whole := peek(r)
	for _, tag := range append(tagsOf(r.Header.Get("Content-Type"), body), fieldTags(r.URL.RawQuery)...) {
		if g.deps.Service.SignsIn(tag) {
			return true
		}
	}
	return !whole
}

// peek returns the body of a request, at most maxBody of it, and whether that is all. The request can be read as before.
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
	tags := append(fieldTags(string(body)), multipartTags(multipart.NewReader(bytes.NewReader(body), params["boundary"]))...)
	var fields struct{ Tag string }
	_ = json.Unmarshal(body, &fields)
	return append(tags, fields.Tag)
}

// fieldTags takes form fields one by one: of more than 10,000 together url.ParseQuery reads none, while that of an older
// Go, with which a Casdoor may be built, reads them all.
func fieldTags(query string) (tags []string) {
	for field := range strings.SplitSeq(query, "&") {
		values, _ := url.ParseQuery(field)
		tags = append(tags, values["tag"]...)
	}
	return tags
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
// more than profile fields, and other users are the Casdoor's own.
func (g *gateway) isOwnUpdate(r *http.Request) bool {
	token := accessToken(r)
	if token == "" {
		return false
	}
	p, err := g.deps.Service.Authenticate(r.Context(), token)
	if _, refused := errors.AsType[*object.Refusal](err); refused {
		return false // in the Casdoor's words
	}
	if err != nil {
		return true // in ours: whether it could be let through is not known
	}
	if p.User.IsAdmin || !g.deps.Service.IsMiniProgramUser(p.User) {
		return false
	}
	body, whole := peek(r)
	fields, err := decodeObject(body)
	if whole && err == nil && aboutSelf(p.User, r.URL.Query(), fields) != nil {
		return false
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return true
}

// accessToken returns the access token of a request, wherever Casdoor takes one from (routers/auto_signin_filter.go
// there).
func accessToken(r *http.Request) string {
	query := r.URL.Query()
	for _, name := range []string{"accessToken", "access_token"} {
		if token := query.Get(name); token != "" {
			return token
		}
	}
	token, _ := bearer(r)
	return token
}
