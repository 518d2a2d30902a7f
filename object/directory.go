package object

import (
	"context"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// directory is where the organizations, applications, certs, users and tokens are: in Casdoor's tables or behind a
// Casdoor's API. It is safe for concurrent use. What does not exist is ErrNotFound.
type directory interface {
	// client returns the application with that client id, which for a shared application may end in the organization.
	client(ctx context.Context, clientID string) (*Client, error)

	// keys returns the keys that tokens are signed with.
	keys(ctx context.Context) (*keySet, error)

	// organization returns an organization.
	organization(ctx context.Context, name string) (*sdk.Organization, error)

	// find looks up whom the session of p belongs to, and sets p.user to that user or p.isNew to true. Nothing but the
	// identity finds a user.
	find(ctx context.Context, p *person) error

	// admit stores all that a sign-in leaves behind, or nothing of it: a user who is new, or the columns of the user
	// that changed, and the token's row. It returns errRaced when what find has found is not so any more.
	admit(ctx context.Context, p *person, changed []string, token *sdk.Token) error

	// principal returns the row of an access token whose signature is right, and the token's user.
	principal(ctx context.Context, token string, claims *tokenClaims) (*Principal, error)

	// update writes columns of the principal's user, as they are in p.User, and p.marked where there is a place for it.
	update(ctx context.Context, p *Principal, columns []string) error

	// Ping reports whether the directory answers.
	Ping(ctx context.Context) error
}
