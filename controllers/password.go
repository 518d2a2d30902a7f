package controllers

import (
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

// PasswordController serves passwords of users, and what users are signed in by.
type PasswordController struct{ Base }

func passwordRoutes(base Base) []route {
	c := &PasswordController{base}
	return []route{
		{"/api/set-password", c, "post:Set"},
		{"/api/check-user-password", c, "post:Check"},
		{"/api/get-sessions", c, "get:Sessions"},
		{"/api/get-session", c, "get:Session"},
		{"/api/delete-session", c, "post:EndSession"},
		{ssoLogoutPath, c, "get:LogoutEverywhere;post:LogoutEverywhere"},
	}
}

// Set is POST /api/set-password with userOwner, userName, oldPassword and newPassword. Where these are in the query, as
// casdoor-dotnet-sdk sends them, the body is the user, and what cannot be read in it does not matter.
//
//	@router /api/set-password [post]
func (c *PasswordController) Set() {
	caller, err := c.caller()
	if err != nil {
		c.fail(err)
		return
	}
	p, err := c.params()
	if query, bad := c.queryParams(); err != nil && bad == nil && query["userName"] != "" && query["newPassword"] != "" {
		p, err = query, nil
	}
	if err == nil {
		err = c.counted(caller, func() error {
			return c.Deps.Authority.SetPassword(c.Ctx.Request.Context(), caller, object.PasswordChange{
				Owner: p["userOwner"], Name: p["userName"], Old: p["oldPassword"], New: p["newPassword"],
			})
		})
	}
	c.replyDataOr(nil, err)
}

// Check is POST /api/check-user-password with a user as JSON, of whom owner, name and password count.
//
//	@router /api/check-user-password [post]
func (c *PasswordController) Check() {
	var user struct{ Owner, Name, Password string }
	caller, err := c.changeOf(&user)
	if err == nil {
		err = c.counted(caller, func() error {
			return c.Deps.Authority.CheckUserPassword(c.Ctx.Request.Context(), caller, user.Owner, user.Name, user.Password)
		})
	}
	c.replyDataOr(nil, err)
}

// counted runs what may meet a wrong password. Those of a user count for the client's address; a back end asks for many
// users.
func (c *PasswordController) counted(caller *object.Caller, judge func() error) error {
	if caller.UserID == "" {
		return judge()
	}
	return c.Deps.guess(c.Ctx.Request, judge)
}

// Sessions is GET /api/get-sessions?owner=…: what the users of an organization are signed in by, for each application.
//
//	@router /api/get-sessions [get]
func (c *PasswordController) Sessions() {
	caller, err := c.caller()
	if err != nil {
		c.fail(err)
		return
	}
	q, err := listQuery(c.Ctx.Request.URL.Query())
	if err != nil {
		c.fail(err)
		return
	}
	page, err := c.Deps.Authority.Sessions(c.Ctx.Request.Context(), caller, q)
	replyPage(&c.Base, q, page, err)
}

// Session is GET /api/get-session?sessionPkId=owner/name/application: null where there is none.
//
//	@router /api/get-session [get]
func (c *PasswordController) Session() {
	owner, rest, _ := strings.Cut(c.Ctx.Request.URL.Query().Get("sessionPkId"), "/")
	name, application, _ := strings.Cut(rest, "/")
	ask(c.Base, func(caller *object.Caller) (any, error) {
		return c.Deps.Authority.Session(c.Ctx.Request.Context(), caller, owner, name, application)
	})
}

// EndSession is POST /api/delete-session with a session as JSON: all of it ends, or what sessionId lists.
//
//	@router /api/delete-session [post]
func (c *PasswordController) EndSession() {
	var s sdk.Session
	caller, err := c.changeOf(&s)
	if err != nil {
		c.fail(err)
		return
	}
	ended, err := c.Deps.Authority.EndSessions(c.Ctx.Request.Context(), caller, s)
	c.replyAffected(ended, err)
}

// LogoutEverywhere is GET and POST /api/sso-logout for the user of a bearer token or cookie: all that they are signed
// in by ends, or with logoutAll=false what the request shows.
//
//	@router /api/sso-logout [get,post]
func (c *PasswordController) LogoutEverywhere() {
	caller, err := c.caller()
	if err == nil && caller.UserID == "" {
		err = object.LoginFirst()
	}
	var p params
	if err == nil {
		p, err = c.params()
	}
	if err == nil {
		if all := p["logoutAll"]; all == "false" || all == "0" {
			err = c.logoutHere()
		} else {
			err = c.Deps.Authority.LogoutEverywhere(c.Ctx.Request.Context(), caller)
		}
	}
	if err == nil {
		if _, byCookie := c.Deps.sessionToken(c.Ctx.Request); byCookie {
			err = c.signOut()
		}
	}
	c.replyDataOr(nil, err)
}

// logoutHere ends the bearer token, if there is one.
func (c *PasswordController) logoutHere() error {
	token, ok := bearer(c.Ctx.Request)
	if !ok {
		return nil
	}
	_, err := c.endToken(token)
	return err
}
