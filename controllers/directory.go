package controllers

import (
	"errors"
	"strings"

	"github.com/minidoor/minidoor/object"
)

// DirectoryController serves what Casdoor's SDKs and sign-in pages ask about users, organizations and applications
// beside the rows themselves.
type DirectoryController struct{ Base }

// UserCount is GET /api/get-user-count?owner=…&isOnline=…, where isOnline is 1, 0 or empty.
func (c *DirectoryController) UserCount() {
	query := c.Ctx.Request.URL.Query()
	var online *bool
	if text := query.Get("isOnline"); text != "" {
		online = new(text == "1" || text == "true")
	}
	ask(c.Base, func(caller *object.Caller) (int, error) {
		return c.Deps.Authority.CountUsers(c.Ctx.Request.Context(), caller, query.Get("owner"), online)
	})
}

// OrganizationNames is GET /api/get-organization-names.
func (c *DirectoryController) OrganizationNames() {
	ask(c.Base, func(caller *object.Caller) (any, error) {
		return c.Deps.Authority.OrganizationNames(c.Ctx.Request.Context(), caller)
	})
}

// DefaultApplication is GET /api/get-default-application?id=admin/organization.
func (c *DirectoryController) DefaultApplication() {
	_, organization, _ := strings.Cut(c.Ctx.Request.URL.Query().Get("id"), "/")
	ask(c.Base, func(caller *object.Caller) (any, error) {
		return c.Deps.Authority.DefaultApplication(c.Ctx.Request.Context(), caller, organization)
	})
}

// UserApplication is GET /api/get-user-application?id=owner/name.
func (c *DirectoryController) UserApplication() {
	owner, name, _ := strings.Cut(c.Ctx.Request.URL.Query().Get("id"), "/")
	ask(c.Base, func(caller *object.Caller) (any, error) {
		return c.Deps.Authority.UserApplication(c.Ctx.Request.Context(), caller, owner, name)
	})
}

// AppLogin is GET /api/get-app-login?type=code&clientId=…&responseType=…&redirectUri=…: the application in data. As in
// Casdoor it is null for another type.
func (c *DirectoryController) AppLogin() {
	query := c.Ctx.Request.URL.Query()
	ask(c.Base, func(caller *object.Caller) (any, error) {
		if query.Get("type") != "code" {
			return nil, nil
		}
		return c.Deps.Authority.AppLogin(c.Ctx.Request.Context(), caller, object.AppLogin{
			ClientID: query.Get("clientId"), ResponseType: query.Get("responseType"), RedirectURI: query.Get("redirectUri"),
		})
	})
}

// ask answers with what a caller gets; what is not there is null.
func ask[T any](b Base, get func(*object.Caller) (T, error)) {
	caller, err := b.caller()
	if err != nil {
		b.fail(err)
		return
	}
	data, err := asked(b.Ctx.Request.Context(), b.Deps.Limits, func() (T, error) { return get(caller) })
	if errors.Is(err, object.ErrNotFound) {
		b.replyData(nil)
		return
	}
	b.replyDataOr(data, err)
}
