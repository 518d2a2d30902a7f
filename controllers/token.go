package controllers

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/minidoor/minidoor/object"
)

// TokenController serves the token routes of OAuth 2.
type TokenController struct{ Base }

// tokenReply is the answer of RFC 6749 §5.1; new_user is there after a mini program's sign-in only.
type tokenReply struct {
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token,omitempty"` // no empty one, which some clients take for a broken answer
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	Scope        string `json:"scope"`
	NewUser      *bool  `json:"new_user,omitempty"`
}

// As in Casdoor, the access token is a JWT that serves as the id token too.
func newTokenReply(t *object.Token) tokenReply {
	return tokenReply{
		AccessToken: t.AccessToken, IDToken: t.AccessToken, RefreshToken: t.RefreshToken, TokenType: "Bearer",
		ExpiresIn: int(t.ExpiresIn / time.Second), Scope: t.Scope,
	}
}

// AccessToken is POST /api/login/oauth/access_token. A tag asks for a mini program's sign-in; without one, grant_type
// says what is asked for.
//
//	@router /api/login/oauth/access_token [post]
func (c *TokenController) AccessToken() {
	p, err := c.params()
	if err != nil {
		c.fail(err)
		return
	}
	if p["tag"] != "" {
		c.signIn(p)
		return
	}
	if c.Deps.Authority == nil {
		c.fail(badRequest("tag is missing: this server signs mini programs in, and does nothing else"))
		return
	}
	switch p["grant_type"] {
	case "refresh_token":
		c.refresh(p)
	case object.ClientCredentials:
		c.clientCredentials(p)
	case "":
		c.fail(badRequest("grant_type is missing"))
	default:
		c.fail(unsupportedGrant())
	}
}

// RefreshToken is POST /api/login/oauth/refresh_token, Casdoor's second path for the same.
//
//	@router /api/login/oauth/refresh_token [post]
func (c *TokenController) RefreshToken() {
	p, err := c.params()
	if err != nil {
		c.fail(err)
		return
	}
	if p["grant_type"] != "refresh_token" {
		c.fail(unsupportedGrant())
		return
	}
	c.refresh(p)
}

func unsupportedGrant() *APIError {
	return &APIError{
		Status: http.StatusBadRequest, Code: "unsupported_grant_type",
		Message: "grant_type is not supported in this application",
	}
}

// client returns the application that the request names, by parameters or by HTTP Basic authentication (RFC 6749
// §2.3.1). A secret that is sent must be right; required says that one must be sent.
func (c *TokenController) client(p params, required bool) (*object.Client, error) {
	id, secret := p["client_id"], p["client_secret"]
	if user, password, ok := c.Ctx.Request.BasicAuth(); ok {
		id, secret = user, password
	}
	if id == "" {
		return nil, badRequest("client_id is missing")
	}
	ctx := c.Ctx.Request.Context()
	client, err := asked(ctx, c.Deps.Limits, func() (*object.Client, error) { return c.clientOf(ctx, id) })
	if err != nil {
		return nil, err
	}
	if (secret != "" || required) && !client.Authentic(secret) {
		return nil, &object.Refusal{Code: object.InvalidClient, Message: "client_secret is invalid"}
	}
	return client, c.Deps.Limits.application(ctx, client.ID())
}

// clientOf returns the application with that client id. It may be escaped: clients that escape their secret do so, and
// some the hyphen too, which the id of a shared application has.
func (c *TokenController) clientOf(ctx context.Context, id string) (*object.Client, error) {
	client, err := c.Deps.Service.Client(ctx, id)
	if isRefusal(err, object.InvalidClient) {
		if plain, bad := url.QueryUnescape(id); bad == nil && plain != id {
			return c.Deps.Service.Client(ctx, plain)
		}
	}
	return client, err
}

// HandlerFunc implements web.ControllerInterface. beego would call the method by reflection, so deep that the request's
// goroutine would need a stack of 16 KB, and keep it: see signIn.
func (c *TokenController) HandlerFunc(method string) bool {
	if method != "AccessToken" {
		return false
	}
	c.AccessToken()
	return true
}

// signIn answers a mini program when beego has returned: what beego has for a request need not wait for WeChat.
func (c *TokenController) signIn(p params) {
	s := &signIn{deps: c.Deps, request: c.Ctx.Request, params: p, start: time.Now()}
	s.client, s.err = c.client(p, false)
	servingOf(s.request.Context()).last = s.serve
}

// refresh takes public clients without a secret, and confidential ones with theirs.
func (c *TokenController) refresh(p params) {
	client, err := c.client(p, false)
	if err == nil && p["refresh_token"] == "" {
		err = badRequest("refresh_token is missing")
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.issue(func(ctx context.Context, issuer string) (*object.Token, error) {
		return c.Deps.Authority.Refresh(ctx, client, p["refresh_token"], issuer)
	})
}

func (c *TokenController) clientCredentials(p params) {
	client, err := c.client(p, true)
	if err == nil && !client.Grants(object.ClientCredentials) {
		err = unsupportedGrant()
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.issue(func(ctx context.Context, issuer string) (*object.Token, error) {
		return c.Deps.Authority.ClientToken(ctx, client, issuer, p["scope"])
	})
}

// issue answers with a token, if there is room for more work.
func (c *TokenController) issue(token func(ctx context.Context, issuer string) (*object.Token, error)) {
	ctx, issuer := c.Ctx.Request.Context(), c.Deps.origin(c.Ctx.Request)
	t, err := worked(ctx, c.Deps.Limits, func() (*object.Token, error) { return token(ctx, issuer) })
	if err != nil {
		c.fail(err)
		return
	}
	c.reply(newTokenReply(t))
}

// Introspect is POST /api/login/oauth/introspect (RFC 7662), for clients with a secret.
//
//	@router /api/login/oauth/introspect [post]
func (c *TokenController) Introspect() {
	p, err := c.params()
	if err != nil {
		c.fail(err)
		return
	}
	client, err := c.client(p, true)
	if err == nil && p["token"] == "" {
		err = badRequest("token is missing")
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.replyOr(c.Deps.Authority.Introspect(c.Ctx.Request.Context(), client, p["token"]))
}
