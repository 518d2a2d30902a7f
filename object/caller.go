package object

import (
	"context"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Role is what somebody is to the management API. The zero Role is nobody.
type Role int

// The roles, as Casdoor has them.
const (
	Nobody Role = iota
	Member      // a user, who may look after themselves
	Admin       // a user with isAdmin: for the own organization
	App         // an application that has shown its client secret, Casdoor's user "app": for the own organization
	Global      // an admin or an application of the organization built-in: for all organizations
)

// Caller is who asks for something of the management API. The zero Caller is nobody.
type Caller struct {
	Role         Role
	Organization string // whose user or application it is
	Name         string // of the user or application
	UserID       string // of a user; empty for an application
	Cert         string // that an application signs with; empty for a user
	ClientIP     string // of the request, for the record; may be empty
	Address      string // the request's method and path, for the record; may be empty
}

// governs reports whether the caller may act for an organization.
func (c *Caller) governs(organization string) bool {
	return c.Role == Global || c.Role >= Admin && c.Organization == organization
}

// UserCaller returns what a signed-in user is to the management API.
func UserCaller(user *sdk.User) *Caller {
	c := &Caller{Role: Member, Organization: user.Owner, Name: user.Name, UserID: user.Id}
	if user.IsAdmin {
		c.Role = Admin
		if user.Owner == builtInName {
			c.Role = Global
		}
	}
	return c
}

// ClientCaller returns what an application with that secret is to the management API. A client id or secret that is
// wrong is a *Refusal with AccessDenied.
func (s *Service) ClientCaller(ctx context.Context, clientID, secret string) (*Caller, error) {
	client, err := s.Client(ctx, clientID)
	if isA[*Refusal](err) || err == nil && !client.Authentic(secret) {
		return nil, notAllowed()
	}
	if err != nil {
		return nil, err
	}
	c := &Caller{
		Role: App, Organization: client.Organization.Name, Name: client.Application.Name, Cert: client.Application.Cert,
	}
	if c.Organization != builtInName {
		return c, nil
	}
	// A shared application acts for the organization that its client id names. That must make nobody an admin of all.
	if client.home != builtInName {
		return nil, notAllowed()
	}
	c.Role = Global
	return c, nil
}

// notAllowed is what Casdoor says to those who may not.
func notAllowed() *Refusal { return refuse(AccessDenied, "Unauthorized operation") }
