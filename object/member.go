package object

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/provider"
)

// member is a user as one of the application's mini programs knows them.
type member struct {
	program  miniProgram
	platform provider.Platform
	upstream provider.Provider
	identity Identity
	session  *Session // of the last sign-in; nil where none is stored
}

// noTables is the answer where what is asked for is kept in tables that this way of running does not have.
func noTables() *Refusal {
	return refuse(Unsupported, "this server keeps its users behind the API of a Casdoor, and cannot do this")
}

// clientOf returns the application that the principal's token is for.
func (s *Service) clientOf(ctx context.Context, p *Principal) (*Client, error) {
	client, err := s.settings.client(ctx, p.clientID)
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(InvalidToken, "the application of the token doesn't exist")
	}
	return client, err
}

// member returns the principal as the mini program with that AppID knows them or, where it is empty, the one that they
// signed in with last. The mini programs are those of the token's application. One who came by none of them is a
// *Refusal.
func (s *Service) member(ctx context.Context, p *Principal, appID string) (*member, error) {
	client, err := s.clientOf(ctx, p)
	if err != nil {
		return nil, err
	}
	if s.tables == nil {
		return s.remoteMember(client, p, appID)
	}
	known, err := s.tables.members(ctx, p.User)
	if err != nil {
		return nil, err
	}
	for _, m := range known {
		for _, program := range client.miniPrograms {
			if program.row.ClientId == m.identity.AppID && (appID == "" || appID == m.identity.AppID) {
				m.program = program
				return m, s.attach(m)
			}
		}
	}
	return nil, noMember()
}

func noMember() *Refusal {
	return refuse(InvalidRequest, "the user has not signed in with such a mini program of the application")
}

// attach sets what the registry makes of the member's mini program.
func (s *Service) attach(m *member) error {
	var ok bool
	if m.platform, ok = s.registry.ByType(m.program.row.Type); !ok {
		return noMember()
	}
	var err error
	m.upstream, err = s.providerOf(m.program, m.platform)
	return err
}

// remoteMember takes the OpenID from the user's properties, which are all that a Casdoor's API tells, and the first
// mini program: there it is not known which one the user came by.
func (s *Service) remoteMember(client *Client, p *Principal, appID string) (*member, error) {
	for _, program := range client.miniPrograms {
		if _, ours := s.registry.ByType(program.row.Type); !ours || appID != "" && appID != program.row.ClientId {
			continue
		}
		m := &member{program: program}
		if err := s.attach(m); err != nil {
			return nil, err
		}
		m.identity = Identity{
			Organization: p.User.Owner, AppID: program.row.ClientId, OpenID: p.User.Properties[m.platform.Prefix+openIDProperty],
			UserID: p.User.Id,
		}
		if m.identity.OpenID != "" {
			return m, nil
		}
	}
	return nil, noMember()
}

// members returns the identities of a user, with their sessions. The last sign-in comes first.
func (t *tables) members(ctx context.Context, user *sdk.User) (found []*member, err error) {
	err = eachRow(t.read(ctx), func(rows *sql.Rows) error {
		m, session := &member{}, &Session{}
		dest := append(t.identities.dest(&m.identity, t.identities.columns), t.sessions.dest(session, t.sessions.columns)...)
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if session.SealedKey != "" {
			m.session = session
		}
		if m.identity.Organization == user.Owner && m.identity.UserID == user.Id {
			found = append(found, m)
		}
		return nil
	}, fmt.Sprintf("SELECT %s, %s FROM %s i LEFT JOIN %s s "+
		"ON s.organization=i.organization AND s.app_id=i.app_id AND s.open_id=i.open_id "+
		"WHERE i.user_id=? ORDER BY COALESCE(s.updated_time, '') DESC",
		t.identities.list(t.identities.columns, "i."), t.sessions.list(t.sessions.columns, "s."),
		t.identities.name, t.sessions.name), user.Id)
	return found, err
}

// capable returns the member's platform as T, or the *Refusal that it is none.
func capable[T any](m *member) (T, error) {
	c, ok := m.upstream.(T)
	if !ok {
		return c, refuse(Unsupported, "mini programs of this type cannot do this")
	}
	return c, nil
}
