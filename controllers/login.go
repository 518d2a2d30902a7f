package controllers

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/minidoor/minidoor/object"
)

// LoginController signs users in with their passwords, and out.
type LoginController struct{ Base }

const (
	loginPath     = "/api/login"
	logoutPath    = "/api/logout"
	ssoLogoutPath = "/api/sso-logout"
)

// loginForm is what of Casdoor's form counts here.
type loginForm struct {
	Type         string `json:"type"`
	Application  string `json:"application"`
	Organization string `json:"organization"`
	Username     string `json:"username"`
	Password     string `json:"password"`
	SigninMethod string `json:"signinMethod"`
}

// Login is POST /api/login with the type "login": the name and password of a user begin a session, and the answer sets
// its cookie.
//
//	@router /api/login [post]
func (c *LoginController) Login() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	token, caller, err := c.signInByPassword(object.PasswordSignIn{
		Application: form.Application, Organization: form.Organization, Username: form.Username, Password: form.Password,
	})
	if err == nil {
		err = c.signedIn(token, caller)
	}
	if err != nil {
		c.failLogin(err)
		return
	}
	c.replyData(caller.Organization + "/" + caller.Name)
}

// signInByPassword begins a session for a user of the Casdoor, or of the console.
func (b *Base) signInByPassword(in object.PasswordSignIn) (token string, caller *object.Caller, err error) {
	r := b.Ctx.Request
	in.ClientIP, in.Browser = b.Deps.clientIP(r), b.Deps.cookie(r, browserCookie)
	err = b.Deps.guess(r, func() (err error) {
		token, caller, err = b.Deps.Console.SignInByPassword(r.Context(), in)
		return err
	})
	return token, caller, err
}

// failLogin is fail, with an answer to a wrong password that is Casdoor's to the letter.
func (c *LoginController) failLogin(err error) {
	e := apiError(err)
	if e.Code != object.AccessDenied {
		c.fail(err)
		return
	}
	logError(c.Deps.Logger, c.Ctx.Request, "request refused", e)
	c.reply(casdoorReply{Status: "error", Msg: e.Message})
}

func (c *LoginController) form() (form loginForm, err error) {
	body, err := c.body()
	if err != nil {
		return form, err
	}
	if _, err := decodeObject(body); err != nil {
		return form, err
	}
	if json.Unmarshal(body, &form) != nil {
		return form, badRequest("the body is not a JSON object of this kind")
	}
	switch {
	case form.Type != "login":
		return form, badRequest("Unknown response type: this server has \"login\" only")
	case form.SigninMethod != "" && form.SigninMethod != "Password":
		return form, badRequest("The login method is not enabled: this server has \"Password\" only")
	case form.Application == "":
		return form, badRequest("application is missing")
	case max(len(form.Application), len(form.Organization), len(form.Username), len(form.Password)) > maxParam:
		return form, badRequest("a field is longer than 255 bytes")
	case strings.ContainsFunc(form.Application+form.Organization+form.Username, unicode.IsControl):
		return form, badRequest("a name has control characters")
	}
	return form, nil
}

// Logout is GET and POST /api/logout: the bearer token and its refresh token end, and the session of the cookie. Clients
// of OpenID Connect name the token in the query or a form, as id_token_hint (RP-Initiated Logout 1.0 §2), as Casdoor
// takes it. They are sent to no post_logout_redirect_uri: no application signs in by a page here.
//
//	@router /api/logout [get,post]
func (c *LoginController) Logout() {
	token, byToken := bearer(c.Ctx.Request)
	if !byToken {
		p, err := c.params()
		if err != nil {
			c.fail(err)
			return
		}
		token = p["id_token_hint"]
	}
	_, byCookie := c.Deps.sessionToken(c.Ctx.Request)
	var user string
	var err error = object.LoginFirst()
	switch {
	case byToken || token != "":
		user, err = c.endToken(token)
	case byCookie:
		var caller *object.Caller
		if caller, err = c.sessionCaller(); err == nil && caller.Role != object.Nobody {
			user = caller.Organization + "/" + caller.Name
		}
		if isRefusal(err, object.AccessDenied) { // a forbidden user, who may be allowed again
			err = nil
		}
	}
	if err == nil && byCookie {
		err = c.signOut()
	}
	c.replyDataOr(user, err)
}

// endToken ends an access token and its refresh token, and returns whose they were.
func (b *Base) endToken(token string) (user string, err error) {
	ctx := b.Ctx.Request.Context()
	return worked(ctx, b.Deps.Limits, func() (string, error) { return b.Deps.Authority.Logout(ctx, token) })
}
