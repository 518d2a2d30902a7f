package controllers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

// TokenController serves the token routes of OAuth 2.
type TokenController struct{ Base }

// tokenReply is the answer of RFC 6749 §5.1; new_user is there after a mini program's sign-in only.
type tokenReply struct {
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
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
	client, err := asked(ctx, c.Deps.Limits, func() (*object.Client, error) { return c.Deps.Service.Client(ctx, id) })
	if err != nil {
		return nil, err
	}
	if (secret != "" || required) && !client.Authentic(secret) {
		return nil, &object.Refusal{Code: object.InvalidClient, Message: "client_secret is invalid"}
	}
	return client, c.Deps.Limits.application(ctx, client.ID())
}

// HandlerFunc implements web.ControllerInterface. beego would call the method by reflection, on a stack that those who
// wait for a sign-in would hold: see serving.
func (c *TokenController) HandlerFunc(method string) bool {
	if method != "AccessToken" {
		return false
	}
	c.AccessToken()
	return true
}

// signIn answers a mini program.
func (c *TokenController) signIn(p params) {
	start, r, deps := time.Now(), c.Ctx.Request, c.Deps
	client, err := c.client(p, false)
	var token *object.Token
	if err == nil {
		token, err = c.exchange(r.Context(), client, p)
	}
	err = orLeft(r, err)
	event := c.event(client, p, time.Since(start), token, err)
	deps.Metrics.signIn(event.Took, token, err)
	deps.Watch.Add(event)
	servingOf(r.Context()).last = func(w http.ResponseWriter) {
		deps.logSignIn(r, &event, err)
		answerSignIn(w, r, token, err)
	}
}

// logSignIn writes the one line that each sign-in has. What the request says of itself is not logged: a client that
// mixes its parameters up would have its secret there.
func (d *Deps) logSignIn(r *http.Request, event *object.SignInEvent, err error) {
	attrs := []slog.Attr{
		slog.String("application", event.Application), slog.Float64("seconds", event.Took.Seconds()),
	}
	if err != nil {
		logError(d.Logger, r, "sign-in", apiError(err), append(attrs, upstreamAttrs(err)...)...)
		return
	}
	d.Logger.LogAttrs(r.Context(), slog.LevelInfo, "sign-in", append(attrs, slog.String("outcome", "ok"),
		slog.Bool("new_user", event.NewUser))...)
}

func answerSignIn(w http.ResponseWriter, r *http.Request, token *object.Token, err error) {
	if err != nil {
		writeError(w, shapeOf(r.URL.Path), apiError(err))
		return
	}
	reply := newTokenReply(token)
	reply.NewUser = &token.NewUser
	writeJSON(w, http.StatusOK, reply)
}

// event is what is kept of a sign-in. client and token are nil where there are none.
func (c *TokenController) event(
	client *object.Client, p params, took time.Duration, token *object.Token, err error,
) object.SignInEvent {
	e := object.SignInEvent{
		Time: time.Now(), Outcome: object.SignedIn, Took: took, ClientIP: c.Deps.clientIP(c.Ctx.Request),
		RequestID: requestID(c.Ctx.Request.Context()),
	}
	if client != nil {
		e.Application, e.Organization = client.Application.Name, client.Organization.Name
		e.Provider = c.Deps.Service.ProviderName(client, p["tag"], p["app_id"])
	}
	if err != nil {
		e.Outcome = string(apiError(err).Code)
		if upstream, ok := errors.AsType[*provider.Error](err); ok {
			e.Errcode = upstream.Code
		}
		return e
	}
	e.User, e.NewUser = token.UserName, token.NewUser
	return e
}

func upstreamAttrs(err error) []slog.Attr {
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return nil
	}
	return []slog.Attr{
		slog.String("kind", e.Kind.String()), slog.Int("errcode", e.Code), slog.String("rid", e.RequestID),
		slog.String("hint", e.Hint),
	}
}

func (c *TokenController) exchange(
	ctx context.Context, client *object.Client, p params,
) (token *object.Token, err error) {
	if p["code"] == "" {
		return nil, badRequest("code is missing")
	}
	pass, err := c.Deps.Limits.signIn(ctx, c.Deps.network(c.Ctx.Request))
	if err != nil {
		return nil, err
	}
	defer func() { pass.end(ctx, client.ID(), err) }()
	return c.Deps.Service.SignIn(ctx, object.SignInRequest{
		Client: client, Tag: p["tag"], AppID: p["app_id"], Code: p["code"],
		Nickname: p["username"], Avatar: p["avatar"],
		Issuer: c.Deps.origin(c.Ctx.Request), ClientIP: c.Deps.clientIP(c.Ctx.Request),
		Exchanged: pass.exchanged,
	})
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
	r := c.Ctx.Request
	t, err := withRoom(r.Context(), c.Deps.Limits, c.Deps.origin(r), token)
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
