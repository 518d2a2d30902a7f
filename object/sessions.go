package object

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

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

// Sessions returns what the users of an organization are signed in by, ordered by user and application.
func (a *Authority) Sessions(ctx context.Context, c *Caller, q ListQuery) (*Page[sdk.Session], error) {
	organization := cmp.Or(q.Owner, q.Organization, c.Organization)
	if err := c.check("get-sessions", home{organization: organization}); err != nil {
		return nil, err
	}
	limit, offset := maxListed, 0
	if q.Page > 0 {
		q.PageSize = max(q.PageSize, 1)
		limit, offset = q.limit(), q.offset()
	}
	page := &Page[sdk.Session]{}
	return page, a.scan(ctx, func() error {
		list, err := a.sessionList(ctx, organization, q)
		if err != nil {
			return err
		}
		if page.Rows, err = list.page(limit, offset); err != nil {
			return err
		}
		if len(page.Rows) > 0 {
			if err := list.fill(page.Rows); err != nil {
				return err
			}
		}
		return scanOne(list.reader, []any{&page.Total},
			"SELECT COUNT(*) FROM ("+list.query("DISTINCT user_name, application")+") p", list.args()...)
	})
}

// sessionList selects all that is signed in to an organization, as rows of user_name, application, id and created.
type sessionList struct {
	reader
	tokens, browsers string // two SELECTs
	organization     string
	since, now       string // no older token is valid; no session is that expired before
	field, like      string // more conditions
}

func (a *Authority) sessionList(ctx context.Context, organization string, q ListQuery) (*sessionList, error) {
	s := a.tables
	l := &sessionList{reader: s.read(ctx), organization: organization, now: a.stamp(), like: "%"}
	switch {
	case q.Field == "" || q.Value == "":
		l.field = "user_name"
	case q.Field == "name":
		l.field, l.like = "user_name", "%"+escapeLike(q.Value)+"%"
	case q.Field == "application":
		l.field, l.like = q.Field, "%"+escapeLike(q.Value)+"%"
	default:
		return nil, refuse(InvalidRequest, "there is no column %.40q", q.Field)
	}
	apps, err := s.lifeSettings(l.reader)
	if err != nil {
		return nil, err
	}
	var longest time.Duration
	for _, app := range apps {
		longest = max(longest, TokenLife(app))
	}
	l.since = timestamp(a.now().Add(-longest))
	user := s.dialect.quote("user")
	l.tokens = fmt.Sprintf("SELECT %s AS user_name, %s AS application, %s AS id, %s AS created FROM %s "+
		"WHERE organization=? AND created_time>? AND expires_in>0 AND %s<>''",
		s.asUsers(user), s.asUsers("COALESCE(application, '')"), s.asUsers("name"), s.asUsers("created_time"), s.tokens.name, user)
	if s.tokens.has("grant_type") {
		l.tokens += " AND COALESCE(grant_type, '')<>'" + ClientCredentials + "'"
	}
	l.browsers = fmt.Sprintf("SELECT %s, %s, %s, %s FROM %s b JOIN %s u ON %s WHERE b.organization=? AND b.expires_time>?",
		s.asUsers("u.name"), s.asUsers("b.application"), s.asUsers("b.session_id"), s.asUsers("b.created_time"),
		s.adminSessions.name, s.users.name, s.ownUser("b"))
	return l, nil
}

func (l *sessionList) query(what string) string {
	return fmt.Sprintf("SELECT %s FROM (%s UNION ALL %s) x WHERE %s LIKE ? ESCAPE '!'", what, l.tokens, l.browsers, l.field)
}

func (l *sessionList) args(more ...any) []any {
	return append([]any{l.organization, l.since, l.organization, l.now, l.like}, more...)
}

func (l *sessionList) page(limit, offset int) ([]*sdk.Session, error) {
	found := []*sdk.Session{}
	err := eachRow(l.reader, func(rows *sql.Rows) error {
		s := &sdk.Session{Owner: l.organization}
		found = append(found, s)
		return rows.Scan(&s.Name, &s.Application)
	}, l.query("DISTINCT user_name, application")+" ORDER BY user_name, application LIMIT ? OFFSET ?",
		l.args(limit, offset)...)
	return found, err
}

// fill adds the ids to sessions that are neighbours in the order of users.
func (l *sessionList) fill(sessions []*sdk.Session) error {
	byUser := map[[2]string]*sdk.Session{}
	for _, s := range sessions {
		byUser[[2]string{s.Name, s.Application}] = s
	}
	return eachRow(l.reader, func(rows *sql.Rows) error {
		var user, application, id, created string
		if err := rows.Scan(&user, &application, &id, &created); err != nil {
			return err
		}
		if s := byUser[[2]string{user, application}]; s != nil {
			s.CreatedTime = cmp.Or(s.CreatedTime, created)
			s.SessionId = append(s.SessionId, id)
		}
		return nil
	}, l.query("user_name, application, id, created")+" AND user_name>=? AND user_name<=? ORDER BY created",
		l.args(sessions[0].Name, sessions[len(sessions)-1].Name)...)
}
