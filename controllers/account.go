package controllers

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

// AccountController serves the user of the bearer token.
type AccountController struct{ Base }

// Account is GET /api/get-account: the user in data, the organization in data2. casdoor-java-sdk sends the access token
// in the query, for its application's secret is in the header; no other path takes one there (RFC 9700 §4.3.2).
//
//	@router /api/get-account [get]
func (c *AccountController) Account() {
	var p *object.Principal
	var err error
	if token := c.Ctx.Request.URL.Query().Get("access_token"); token != "" {
		p, err = c.principalOf(token)
	} else {
		p, err = c.principal()
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.replyAccount(p)
}

func (b *Base) replyAccount(p *object.Principal) { b.replyAccountAs(http.StatusOK, p, nil) }

func (b *Base) replyAccountAs(status int, p *object.Principal, data3 any) {
	text, err := b.accountText(p, data3)
	if err != nil {
		b.fail(err)
		return
	}
	writeText(b.Ctx.ResponseWriter, status, text)
}

// accountText is a casdoorReply, put together of what object has encoded.
func (b *Base) accountText(p *object.Principal, data3 any) ([]byte, error) {
	user, organization, err := b.Deps.Service.Account(b.Ctx.Request.Context(), p)
	if err != nil {
		return nil, err
	}
	start, err := json.Marshal(struct {
		Status string `json:"status"`
		Msg    string `json:"msg"`
		Sub    string `json:"sub"`
		Name   string `json:"name"`
	}{Status: "ok", Sub: p.User.Id, Name: p.User.Name})
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

// Userinfo is GET and POST /api/userinfo: the claims of OpenID Connect Core §5.3.
//
//	@router /api/userinfo [get,post]
func (c *AccountController) Userinfo() {
	_, claims, err := c.userinfo()
	c.replyOr(claims, err)
}

func (c *AccountController) userinfo() (*object.Principal, *sdk.Userinfo, error) {
	p, err := c.principal()
	if err != nil {
		return nil, nil, err
	}
	claims, err := c.Deps.Authority.Userinfo(c.Ctx.Request.Context(), p, c.Deps.origin(c.Ctx.Request))
	return p, claims, err
}

// Self is GET /api/user: the claims of Userinfo and, as Casdoor has them at this path, the user by the names of
// Laravel, whose name is that of the account.
//
//	@router /api/user [get]
func (c *AccountController) Self() {
	p, claims, err := c.userinfo()
	if err != nil {
		c.fail(err)
		return
	}
	self := struct {
		*sdk.Userinfo
		ID         string `json:"id"`
		Name       string `json:"name"`
		Email      string `json:"email"`
		VerifiedAt string `json:"email_verified_at"` // empty: it is not; nobody knows when it was, and Casdoor says created_at
		CreatedAt  string `json:"created_at"`
		UpdatedAt  string `json:"updated_at"`
	}{claims, p.User.Id, p.User.Name, p.User.Email, "", p.User.CreatedTime, p.User.UpdatedTime}
	if p.User.EmailVerified {
		self.VerifiedAt = self.CreatedAt
	}
	c.reply(self)
}

// User is GET /api/get-user?id=owner/name, or ?owner=… with email, phone, userId or wechat, of which the first counts:
// a user of the organization for a client that shows its secret and for admins, and oneself for other bearers of a
// token. Without owner it is the caller's own organization. A user who does not exist is null.
//
//	@router /api/get-user [get]
func (c *AccountController) User() {
	query := c.Ctx.Request.URL.Query()
	owner, value, _ := strings.Cut(query.Get("id"), "/")
	field := "name"
	if value == "" {
		owner = query.Get("owner")
		for _, by := range []struct{ param, field string }{
			{"email", "email"}, {"phone", "phone"}, {"userId", "id"}, {"wechat", "wechat"},
		} {
			if sent := query.Get(by.param); sent != "" {
				field, value = by.field, sent
				break
			}
		}
	}
	ask(c.Base, func(caller *object.Caller) (any, error) {
		return c.Deps.Authority.FindUser(c.Ctx.Request.Context(), caller, owner, field, value)
	})
}
