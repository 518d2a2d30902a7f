package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/test/fakewechat"
)

// The paths that tests use most.
const (
	PathToken      = "/api/login/oauth/access_token"
	PathRefresh    = "/api/login/oauth/refresh_token"
	PathIntrospect = "/api/login/oauth/introspect"
	PathAccount    = "/api/get-account"
	PathUpdateUser = "/api/update-user"
	PathProfile    = "/api/mini-program/profile"
	PathAvatar     = "/api/mini-program/avatar"
	PathResource   = "/api/upload-resource"
	PathPhone      = "/api/mini-program/phone"
	PathDecrypt    = "/api/mini-program/decrypt"
	PathSession    = "/api/mini-program/session"
	PathExport     = "/api/mini-program/account/export"
	PathDelete     = "/api/mini-program/account/delete"
	PathPush       = "/api/mini-program/push/" + Provider
)

// Text is a body that Call sends as it is.
type Text struct{ ContentType, Body string }

// Reply is what a server answered.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Tokens is the reply of a token route.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	NewUser      *bool  `json:"new_user"`
}

// Call sends a request: with a bearer token unless that is empty, and with a body that is nil, url.Values for a form, a
// Text, or anything else for JSON.
func (s *Server) Call(t testing.TB, method, path, bearer string, body any) Reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	require.NoError(t, err)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if s.address != "" {
		r.Header.Set("X-Forwarded-For", s.address)
	}
	require.NoError(t, SetBody(r, body))
	return s.Do(t, r)
}

// From returns a Server whose requests come from another address, if the server trusts its proxies to say so.
func (s *Server) From(address string) *Server {
	other := *s
	other.address = address
	return &other
}

// Do sends a request that the test made.
func (s *Server) Do(t testing.TB, r *http.Request) Reply {
	t.Helper()
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return Reply{reply.StatusCode, reply.Header, string(text)}
}

// SetBody gives a request a body: see Call.
func SetBody(r *http.Request, body any) error {
	var text Text
	switch b := body.(type) {
	case nil:
		return nil
	case Text:
		text = b
	case url.Values:
		text = Text{"application/x-www-form-urlencoded", b.Encode()}
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return err
		}
		text = Text{"application/json", string(encoded)}
	}
	r.Body = io.NopCloser(strings.NewReader(text.Body))
	r.ContentLength = int64(len(text.Body))
	r.Header.Set("Content-Type", text.ContentType)
	return nil
}

// JSON decodes the body into v.
func (r Reply) JSON(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.NewDecoder(bytes.NewReader([]byte(r.Body))).Decode(v), "%d %s", r.Status, r.Body)
}

// Map decodes the body, which must be a JSON object.
func (r Reply) Map(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	r.JSON(t, &m)
	return m
}

// Tokens decodes the body of a token reply, which must have been a success.
func (r Reply) Tokens(t testing.TB) Tokens {
	t.Helper()
	require.Equal(t, http.StatusOK, r.Status, r.Body)
	var tokens Tokens
	r.JSON(t, &tokens)
	return tokens
}

// NewCode returns what wx.login would give to the WeChat user with that OpenID.
func (s *Server) NewCode(openID string) string {
	return s.Fake.NewCode(fakewechat.User{OpenID: openID})
}

// SignInForm is the form that signs in with a code.
func SignInForm(code string) url.Values {
	return url.Values{"tag": {idp.TagWeChatMiniProgram}, "client_id": {ClientID}, "code": {code}}
}

// SignIn signs the WeChat user with that OpenID in.
func (s *Server) SignIn(t testing.TB, openID string) Tokens {
	t.Helper()
	return s.Call(t, http.MethodPost, PathToken, "", SignInForm(s.NewCode(openID))).Tokens(t)
}

// Account returns the account that get-account shows to the bearer of a token.
func (s *Server) Account(t testing.TB, bearer string) map[string]any {
	t.Helper()
	reply := s.Call(t, http.MethodGet, PathAccount, bearer, nil).Map(t)
	require.Equal(t, "ok", reply["status"], "%v", reply["msg"])
	return reply["data"].(map[string]any)
}

// Deliver sends what WeChat pushes.
func (s *Server) Deliver(t testing.TB, p fakewechat.Push) Reply {
	t.Helper()
	body := Text{p.ContentType, string(p.Body)}
	return s.Call(t, http.MethodPost, PathPush+"?"+p.Query.Encode(), "", body)
}
