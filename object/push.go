package object

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/provider"
)

// pushTarget is a provider whose platform pushes messages.
type pushTarget struct {
	program  miniProgram
	platform provider.Platform
	receiver provider.PushReceiver
}

// VerifyPush answers the platform's question whether the address of the provider's pushed messages is ours: echo is the
// whole answer, as plain text. A provider that does not exist, or takes no pushed messages, is ErrNotFound; a question
// that is not the platform's is a *provider.Error of KindInvalidPush.
func (s *Service) VerifyPush(ctx context.Context, providerName string, query url.Values) (echo string, err error) {
	target, err := s.pushTarget(ctx, providerName)
	if err != nil {
		return "", err
	}
	return target.receiver.VerifyPush(target.program.options.push(), query)
}

// Push reads a pushed message and does what it asks for, in one transaction and once, however often it is delivered.
// When it returns nil the message may be acknowledged; its errors are those of VerifyPush. An event that means nothing
// here is logged by its name.
func (s *Service) Push(ctx context.Context, providerName string, query url.Values, body []byte) error {
	target, err := s.pushTarget(ctx, providerName)
	if err != nil {
		return err
	}
	event, err := target.receiver.OpenPush(target.program.options.push(), query, body)
	if err != nil {
		return err
	}
	outcome, err := s.handle(ctx, target, event)
	if err != nil {
		return err
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "pushed message", slog.String("provider", providerName),
		slog.String("event", event.Name), slog.String("outcome", outcome))
	return nil
}

// pushTarget returns the provider of that name. A setting that is changed elsewhere is seen within settingsTTL.
func (s *Service) pushTarget(ctx context.Context, name string) (*pushTarget, error) {
	if s.tables == nil {
		return nil, noTables()
	}
	value, err := s.settings.load(ctx, "push/"+name, func(ctx context.Context) (any, error) {
		return s.tables.pushProgram(ctx, name)
	})
	if err != nil {
		return nil, err
	}
	target := &pushTarget{program: value.(miniProgram)}
	var ok bool
	if target.platform, ok = s.registry.ByType(target.program.row.Type); !ok {
		return nil, ErrNotFound
	}
	upstream, err := s.providerOf(target.program, target.platform)
	if err != nil {
		return nil, err
	}
	if target.receiver, ok = upstream.(provider.PushReceiver); !ok {
		return nil, ErrNotFound
	}
	return target, nil
}

// pushProgram returns the provider of that name, if messages are pushed to it.
func (t *tables) pushProgram(ctx context.Context, name string) (none miniProgram, err error) {
	row, err := t.providers.get(t.read(ctx), "WHERE name=? ORDER BY owner", name)
	if err != nil {
		return none, err
	}
	options, err := t.options.get(t.read(ctx), "WHERE owner=? AND name=?", row.Owner, row.Name)
	if err != nil {
		return none, err
	}
	if options.PushToken == "" || row.Name != name { // the database may take another case for the same
		return none, ErrNotFound
	}
	return miniProgram{row: row, options: *options}, nil
}

// handle acts on an event, and says for the log how it went.
func (s *Service) handle(ctx context.Context, target *pushTarget, e provider.PushEvent) (outcome string, err error) {
	var act func(*txn) (string, error)
	switch e.Name {
	case provider.PushRevoked, provider.PushProfileCleaned:
		act = func(tx *txn) (string, error) { return s.withdraw(tx, target, e) }
	case provider.PushAccountClosed:
		act = func(tx *txn) (string, error) { return s.closeAccounts(tx, target, e) }
	case provider.PushMediaChecked:
		act = func(tx *txn) (string, error) { return "verdict is stored", s.tables.storeVerdict(tx, e, s.stamp()) }
	default:
		return "means nothing here", nil
	}
	err = s.tables.write(ctx, func(tx *txn) error {
		row := &Event{target.program.row.Name, e.Key, e.Name, s.stamp()}
		fresh, err := s.tables.events.insert(tx, row, s.tables.dialect.orIgnore("name"))
		if err != nil || !fresh {
			outcome = "was delivered before"
			return err
		}
		outcome, err = act(tx)
		return err
	})
	if err == nil && e.Name == provider.PushMediaChecked {
		err = s.settleTrace(ctx, e.Verdict.TraceID)
	}
	s.wake()
	return outcome, err
}

// storeVerdict keeps the verdict on a picture for whoever has given the picture to the platform.
func (t *tables) storeVerdict(tx *txn, e provider.PushEvent, stamp string) error {
	row := &Media{e.Verdict.TraceID, string(e.Verdict.Suggestion), e.Verdict.Label, e.Code, stamp}
	_, err := t.media.insert(tx, row, t.dialect.orUpdate(
		[]string{"trace_id"}, []string{"suggestion", "label", "code", "updated_time"}))
	return err
}

// subjects returns the users of an event's OpenID: one in each organization where its mini program signs in. An adopted
// user's AppID may not be known yet. The organizations are few, so that each is looked up by the primary key.
func (t *tables) subjects(tx *txn, target *pushTarget, e provider.PushEvent) ([]*sdk.User, error) {
	rows, err := tx.query(fmt.Sprintf("SELECT %s FROM %s o JOIN %s i ON i.organization=o.name "+
		"WHERE i.app_id IN (?, '') AND i.open_id=?",
		t.identities.list(t.identities.columns, "i."), t.organizations.name, t.identities.name),
		target.program.row.ClientId, e.OpenID)
	if err != nil {
		return nil, err
	}
	found, err := scanAll(rows, t.identities, t.identities.columns)
	if err != nil {
		return nil, err
	}
	var users []*sdk.User
	for _, identity := range found {
		user, err := t.userByID(tx, identity.Organization, identity.UserID)
		if errors.Is(err, ErrNotFound) || err == nil && slices.ContainsFunc(users, func(u *sdk.User) bool {
			return u.Id == user.Id
		}) {
			continue
		}
		if err != nil {
			return nil, err
		}
		users = append(users, user)
	}
	return users, nil
}

// userByID returns a user, who stays as they are until the transaction ends. See ownUser for the function around the
// owner.
func (t *tables) userByID(tx *txn, organization, id string) (*sdk.User, error) {
	return t.users.get(tx, "WHERE id=? AND COALESCE(owner, '')=?"+t.dialect.forUpdate, id, organization)
}

// withdraw deletes the parts of the profile that the user, or the platform for them, takes back.
func (s *Service) withdraw(tx *txn, target *pushTarget, e provider.PushEvent) (string, error) {
	columns := withdrawnColumns(e.Withdrawn)
	if len(columns) == 0 {
		return "nothing of it is stored here", nil
	}
	users, err := s.tables.subjects(tx, target, e)
	for _, user := range users {
		cleared := s.tables.users.clear(user, columns...)
		if e.Withdrawn.Phone {
			cleared = append(cleared, dropProperty(user, target.platform.Prefix+phoneVerified)...)
		}
		if err = s.tables.rewrite(tx, user, cleared, s.stamp()); err != nil {
			return "", err
		}
		if e.Withdrawn.Nickname {
			if err = s.tables.storeMark(tx, Mark{UserID: user.Id, Field: nicknameField}); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf("withdrawn from %d users", len(users)), err
}

func withdrawnColumns(w provider.Withdrawn) []string {
	var columns []string
	for _, part := range []struct {
		gone    bool
		columns []string
	}{
		{w.Nickname, []string{"display_name"}},
		{w.Avatar, []string{"avatar", "permanent_avatar"}},
		{w.Phone, []string{"phone", "country_code"}},
		{w.Email, []string{"email", "email_verified"}},
	} {
		if part.gone {
			columns = append(columns, part.columns...)
		}
	}
	return columns
}

// dropProperty removes a property of a user, and returns the column to write.
func dropProperty(user *sdk.User, name string) []string {
	if _, ok := user.Properties[name]; !ok {
		return nil
	}
	delete(user.Properties, name)
	return []string{"properties"}
}

// rewrite writes columns of a user that have changed, and when.
func (t *tables) rewrite(tx *txn, user *sdk.User, columns []string, stamp string) error {
	if len(columns) == 0 {
		return nil
	}
	user.UpdatedTime = stamp
	_, err := t.users.update(tx, user, append(columns, "updated_time"), "owner=? AND name=?", user.Owner, user.Name)
	if err == nil && slices.Contains(columns, "avatar") {
		err = t.dropUploads(tx, user.Id, user.Avatar)
	}
	return err
}

// closeAccounts forbids and empties the users whose account at the platform is gone. They keep their identity, so that
// nobody else gets it. Forbidden, they have no valid token any more; the token rows are for KeepHouse to delete.
func (s *Service) closeAccounts(tx *txn, target *pushTarget, e provider.PushEvent) (string, error) {
	users, err := s.tables.subjects(tx, target, e)
	for _, user := range users {
		columns := append(s.tables.emptyUser(user, target.platform.Prefix), "is_forbidden")
		user.IsForbidden = true
		if err = s.tables.rewrite(tx, user, columns, s.stamp()); err != nil {
			return "", err
		}
		if err = s.tables.deleteTraces(tx, user); err != nil {
			return "", err
		}
		if err = s.tables.remember(tx, endTokens{user.Owner, user.Name}, s.stamp()); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d users are closed", len(users)), err
}
