package controllers

import (
	"encoding/json"
	"net/http"
	"slices"
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
	text, err := accountText(account, data3)
	if err != nil {
		b.fail(err)
		return
	}
	writeText(b.Ctx.ResponseWriter, status, text)
}

// accountText is a casdoorReply, put together of what object has encoded.
func accountText(account object.Account, data3 any) ([]byte, error) {
	user, organization, err := account.JSON()
	if err != nil {
		return nil, err
	}
	start, err := json.Marshal(struct {
		Status string `json:"status"`
		Msg    string `json:"msg"`
		Sub    string `json:"sub"`
		Name   string `json:"name"`
	}{Status: "ok", Sub: account.User.Id, Name: account.User.Name})
	if err != nil {
		return nil, err
	}
	end, err := json.Marshal(data3)
	if err != nil {
		return nil, err
	}
	return slices.Concat(start[:len(start)-1], []byte(`,"data":`), user, []byte(`,"data2":`), organization,
		[]byte(`,"data3":`), end, []byte("}")), nil
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
	c.replyOr(c.Deps.Authority.Userinfo(c.Ctx.Request.Context(), p, c.Deps.origin(c.Ctx.Request)))
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

// notAllowed is what Casdoor says to those who may not.
const notAllowed = "Unauthorized operation"

func unauthorized() *object.Refusal {
	return &object.Refusal{Code: object.AccessDenied, Message: notAllowed}
}

// loginFirst is what Casdoor says to those who show nothing.
func loginFirst() *object.Refusal {
	return &object.Refusal{Code: object.InvalidToken, Message: "Please login first"}
}
