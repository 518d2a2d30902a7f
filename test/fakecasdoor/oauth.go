package fakecasdoor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/google/uuid"
)

// tokenError is a refusal of the OAuth routes: status 401 for the client, else 400.
type tokenError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e tokenError) writeHeader(w http.ResponseWriter) {
	if e.Code != "invalid_client" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="OAuth2"`)
	w.WriteHeader(http.StatusUnauthorized)
}

type tokenReply struct {
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
}

func replyOf(t sdk.Token) tokenReply {
	return tokenReply{t.AccessToken, t.AccessToken, t.RefreshToken, t.TokenType, t.ExpiresIn, t.Scope}
}

// params reads OAuth's parameters from query or form, else from a JSON body.
func (c *call) params() func(name string) string {
	body := map[string]any{}
	json.Unmarshal(c.body, &body) //nolint:errcheck // most bodies are forms
	return func(name string) string {
		text := c.FormValue(name)
		if text == "" {
			text, _ = body[name].(string)
		}
		return text
	}
}

// oauthToken serves /api/login/oauth/access_token.
func (s *Server) oauthToken(c *call) any {
	param := c.params()
	id, secret := param("client_id"), param("client_secret")
	if id == "" && secret == "" {
		id, secret, _ = c.BasicAuth()
	}
	app, found := s.client(id)
	switch grantType := param("grant_type"); {
	case !found:
		return tokenError{"invalid_client", "client_id is invalid"}
	case param("tag") == "wechat_miniprogram":
		return s.signInByCode(&app, param("code"), param("username"), c.Host)
	case !slices.Contains(app.GrantTypes, grantType):
		return tokenError{"unsupported_grant_type",
			fmt.Sprintf("grant_type: %s is not supported in this application", grantType)}
	case grantType == "refresh_token":
		return s.refresh(&app, secret, param("refresh_token"), param("scope"), c.Host)
	case grantType == "client_credentials":
		return s.clientCredentials(&app, secret, param("scope"), c.Host)
	default:
		return tokenError{"invalid_grant", "the stand-in knows no " + grantType}
	}
}

// oauthRefresh serves /api/login/oauth/refresh_token. A client needs no secret, but not a wrong one.
func (s *Server) oauthRefresh(c *call) any {
	param := c.params()
	app, refusal := s.oauthClient(c, true)
	if refusal != nil {
		return *refusal
	}
	if param("grant_type") != "refresh_token" {
		return tokenError{"unsupported_grant_type", "grant_type should be refresh_token"}
	}
	return s.refresh(&app, param("client_secret"), param("refresh_token"), param("scope"), c.Host)
}

// oauthClient finds the client of refresh and introspection.
func (s *Server) oauthClient(c *call, anySecret bool) (sdk.Application, *tokenError) {
	param := c.params()
	id, secret := param("client_id"), param("client_secret")
	if id == "" && secret == "" {
		var basic bool
		if id, secret, basic = c.BasicAuth(); !basic {
			return sdk.Application{}, &tokenError{Code: "invalid_request"}
		}
	}
	app, found := s.client(id)
	if !found || !anySecret && app.ClientSecret != secret {
		return app, &tokenError{"invalid_client", "Invalid application or wrong clientSecret"}
	}
	return app, nil
}

// refresh replaces the row that holds the refresh token; the token itself must be a JWT of the application's cert.
func (s *Server) refresh(app *sdk.Application, secret, text, scope, host string) any {
	if secret != "" && secret != app.ClientSecret {
		return tokenError{"invalid_client", "client_secret is invalid"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.tokenByHash(refreshHash, text)
	switch {
	case !found:
		return tokenError{"invalid_grant", "refresh token is invalid or revoked"}
	case old.ExpiresIn <= 0:
		return tokenError{"invalid_grant", "refresh token is expired"}
	case old.Application != app.Name:
		return tokenError{"invalid_grant", fmt.Sprintf("the token is for wrong application (client_id), "+
			"application.Name: [%s], token.Application: [%s]", app.Name, old.Application)}
	}
	claims, err := s.parse(app, text)
	if err != nil {
		return tokenError{"invalid_grant", "parse refresh token error: " + err.Error()}
	}
	if scope == "" {
		scope, _ = claims["scope"].(string)
	}
	id := app.Organization + "/" + old.User
	u, found := s.users[id]
	switch {
	case !found:
		return noUser(id)
	case u.IsForbidden:
		return tokenError{"invalid_grant", "the user is forbidden to sign in, please contact the administrator"}
	}
	t := s.issue(app, u, scope, host)
	s.insert(t)
	delete(s.tokens, tokenID(old))
	return replyOf(t)
}

// issue makes a token row, which the caller inserts. The caller holds s.mu.
func (s *Server) issue(app *sdk.Application, u sdk.User, scope, host string) sdk.Token {
	row := uuid.NewString()
	return sdk.Token{
		Owner: app.Owner, Name: row, CreatedTime: s.now().UTC().Format(time.RFC3339),
		Application: app.Name, Organization: app.Organization, User: u.Name,
		AccessToken:  s.sign(app, u, grant{accessKind, row, scope, host}),
		RefreshToken: s.sign(app, u, grant{refreshKind, row, scope, host}),
		ExpiresIn:    int(hours(app.ExpireInHours).Seconds()),
		Scope:        scope, TokenType: "Bearer", CodeIsUsed: true,
	}
}

func (s *Server) clientCredentials(app *sdk.Application, secret, scope, host string) any {
	if secret != app.ClientSecret {
		return tokenError{"invalid_client", "client_secret is invalid"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	client := sdk.User{Owner: app.Owner, Id: app.Owner + "/" + app.Name, Name: app.Name, Type: "application"}
	t := s.issue(app, client, scope, host)
	t.GrantType, t.RefreshToken = "client_credentials", ""
	s.insert(t)
	return replyOf(t)
}

// signInByCode is Casdoor's own sign-in with a mini program: it answers with the token row, and the SessionKey in it. A
// code reads "u:OPENID:NONCE" or "u:OPENID:UNIONID:NONCE".
func (s *Server) signInByCode(app *sdk.Application, code, username, host string) any {
	parts := strings.Split(code, ":")
	if parts[0] != "u" || len(parts) < 3 || len(parts) > 4 {
		problem := "invalid code"
		if code == "" {
			problem = "missing code"
		}
		return tokenError{"invalid_grant",
			fmt.Sprintf("get wechat mini program session error: err: %s, rid: sim", problem)}
	}
	unionID := ""
	if len(parts) == 4 {
		unionID = parts[2]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, refusal := s.userByOpenID(app, parts[1], unionID, username)
	if refusal != nil {
		return refusal
	}
	t := s.issue(app, u, "", host)
	t.Code = "c2Vzc2lvbiBrZXkgb2YgYSB1cw=="
	s.insert(t)
	return s.tokens[tokenID(t)]
}

// userByOpenID finds a user by the wechat column, or makes one. The caller holds s.mu.
func (s *Server) userByOpenID(app *sdk.Application, openID, unionID, username string) (sdk.User, any) {
	for _, u := range s.users {
		if u.Owner == app.Organization && u.WeChat == openID {
			return u, nil
		}
	}
	if !app.EnableSignUp {
		return sdk.User{}, tokenError{"invalid_grant", "the application does not allow to sign up new account"}
	}
	fill(&username, "wechat-"+openID)
	now := s.now().UTC().Format(time.RFC3339)
	u := sdk.User{
		Owner: app.Organization, Name: username, Id: uuid.NewString(), CreatedTime: now, UpdatedTime: now,
		Type: "normal-user", SignupApplication: app.Name, WeChat: openID, BalanceCurrency: "USD",
		Ranking:    len(s.users) + 1,
		Properties: map[string]string{"wechatOpenId": openID, "wechatUnionId": unionID},
	}
	if _, taken := s.users[u.GetId()]; taken {
		return u, refuse(uniqueFailed("user"))
	}
	s.users[u.GetId()] = u
	return u, nil
}
