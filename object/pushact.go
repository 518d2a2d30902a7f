package object

import (
	"errors"
	"fmt"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/provider"
)

// subjects returns the users of an event's OpenID: one in each organization that its provider reaches.
func (t *tables) subjects(tx *txn, target *pushTarget, e provider.PushEvent) ([]*sdk.User, error) {
	organizations, err := t.reach(tx, target.program.row.Owner)
	if err != nil {
		return nil, err
	}
	identities, err := t.identitiesOf(tx, organizations, target.program.row.ClientId, e.OpenID)
	if err != nil {
		return nil, err
	}
	var users []*sdk.User
	for _, identity := range identities {
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

// reach returns the organizations for which a provider of that owner speaks: the owner's own, or all, which share what
// is admin's. Whoever makes a provider names any AppID and the token that signs for it, so that neither proves
// anything.
func (t *tables) reach(tx *txn, owner string) ([]string, error) {
	if owner != adminOwner {
		return []string{owner}, nil
	}
	return namesIn(tx, t.organizations.name)
}

// identitiesOf returns the identities of an OpenID in organizations. An adopted user's AppID may not be known yet. The
// primary key begins with the organization: they are few, and asked for one by one, as not every database would look
// the identities up for a join.
func (t *tables) identitiesOf(tx *txn, organizations []string, appID, openID string) (found []*Identity, err error) {
	for _, name := range organizations {
		more, err := t.identities.find(tx, "WHERE organization=? AND app_id IN (?, '') AND open_id=?", name, appID, openID)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
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
		if e.Withdrawn.Avatar { // the one that waits for its verdict, too
			if err = s.tables.dropUploads(tx, user.Id, ""); err != nil {
				return "", err
			}
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

// rewrite writes columns of a user that have changed, and when. The uploads are for the caller to drop: those that wait
// for a verdict are in no column.
func (t *tables) rewrite(tx *txn, user *sdk.User, columns []string, stamp string) error {
	if len(columns) == 0 {
		return nil
	}
	user.UpdatedTime = stamp
	_, err := t.users.update(tx, user, append(columns, "updated_time"), byName, user.Owner, user.Name)
	return err
}

// closeAccounts forbids and empties the users whose account at the platform is gone. They keep their identity, so that
// nobody else gets it. Forbidden, they have no valid token any more; the token rows are for KeepHouse to delete.
func (s *Service) closeAccounts(tx *txn, target *pushTarget, e provider.PushEvent) (string, error) {
	users, err := s.tables.subjects(tx, target, e)
	for _, user := range users {
		columns := append(s.emptyUser(user), "is_forbidden")
		user.IsForbidden = true
		if err = s.tables.rewrite(tx, user, columns, s.stamp()); err != nil {
			return "", err
		}
		if err = s.deleteTraces(tx, user); err != nil {
			return "", err
		}
		if err = s.tables.remember(tx, endTokens{user.Owner, user.Name}, s.stamp()); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d users are closed", len(users)), err
}
