package object

import (
	"context"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// What Casdoor calls a session is all that a user is signed in by to one application: here the families of tokens, by
// the names of their rows, and the sessions of browsers, by ids that open nothing.

// userSignIns is all that one user is signed in by.
type userSignIns struct {
	user     *sdk.User
	tokens   []*sdk.Token
	browsers []*AdminSession
}

// signInsOf returns what a user is signed in by, with the newest tokens: see tokensOf.
func (a *Authority) signInsOf(ctx context.Context, user *sdk.User, most int) (*userSignIns, error) {
	u := &userSignIns{user: user}
	var err error
	if u.tokens, err = a.tokensOf(ctx, user.Owner, user.Name, most); err != nil {
		return nil, err
	}
	u.tokens = slices.DeleteFunc(u.tokens, func(t *sdk.Token) bool { return t.ExpiresIn <= 0 }) // ended
	u.browsers, err = a.tables.adminSessions.find(a.tables.read(ctx), "WHERE user_id=? AND organization=? AND expires_time>? "+
		"ORDER BY created_time", user.Id, user.Owner, a.stamp())
	return u, err
}

// of leaves what is of one application, and of these ids unless there are none.
func (u *userSignIns) of(application string, ids []string) {
	listed := func(of, id string) bool {
		return of == application && (len(ids) == 0 || slices.Contains(ids, id))
	}
	u.tokens = slices.DeleteFunc(u.tokens, func(t *sdk.Token) bool { return !listed(t.Application, t.Name) })
	u.browsers = slices.DeleteFunc(u.browsers, func(s *AdminSession) bool { return !listed(s.Application, s.ID) })
}

// Session returns what a user is signed in by to one application, or ErrNotFound.
func (a *Authority) Session(ctx context.Context, c *Caller, owner, name, application string) (*sdk.Session, error) {
	user, err := a.userFor(ctx, c, "get-session", owner, name)
	if err != nil {
		return nil, err
	}
	u, err := a.signInsOf(ctx, user, maxRecords)
	if err != nil {
		return nil, err
	}
	u.of(application, nil)
	s := &sdk.Session{Owner: owner, Name: name, Application: application}
	add := func(id, created string) {
		s.SessionId = append(s.SessionId, id)
		if s.CreatedTime == "" || created < s.CreatedTime {
			s.CreatedTime = created
		}
	}
	for _, token := range u.tokens {
		add(token.Name, token.CreatedTime)
	}
	for _, browser := range u.browsers {
		add(browser.ID, browser.CreatedTime)
	}
	if len(s.SessionId) == 0 {
		return nil, ErrNotFound
	}
	return s, nil
}

// EndSessions ends what a user is signed in by to one application: all of it, or what the ids name. It reports whether
// there was any.
func (a *Authority) EndSessions(ctx context.Context, c *Caller, s sdk.Session) (ended bool, err error) {
	user, err := a.userFor(ctx, c, "delete-session", s.Owner, s.Name)
	if err != nil {
		return false, ignoreMissing(err)
	}
	u, err := a.signInsOf(ctx, user, 0)
	if err != nil {
		return false, err
	}
	u.of(s.Application, s.SessionId)
	id := strings.Join([]string{s.Owner, s.Name, s.Application}, "/")
	return len(u.tokens)+len(u.browsers) > 0, a.end(ctx, c, u, "delete-session", id)
}

// LogoutEverywhere ends all that the caller, a user, is signed in by.
func (a *Authority) LogoutEverywhere(ctx context.Context, c *Caller) error {
	user := &sdk.User{Owner: c.Organization, Name: c.Name, Id: c.UserID}
	u, err := a.signInsOf(ctx, user, 0)
	if err != nil {
		return err
	}
	return a.end(ctx, c, u, "sso-logout", user.GetId())
}

func (a *Authority) end(ctx context.Context, c *Caller, u *userSignIns, action, id string) error {
	if len(u.tokens)+len(u.browsers) == 0 {
		return nil
	}
	return a.tables.write(ctx, func(tx *txn) error {
		if err := a.tables.deleteTokens(tx, u.tokens); err != nil {
			return err
		}
		for _, s := range u.browsers {
			if _, err := tx.exec("DELETE FROM "+a.tables.adminSessions.name+" WHERE token_hash=?", s.TokenHash); err != nil {
				return err
			}
		}
		return a.recordChange(tx, c, action, id)
	})
}

// endAdminSessions ends a user's sessions of browsers.
func (a *Authority) endAdminSessions(tx *txn, user *sdk.User) error {
	_, err := tx.exec("DELETE FROM "+a.tables.adminSessions.name+" WHERE user_id=?", user.Id)
	return err
}
