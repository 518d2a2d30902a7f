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

// userCaller returns what a signed-in user is to the management API.
func userCaller(user *sdk.User) *Caller {
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
		return nil, NotAllowed()
	}
	if err != nil {
		return nil, err
	}
	return client.caller()
}

// TokenCaller returns what the bearer of an access token is to the management API: a user or, by a token of the grant
// client_credentials, the application that it was issued to. Its errors are those of Authenticate.
func (s *Service) TokenCaller(ctx context.Context, accessToken string) (*Caller, error) {
	p, claims, err := s.holder(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	if p.row.GrantType != ClientCredentials {
		if p, err = p.ofUser(claims); err != nil {
			return nil, err
		}
		return userCaller(p.User), nil
	}
	client, err := s.Client(ctx, p.clientID)
	if err != nil {
		return nil, err
	}
	// The row says whose token it is: who may write it is looked at, while a cert's owner may sign what they like.
	if client.Application.Name != p.row.Application || client.Organization.Name != p.row.Organization {
		return nil, refuse(InvalidToken, "the application of the token doesn't exist")
	}
	return client.caller()
}

// caller returns what an application is to the management API, once it has shown its secret or its token.
func (c *Client) caller() (*Caller, error) {
	caller := &Caller{
		Role: App, Organization: c.Organization.Name, Name: c.Application.Name, Cert: c.Application.Cert,
	}
	// A shared application acts for the organization that its client id names. Unless it is built-in's, that is to be
	// its own: the admins of its own know the secret, and must not look after others.
	if caller.Organization != c.home && c.home != builtInName {
		return nil, NotAllowed()
	}
	if caller.Organization == builtInName {
		caller.Role = Global
	}
	return caller, nil
}

// NotAllowed is what Casdoor says to those who may not.
func NotAllowed() *Refusal { return refuse(AccessDenied, "Unauthorized operation") }

// LoginFirst is what Casdoor says to those who show nothing.
func LoginFirst() *Refusal { return refuse(InvalidToken, "Please login first") }
