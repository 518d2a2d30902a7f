package controllers

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/minidoor/minidoor/object"
)

// AccountController serves the user of the bearer token.
type AccountController struct{ Base }

// Account is GET /api/get-account: the user in data, the organization in data2.
//
//	@router /api/get-account [get]
func (c *AccountController) Account() {
	p, err := c.principal()
	if err != nil {
		c.fail(err)
		return
	}
	c.replyAccount(p)
}

func (b *Base) replyAccount(p *object.Principal) { b.replyAccountAs(http.StatusOK, p, nil) }

func (b *Base) replyAccountAs(status int, p *object.Principal, data3 any) {
	account, err := b.Deps.Service.Account(b.Ctx.Request.Context(), p)
	if err != nil {
		b.fail(err)
		return
	}
	writeJSON(b.Ctx.ResponseWriter, status, casdoorReply{
		Status: "ok", Sub: account.User.Id, Name: account.User.Name, Data: account.User, Data2: account.Organization,
		Data3: data3,
	})
}

// Userinfo is GET and POST /api/userinfo, and GET /api/user: the claims of OpenID Connect Core §5.3.
//
//	@router /api/userinfo [get,post]
func (c *AccountController) Userinfo() {
	p, err := c.principal()
	if err != nil {
		c.fail(err)
		return
	}
	info, err := c.Deps.Authority.Userinfo(c.Ctx.Request.Context(), p, c.Deps.origin(c.Ctx.Request))
	if err != nil {
		c.fail(err)
		return
	}
	c.reply(info)
}

// User is GET /api/get-user?id=owner/name, or ?owner=…&userId=…: a user of the organization for a client that shows
// its secret, and oneself for the bearer of a token. A user who does not exist is null.
//
//	@router /api/get-user [get]
func (c *AccountController) User() {
	query := c.Ctx.Request.URL.Query()
	owner, name, _ := strings.Cut(query.Get("id"), "/")
	if name == "" {
		owner = query.Get("owner")
	}
	user, err := c.findUser(c.Ctx.Request.Context(), owner, name, query.Get("userId"))
	if errors.Is(err, object.ErrNotFound) {
		c.replyData(nil)
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.replyData(user)
}

func (c *AccountController) findUser(ctx context.Context, owner, name, id string) (any, error) {
	if _, ok := bearer(c.Ctx.Request); ok {
		p, err := c.principal()
		if err != nil {
			return nil, err
		}
		if owner != p.User.Owner || name != p.User.Name && id != p.User.Id {
			return nil, unauthorized()
		}
		account, err := c.Deps.Service.Account(ctx, p)
		return account.User, err
	}
	query := c.Ctx.Request.URL.Query()
	clientID, secret, ok := c.Ctx.Request.BasicAuth()
	if !ok {
		clientID, secret = query.Get("clientId"), query.Get("clientSecret")
	}
	client, err := c.Deps.Service.Client(ctx, clientID)
	if _, unknown := errors.AsType[*object.Refusal](err); unknown || err == nil && !client.Authentic(secret) {
		return nil, unauthorized()
	}
	if err != nil {
		return nil, err
	}
	return c.Deps.Authority.FindUser(ctx, client, owner, name, id)
}

// unauthorized is what Casdoor says to those who may not.
func unauthorized() *object.Refusal {
	return &object.Refusal{Code: object.AccessDenied, Message: "Unauthorized operation"}
}
