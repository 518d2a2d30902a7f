package object

import (
	"context"
	"errors"
	"net/url"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// DefaultApplication returns the application that an organization has as its default or, where it has none, its first,
// as the caller may see it.
func (a *Authority) DefaultApplication(ctx context.Context, c *Caller, organization string) (*sdk.Application, error) {
	org, err := a.settings.organization(ctx, organization)
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(InvalidRequest, "The organization: %s doesn't exist", organization)
	}
	if err != nil {
		return nil, err
	}
	return a.applicationOf(ctx, c, "get-default-application", org, "")
}

// UserApplication returns the application that a user has signed up with or, where it is not known, the default of the
// organization, as the caller may see it.
func (a *Authority) UserApplication(ctx context.Context, c *Caller, owner, name string) (*sdk.Application, error) {
	const action = "get-user-application"
	user, err := a.Users().get(ctx, c, action, owner, name)
	if err != nil {
		return nil, err
	}
	org, err := a.settings.organization(ctx, owner)
	if err != nil {
		return nil, err
	}
	return a.applicationOf(ctx, c, action, org, user.SignupApplication)
}

// applicationOf returns the application of that name, or the one that an organization has for those who name none.
func (a *Authority) applicationOf(
	ctx context.Context, c *Caller, action string, org *sdk.Organization, name string,
) (*sdk.Application, error) {
	if c.may(action) == nothing {
		return nil, NotAllowed()
	}
	for _, known := range []string{name, org.DefaultApplication} {
		if known == "" {
			continue
		}
		app, err := a.Applications().Get(ctx, c, adminOwner, known)
		if !errors.Is(err, ErrNotFound) {
			return app, err
		}
	}
	app, err := a.tables.applications.get(a.tables.read(ctx), "WHERE organization=? ORDER BY created_time, name LIMIT 1",
		org.Name)
	if err != nil {
		return nil, err
	}
	return app, a.Applications().present(ctx, c, app, false)
}

// AppLogin is what a sign-in page asks before it sends its user to an application.
type AppLogin struct{ ClientID, ResponseType, RedirectURI string }

// AppLogin returns the application of a sign-in page, as the caller may see it. A sign-in that must not be, such as by
// a redirect to a foreign place, is a *Refusal.
func (a *Authority) AppLogin(ctx context.Context, c *Caller, login AppLogin) (*sdk.Application, error) {
	if c.may("get-app-login") == nothing {
		return nil, NotAllowed()
	}
	client, err := a.Client(ctx, login.ClientID)
	if isA[*Refusal](err) {
		return nil, refuse(InvalidRequest, "Invalid client_id")
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"code", "token", "id_token"}, login.ResponseType) {
		return nil, refuse(InvalidRequest, "Grant_type: %.40s is not supported in this application", login.ResponseType)
	}
	target, err := url.Parse(login.RedirectURI)
	if err != nil || target.Scheme == "" || !slices.Contains(client.Application.RedirectUris, login.RedirectURI) {
		return nil, refuse(InvalidRequest, "Redirect URI: %.200s doesn't exist in the allowed Redirect URI list",
			login.RedirectURI)
	}
	return a.Applications().Get(ctx, c, client.Application.Owner, client.Application.Name)
}
