package object

import (
	"context"
	"errors"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// checkPassword returns the user whose name and password these are, and takes one of their chances if they are not.
func (a *Authority) checkPassword(ctx context.Context, organization, name, password string) (*sdk.User, error) {
	if password == "" {
		return nil, refuse(InvalidRequest, "Password cannot be empty")
	}
	o, err := a.settings.organization(ctx, organization)
	if errors.Is(err, ErrNotFound) {
		o, err = &sdk.Organization{PasswordType: passwordType}, nil
	}
	if err != nil {
		return nil, err
	}
	leave, err := a.enterHashing(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	user, err := a.userByLogin(ctx, organization, strings.TrimSpace(name))
	if err != nil {
		return nil, err
	}
	left, err := a.chance(ctx, user, organization, name)
	if err != nil {
		return nil, err
	}
	if user == nil {
		_, _ = passwordOf(nil, o).matches(password) // what it takes for a user
		return nil, wrongPassword(left)
	}
	stored := passwordOf(user, o)
	matched, err := stored.matches(password)
	if err != nil {
		a.log.WarnContext(ctx, "a user cannot sign in with the password", "user", user.GetId(),
			"passwordType", stored.kind, "cause", err)
	}
	if !matched {
		return nil, wrongPassword(left)
	}
	return user, a.store.write(ctx, func(tx *txn) error { return a.forgive(tx, user) })
}

// userByLogin returns the user of a name or else, where it is one user's only, of an e-mail address or phone number. It
// returns nil where there is none.
func (a *Authority) userByLogin(ctx context.Context, organization, login string) (*sdk.User, error) {
	q, users := a.store.read(ctx), a.store.users
	user, err := users.get(q, "WHERE "+byID, organization, login)
	if err == nil || !errors.Is(err, ErrNotFound) || login == "" {
		return user, ignoreMissing(err)
	}
	// The function keeps the database from reading all users of the organization.
	found, err := users.find(q, "WHERE COALESCE(owner, '')=? AND (email=? OR phone=?) LIMIT 2",
		organization, strings.ToLower(login), login)
	if err != nil || len(found) != 1 {
		return nil, err
	}
	return found[0], nil
}

// hashingWait is how long a password waits for those before it.
const hashingWait = 5 * time.Second

// enterHashing lets a password be hashed, at most half of the processors at a time: mini programs sign in meanwhile.
func (a *Authority) enterHashing(ctx context.Context) (leave func(), err error) {
	timeout := time.NewTimer(hashingWait)
	defer timeout.Stop()
	select {
	case a.hashing <- struct{}{}:
		return func() { <-a.hashing }, nil
	case <-timeout.C:
		return nil, &Refusal{
			Code: Unavailable, Message: "The server is busy, please try again", RetryAfter: hashingWait,
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
