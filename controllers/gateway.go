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
	// An upload or a stream lasts as long as it lasts: the Casdoor decides. A writer without deadlines has none to lift.
	lift := http.NewResponseController(w)
	_ = lift.SetReadDeadline(time.Time{})
	_ = lift.SetWriteDeadline(time.Time{})
	g.proxy.ServeHTTP(w, r)
}

// routed returns the path of the route that a Casdoor's router takes a path for: that is beego's, which leaves out
// slashes and dots, and one of these ends.
func routed(p string) string {
	p = path.Clean(p)
	for _, end := range []string{".json", ".xml", ".html"} {
		if route, ok := strings.CutSuffix(p, end); ok {
			return route
		}
	}
	return p
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
	for _, tag := range append(tagsOf(r.Header.Get("Content-Type"), body), r.URL.Query()["tag"]...) {
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

// tagsOf returns the values of the parameter "tag" in a body of form fields or JSON. Casdoor may read what is no
// multipart form as both, whatever the content type says. A body that is malformed has those that stand before the
// fault.
func tagsOf(contentType string, body []byte) []string {
	kind, params, _ := mime.ParseMediaType(contentType)
	if kind == "multipart/form-data" {
		return multipartTags(multipart.NewReader(bytes.NewReader(body), params["boundary"]))
	}
	form, _ := url.ParseQuery(string(body))
	var fields struct{ Tag string }
	_ = json.Unmarshal(body, &fields)
	return append(form["tag"], fields.Tag)
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
