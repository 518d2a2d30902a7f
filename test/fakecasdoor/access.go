package fakecasdoor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

const (
	unauthorized = "Unauthorized operation"
	loginFirst   = "Please login first"
	forbidden    = "The user is forbidden to sign in, please contact the administrator"
)

// signedIn returns who calls, or Casdoor's words for credentials that it refuses (routers/auto_signin_filter.go).
// A wrong secret in HTTP Basic is not refused: the caller is nobody then.
func (s *Server) signedIn(r *http.Request) (user, problem string) {
	if strings.HasPrefix(r.URL.Path, "/api/login/oauth/access_token") {
		return "", ""
	}
	if token := accessToken(r); token != "" {
		return s.bearer(token)
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.FormValue("clientId"), r.FormValue("clientSecret")
	}
	if id == "" || secret == "" {
		return "", ""
	}
	app, found := s.client(id)
	switch {
	case found && app.ClientSecret == secret:
		return "app/" + app.Name, ""
	case basic:
		return "", ""
	case !found:
		return "", "Application not found for client ID: " + id
	default:
		return "", "Incorrect client secret for application: " + app.Name
	}
}

func accessToken(r *http.Request) string {
	for _, name := range []string{"accessToken", "access_token"} {
		if token := r.FormValue(name); token != "" {
			return token
		}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != "Bearer" && scheme != "DPoP" || strings.Contains(token, " ") {
		return ""
	}
	return token
}

// bearer returns whose access token it is: its row is found by the hash, and says when it expires.
func (s *Server) bearer(text string) (user, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, found := s.tokenByHash(accessHash, text)
	if !found {
		return "", "Access token doesn't exist in database"
	}
	created, _ := time.Parse(time.RFC3339, token.CreatedTime) // the zero time is long ago, as in Casdoor
	expires := created.Add(time.Duration(token.ExpiresIn) * time.Second)
	switch {
	case s.now().After(expires):
		return "", "Access token has expired, expireTime = " + expires.Local().Format(time.RFC3339)
	case !s.active(token):
		return "", forbidden
	}
	if _, found := find(s.rows.Applications, "admin/"+token.Application); !found {
		return "", "No application is found for userId: app/" + token.Application
	}
	if token.GrantType == "client_credentials" {
		return "app/" + token.Application, ""
	}
	return token.Organization + "/" + token.User, ""
}

// active reports whether the user of a token may use it. The caller holds s.mu.
func (s *Server) active(t sdk.Token) bool {
	if t.GrantType == "client_credentials" || t.User == "" {
		return true
	}
	u, found := s.users[t.Organization+"/"+t.User]
	return found && !u.IsForbidden && !u.IsDeleted
}

// allowed is Casdoor's second filter (routers/authz_filter.go, authz/authz.go): clients may everything, admins all in
// their organization, others what is open to all and what has their own name.
func (s *Server) allowed(c *call) bool {
	if isApp(c.user) || open(c) {
		return true
	}
	owner, name := target(c)
	u, found := s.User(c.user)
	switch {
	case !found || u.IsDeleted:
		return false
	case u.Owner == "built-in", u.IsAdmin && u.Owner == owner:
		return true
	}
	return u.Owner == owner && u.Name == name
}

func isApp(user string) bool { return strings.HasPrefix(user, "app/") }

// open reports whether anybody may ask; the handler may still refuse.
func open(c *call) bool {
	path := c.URL.Path
	if strings.HasPrefix(path, "/api/login/oauth/") || strings.HasPrefix(path, "/.well-known/") {
		return true
	}
	switch path {
	case "/api/logout", "/api/get-account", "/api/health":
		return true
	case "/api/get-application", "/api/get-user", "/api/get-provider":
		return c.Method == http.MethodGet
	}
	return false
}

// target is the row that a call is about. For tokens and applications only the body is asked, and its organization.
func target(c *call) (owner, name string) {
	id := c.FormValue("id")
	inBody := strings.HasSuffix(c.URL.Path, "-token") || strings.HasSuffix(c.URL.Path, "-application")
	if id != "" && (c.Method == http.MethodGet || !inBody) {
		owner, name, _ = strings.Cut(id, "/")
		if strings.HasSuffix(c.URL.Path, "-organization") {
			owner = name
		}
		return owner, name
	}
	if c.Method == http.MethodGet {
		return c.FormValue("owner"), ""
	}
	var row struct{ Owner, Name, Organization string }
	if json.Unmarshal(c.body, &row) != nil {
		return c.FormValue("owner"), c.FormValue("name")
	}
	if inBody {
		return row.Organization, row.Name
	}
	return row.Owner, row.Name
}

// seesAll reports whether a caller is an admin of everything: clients are.
func seesAll(user string) bool { return isApp(user) || strings.HasPrefix(user, "built-in/") }

func noUser(id string) sdk.Response { return refuse(fmt.Sprintf("The user: %s doesn't exist", id)) }
