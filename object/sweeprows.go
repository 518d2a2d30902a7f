package object

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/google/uuid"
)

// tokenSweep is what a sweep of token rows goes by. The names of our rows begin with the time of their sign-in: what is
// younger than the shortest life of a token is not looked at. Rows that a Casdoor has named are left to it.
type tokenSweep struct {
	*Sweeper
	owners []string
	lives  map[string]time.Duration // by owner/name of the application
	before string                   // the names of rows that may have expired are less
}

func (s *Sweeper) tokenSweep(ctx context.Context) (*tokenSweep, error) {
	apps, err := s.lifeSettings(s.read(ctx))
	if err != nil {
		return nil, err
	}
	t := &tokenSweep{Sweeper: s, owners: []string{adminOwner}, lives: map[string]time.Duration{}}
	shortest := time.Duration(-1)
	for _, app := range apps {
		life := TokenLife(app)
		t.lives[app.Owner+"/"+app.Name] = life
		t.owners = append(t.owners, app.Owner)
		if shortest < 0 || life < shortest {
			shortest = life
		}
	}
	slices.Sort(t.owners)
	t.before = idPrefix(s.Now().Add(-max(shortest, 0) - s.Margin))
	return t, nil
}

// lifeSettings reads of all applications how long their tokens live, and nothing else, which may be damaged.
func (s *Store) lifeSettings(q querier) ([]*sdk.Application, error) {
	columns := s.applications.pick("owner", "name", "expire_in_hours", "refresh_expire_in_hours")
	return s.applications.findColumns(q, columns, s.applications.name)
}

// sweptToken is what a token row tells about its end.
type sweptToken struct {
	name, created, application string
	expiresIn                  int64
}

// next implements sweptTable. The cursor is a row's owner and name.
func (t *tokenSweep) next(ctx context.Context, cursor []string) (behind []string, deleted int64, err error) {
	if cursor == nil {
		cursor = []string{t.owners[0], ""}
	}
	owner := cursor[0]
	rows, err := t.rows(ctx, owner, cursor[1])
	if err != nil {
		return nil, 0, err
	}
	if deleted, err = t.delete(ctx, owner, slices.DeleteFunc(slices.Clone(rows), func(r sweptToken) bool {
		return !t.expired(owner, r)
	})); err != nil {
		return nil, 0, err
	}
	if len(rows) == t.Batch {
		return []string{owner, rows[len(rows)-1].name}, deleted, nil
	}
	i, _ := slices.BinarySearch(t.owners, owner+"\x00")
	if i == len(t.owners) {
		return nil, deleted, nil
	}
	return []string{t.owners[i], ""}, deleted, nil
}

func (t *tokenSweep) rows(ctx context.Context, owner, after string) (found []sweptToken, err error) {
	err = eachRow(t.read(ctx), func(rows *sql.Rows) error {
		var r sweptToken
		err := rows.Scan(&r.name, &r.created, &r.application, &r.expiresIn)
		found = append(found, r)
		return err
	}, fmt.Sprintf("SELECT name, COALESCE(created_time, ''), COALESCE(application, ''), COALESCE(expires_in, 0) FROM %s "+
		"WHERE owner=? AND name>? AND name<? ORDER BY name LIMIT %d", t.tokens.name, t.Batch), owner, after, t.before)
	return found, err
}

// expired reports whether a row is one of ours and of no use any more, with the life that its application's settings
// give it now, or gave it when it was made, whichever is longer.
func (t *tokenSweep) expired(owner string, r sweptToken) bool {
	id, err := uuid.Parse(r.name)
	if err != nil || id.Version() != 7 {
		return false
	}
	created, err := time.Parse(time.RFC3339, r.created)
	stored := time.Duration(min(r.expiresIn, int64(maxLife/time.Second))) * time.Second
	life := max(t.lives[owner+"/"+r.application], stored)
	return err == nil && t.Now().After(created.Add(life+t.Margin))
}

// delete deletes rows, unless they have been renewed since they were read.
func (t *tokenSweep) delete(ctx context.Context, owner string, rows []sweptToken) (n int64, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	newest := slices.MaxFunc(rows, func(a, b sweptToken) int { return cmp.Compare(a.created, b.created) }).created
	args := []any{owner, newest}
	for _, r := range rows {
		args = append(args, r.name)
	}
	query := fmt.Sprintf("DELETE FROM %s WHERE owner=? AND created_time<=? AND name IN %s", t.tokens.name, placeholders(len(rows)))
	err = t.write(ctx, func(tx *txn) (err error) {
		n, err = tx.execOnce(query, args...)
		return err
	})
	return n, err
}

// nextSessions implements sweptTable: a session whose user does not exist goes, unless it is so young that the user may
// just be made. The cursor is a session's key.
func (s *Sweeper) nextSessions(ctx context.Context, cursor []string) (behind []string, deleted int64, err error) {
	sessions, behind, err := s.sessionsBehind(ctx, cursor, s.Batch)
	if err != nil {
		return nil, 0, err
	}
	old := timestamp(s.Now().Add(-s.Margin))
	for _, session := range sessions {
		if session.UpdatedTime >= old {
			continue
		}
		gone, err := s.userGone(ctx, session)
		if err != nil {
			return nil, deleted, err
		}
		if !gone {
			continue
		}
		n, err := s.deleteSession(ctx, session)
		if err != nil {
			return nil, deleted, err
		}
		deleted += n
	}
	return behind, deleted, nil
}

// sessionsBehind reads the sessions behind a key, of one mini program in one organization, in the order of the primary
// key. It returns the key to go on behind, or nil at the end; nil begins, too.
func (s *Store) sessionsBehind(
	ctx context.Context, cursor []string, most int,
) (found []*Session, behind []string, err error) {
	if cursor == nil {
		cursor = []string{"", "", ""}
	}
	found, err = s.sessions.find(s.read(ctx), fmt.Sprintf("WHERE organization=? AND app_id=? AND open_id>? "+
		"ORDER BY open_id LIMIT %d", most), cursor[0], cursor[1], cursor[2])
	if err != nil {
		return nil, nil, err
	}
	if len(found) == most {
		last := found[most-1]
		return found, []string{last.Organization, last.AppID, last.OpenID}, nil
	}
	behind, err = s.nextProgram(ctx, s.sessions.name, cursor[0], cursor[1])
	return found, behind, err
}

// nextProgram returns where the rows of the mini program behind this one begin in a table of sessions or identities, or
// nil. It asks in steps that every database answers from the key.
func (s *Store) nextProgram(ctx context.Context, table, organization, appID string) ([]string, error) {
	least := func(query string, args ...any) (value *string, err error) {
		err = scanOne(s.read(ctx), []any{&value}, fmt.Sprintf(query, table), args...)
		return value, err
	}
	next, err := least("SELECT MIN(app_id) FROM %s WHERE organization=? AND app_id>?", organization, appID)
	if next != nil || err != nil {
		return programKey(&organization, next), err
	}
	other, err := least("SELECT MIN(organization) FROM %s WHERE organization>?", organization)
	if other == nil || err != nil {
		return nil, err
	}
	next, err = least("SELECT MIN(app_id) FROM %s WHERE organization=?", *other)
	return programKey(other, next), err
}

// programKey returns the key before the first row of a mini program, or nil where there is none.
func programKey(organization, appID *string) []string {
	if appID == nil {
		return nil
	}
	return []string{*organization, *appID, ""}
}

func (s *Sweeper) userGone(ctx context.Context, session *Session) (bool, error) {
	var found int
	err := scanOne(s.read(ctx), []any{&found}, fmt.Sprintf("SELECT COUNT(*) FROM %s i JOIN %s u ON %s "+
		"WHERE i.organization=? AND i.app_id=? AND i.open_id=?", s.identities.name, s.users.name,
		s.ownUser("i")), session.Organization, session.AppID, session.OpenID)
	return err == nil && found == 0, err
}

// deleteSession deletes the session of a user who is gone, unless they have signed up anew meanwhile, and drops the
// uploads.
func (s *Sweeper) deleteSession(ctx context.Context, session *Session) (n int64, err error) {
	err = s.write(ctx, func(tx *txn) (err error) {
		n, err = tx.exec("DELETE FROM "+s.sessions.name+" WHERE organization=? AND app_id=? AND open_id=? AND updated_time=?",
			session.Organization, session.AppID, session.OpenID, session.UpdatedTime)
		if err != nil || n == 0 {
			return err
		}
		var userID string
		err = scanOne(tx, []any{&userID}, "SELECT user_id FROM "+s.identities.name+
			" WHERE organization=? AND app_id=? AND open_id=?", session.Organization, session.AppID, session.OpenID)
		if err != nil {
			return ignoreMissing(err)
		}
		return s.dropLeft(tx, userID)
	})
	return n, err
}
