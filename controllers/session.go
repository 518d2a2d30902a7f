package controllers

import (
	"net/http"
	"strings"

	"github.com/minidoor/minidoor/object"
)

// The cookies of a browser in which somebody has signed in with a password: the token of the session, and one that stays
// when that is over, of object.Authority.BrowserToken.
const (
	sessionCookie = "minidoor_session"
	browserCookie = "minidoor_browser"
)

// browserAge is how long a browser is known after a sign-in, in seconds.
const browserAge = 365 * 24 * 3600

// hostPrefix begins their names over https: a browser takes such a cookie from this very server alone. Any other one a
// neighbour below the same domain could set, or who is on the way of a request over http, and have an admin work in a
// session of theirs.
const hostPrefix = "__Host-"

// isPasswordCookie reports whether a cookie is one of them, whichever way the browser has come.
func isPasswordCookie(c *http.Cookie) bool {
	name := strings.TrimPrefix(c.Name, hostPrefix)
	return name == sessionCookie || name == browserCookie
}

func (d *Deps) isHTTPS(r *http.Request) bool { return strings.HasPrefix(d.origin(r), "https://") }

// cookieName returns the name that a cookie has for a request.
func (d *Deps) cookieName(r *http.Request, name string) string {
	if d.isHTTPS(r) {
		return hostPrefix + name
	}
	return name
}

// signedIn has the browser keep the token of a caller's new session, in place of the one that it may have had, which
// ends: nobody can have a session ready that somebody else then signs in to.
func (b *Base) signedIn(token string, caller *object.Caller) error {
	if err := b.endSession(); err != nil {
		return err
	}
	b.setCookie(sessionCookie, token, 0)
	b.setCookie(browserCookie, b.Deps.Console.BrowserToken(caller.UserID), browserAge)
	return nil
}

// signOut ends the browser's session, if it has one.
func (b *Base) signOut() error {
	if err := b.endSession(); err != nil {
		return err
	}
	b.setCookie(sessionCookie, "", -1)
	return nil
}

// endSession ends the session of the request's cookie.
func (b *Base) endSession() error {
	token, ok := b.Deps.sessionToken(b.Ctx.Request)
	if !ok {
		return nil
	}
	ctx := b.Ctx.Request.Context()
	_, err := asked(ctx, b.Deps.Limits, func() (struct{}, error) {
		return struct{}{}, b.Deps.Console.EndSession(ctx, token)
	})
	return err
}

// setCookie has the browser keep a cookie for so many seconds; 0: until it is closed; less: no longer.
func (b *Base) setCookie(name, value string, maxAge int) {
	http.SetCookie(b.Ctx.ResponseWriter, &http.Cookie{
		Name: b.Deps.cookieName(b.Ctx.Request, name), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: b.Deps.isHTTPS(b.Ctx.Request),
	})
}

// cookie returns the value of a request's cookie, empty where it has none.
func (d *Deps) cookie(r *http.Request, name string) string {
	cookie, err := r.Cookie(d.cookieName(r, name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// sessionToken returns the token of the request's session, and whether there is one.
func (d *Deps) sessionToken(r *http.Request) (string, bool) {
	token := d.cookie(r, sessionCookie)
	return token, token != ""
}

// sessionCaller returns the user of the request's cookie. Whoever has none, or one that is over, is nobody.
func (b *Base) sessionCaller() (*object.Caller, error) {
	token, ok := b.Deps.sessionToken(b.Ctx.Request)
	if !ok || b.Deps.Console == nil {
		return &object.Caller{}, nil
	}
	ctx := b.Ctx.Request.Context()
	c, err := asked(ctx, b.Deps.Limits, func() (*object.Caller, error) { return b.Deps.Console.SessionCaller(ctx, token) })
	if isRefusal(err, object.InvalidToken) { // it is over
		return &object.Caller{}, nil
	}
	return c, err
}

// sameSite refuses what another site's page had a signed-in browser send: the cookie would go with it. The browser says
// where a request comes from; what no browser sends has no cookie that somebody else does not know. Logout counts as a
// change by whatever method, and login as well, lest somebody be signed in as somebody else. An address that a user may
// choose, such as an avatar's, must not log out who looks at it on our own pages: logout is visited or called by a
// script.
func (d *Deps) sameSite(r *http.Request) *APIError {
	if _, signedIn := d.sessionToken(r); !signedIn && r.URL.Path != loginPath {
		return nil
	}
	if r.URL.Path == logoutPath || r.URL.Path == ssoLogoutPath {
		if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" && dest != "empty" {
			return forbidden("A page may not load this as a part of it", nil)
		}
		r = r.Clone(r.Context())
		r.Method = http.MethodPost
	}
	return d.crossOrigin(r)
}

// crossOrigin refuses a change that another site's page had a browser ask for.
func (d *Deps) crossOrigin(r *http.Request) *APIError {
	protection := http.NewCrossOriginProtection()
	if d.Origin != "" {
		_ = protection.AddTrustedOrigin(d.Origin) // conf has checked it
	}
	if err := protection.Check(r); err != nil {
		return forbidden("Another site's page may not ask for this", err)
	}
	return nil
}
