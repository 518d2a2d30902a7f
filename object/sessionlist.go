package object

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

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
	l.tokens = fmt.Sprintf("SELECT %s AS user_name, COALESCE(application, '') AS application, name AS id, "+
		"created_time AS created FROM %s WHERE organization=? AND created_time>? AND expires_in>0 AND %s<>''", user, s.tokens.name, user)
	if s.tokens.has("grant_type") {
		l.tokens += " AND COALESCE(grant_type, '')<>'" + ClientCredentials + "'"
	}
	l.browsers = fmt.Sprintf("SELECT u.name, b.application, b.session_id, b.created_time FROM %s b JOIN %s u ON %s "+
		"WHERE b.organization=? AND b.expires_time>?", s.adminSessions.name, s.users.name, fmt.Sprintf(ownUser, "b"))
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
