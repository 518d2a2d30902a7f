package object

import (
	"context"
	"errors"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// checkPassword returns the user whose login and password these are, and takes one of their chances if they are not.
func (a *Authority) checkPassword(ctx context.Context, l lockout, in PasswordSignIn) (*sdk.User, error) {
	if in.Password == "" {
		return nil, refuse(InvalidRequest, "Password cannot be empty")
	}
	o, err := a.settings.organization(ctx, in.Organization)
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
	user, err := a.userByLogin(ctx, in.Organization, in.Username)
	if err != nil {
		return nil, err
	}
	counted := a.counterOf(in, user)
	left, err := a.chance(ctx, l, counted)
	if err != nil {
		return nil, err
	}
	compared := comparisons(user, o)
	for _, other := range compared[1:] {
		_, _ = other.matches(in.Password) // what it takes for other users
	}
	stored := compared[0]
	matched, err := stored.matches(in.Password)
	if user == nil {
		return nil, wrongPassword(left)
	}
	if err != nil {
		a.log.WarnContext(ctx, "a user cannot sign in with the password", "user", user.GetId(),
			"passwordType", stored.kind, "cause", err)
	}
	if !matched {
		return nil, wrongPassword(left)
	}
	return user, a.tables.write(ctx, func(tx *txn) error { return a.forgive(tx, counted) })
}

// userByLogin returns the user with that name or else, where one user alone has it, that e-mail address or phone
// number; nil where there is none. Two logins find the same user only if they are the same to sameLogin, by which wrong
// passwords are counted where there is no user. So what else a collation of MySQL takes for equal, such as letters with
// and without accents, finds nobody.
func (a *Authority) userByLogin(ctx context.Context, organization, login string) (*sdk.User, error) {
	q, users, same := a.tables.read(ctx), a.tables.users, a.tables.dialect.sameLogin
	typed := strings.TrimSpace(login)
	folded := same(login)
	if typed == "" {
		return nil, nil
	}
	named, err := users.find(q, "WHERE owner=? AND name IN (?, ?)", organization, typed, folded)
	if err != nil {
		return nil, err
	}
	var found *sdk.User
	for _, user := range named {
		if user.Owner == organization && same(user.Name) == folded && (found == nil || user.Name == typed) {
			found = user
		}
	}
	if found != nil {
		return found, nil
	}
	// The function keeps the database from reading all users of the organization, and the comparisons with the empty
	// text from reading those who have neither: MySQL takes some characters for it.
	reached, err := users.find(q, "WHERE COALESCE(owner, '')=? AND "+
		"(email IN (?, ?) AND email<>'' OR phone=? AND phone<>'') LIMIT 2", organization, typed, folded, folded)
	if err != nil || len(reached) != 1 {
		return nil, err
	}
	user := reached[0]
	if user.Owner != organization || same(user.Email) != folded && same(user.Phone) != folded {
		return nil, nil
	}
	return user, nil
}

// hashingWait is how long a password waits for those before it.
const hashingWait = 5 * time.Second

// enterHashing lets a password be hashed, at most half of the processors at a time: mini programs sign in meanwhile.
func (s *Service) enterHashing(ctx context.Context) (leave func(), err error) {
	timeout := time.NewTimer(hashingWait)
	defer timeout.Stop()
	select {
	case s.hashing <- struct{}{}:
		return func() { <-s.hashing }, nil
	case <-timeout.C:
		return nil, &Refusal{
			Code: Unavailable, Message: "The server is busy, please try again", RetryAfter: hashingWait,
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// oneHash has the user with that id ask for one hash at a time: more would keep waiting all who have to sign in. done
// must be called when it is made. An empty id is that of nobody in particular, who may ask for any number.
func (s *Service) oneHash(userID string) (done func(), err error) {
	if userID == "" {
		return func() {}, nil
	}
	if _, twice := s.hashers.LoadOrStore(userID, true); twice {
		return nil, &Refusal{Code: SlowDown, Message: "too many requests: try again later", RetryAfter: time.Second}
	}
	return func() { s.hashers.Delete(userID) }, nil
}

// hash is hashPassword in turn. For userID see oneHash.
func (s *Service) hash(ctx context.Context, userID, password string) (string, error) {
	done, err := s.oneHash(userID)
	if err != nil {
		return "", err
	}
	defer done()
	leave, err := s.enterHashing(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return hashPassword(password)
}
