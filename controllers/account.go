package controllers

import (
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

// User is GET /api/get-user?id=owner/name, or ?owner=… with userId, email, phone or wechat: a user of the organization
// for a client that shows its secret and for admins, and oneself for other bearers of a token. A user who does not exist
// is null.
//
//	@router /api/get-user [get]
func (c *AccountController) User() {
	query := c.Ctx.Request.URL.Query()
	owner, value, _ := strings.Cut(query.Get("id"), "/")
	field := "name"
	if value == "" {
		owner = query.Get("owner")
		for param, known := range map[string]string{"userId": "id", "email": "email", "phone": "phone", "wechat": "wechat"} {
			if sent := query.Get(param); sent != "" {
				field, value = known, sent
			}
		}
	}
	ask(c.Base, func(caller *object.Caller) (any, error) {
		return c.Deps.Authority.FindUser(c.Ctx.Request.Context(), caller, owner, field, value)
	})
}

// unauthorized is what Casdoor says to those who may not.
func unauthorized() *object.Refusal {
	return &object.Refusal{Code: object.AccessDenied, Message: "Unauthorized operation"}
}

// loginFirst is what Casdoor says to those who show nothing.
func loginFirst() *object.Refusal {
	return &object.Refusal{Code: object.InvalidToken, Message: "Please login first"}
}
