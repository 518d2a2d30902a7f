package controllers

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minidoor/minidoor/object"
)

// caller returns who asks: an application that shows its client secret, in the query as Casdoor's SDKs do or by HTTP
// Basic authentication, the user or application of a bearer token, or the one who is signed in with a password. Whoever
// shows nothing is nobody.
func (b *Base) caller() (*object.Caller, error) {
	r := b.Ctx.Request
	for _, values := range r.URL.Query() {
		if text := strings.Join(values, ""); !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, badRequest("the query has control characters")
		}
	}
	c, err := b.identify()
	if err != nil {
		return nil, err
	}
	c.ClientIP, c.Address = b.Deps.clientIP(r), r.Method+" "+r.URL.Path
	return c, nil
}

// member returns the user of the bearer token; nil where it is somebody who may more, an admin or an application, or
// nobody, whom caller refuses.
func (b *Base) member() (*object.Principal, error) {
	p, err := b.principal()
	if _, refused := errors.AsType[*object.Refusal](err); refused || err == nil && p.User.IsAdmin {
		return nil, nil
	}
	return p, err
}

// require returns an error to a caller who is nobody, and refusal to one with less than that role.
func (b *Base) require(least object.Role, refusal error) error {
	caller, err := b.caller()
	switch {
	case err != nil:
		return err
	case caller.Role == object.Nobody:
		return object.LoginFirst()
	case caller.Role < least:
		return refusal
	}
	return nil
}

func (b *Base) identify() (*object.Caller, error) {
	r := b.Ctx.Request
	if token, ok := bearer(r); ok {
		return worked(r.Context(), b.Deps.Limits, func() (*object.Caller, error) {
			return b.Deps.Service.TokenCaller(r.Context(), token)
		})
	}
	query := r.URL.Query()
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = query.Get("clientId"), query.Get("clientSecret")
	}
	if secret != "" {
		return asked(r.Context(), b.Deps.Limits, func() (*object.Caller, error) {
			return b.Deps.Service.ClientCaller(r.Context(), id, secret)
		})
	}
	return b.sessionCaller()
}
