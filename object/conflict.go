package object

import (
	"context"
	"errors"
	"fmt"
)

// Conflicts returns the OpenIDs about which an admin has to decide, ordered.
func (s *Store) Conflicts(ctx context.Context) ([]*Conflict, error) {
	return s.conflicts.find(s.read(ctx), "WHERE user_id='' ORDER BY organization, open_id")
}

// String returns a line for the admin who has to decide. Users of a Casdoor write their own OpenIDs as they like.
func (c *Conflict) String() string {
	return oneLine(fmt.Sprintf("organization %s, OpenID %s: %s", c.Organization, c.OpenID, c.Reason))
}

// Assign is an admin's decision that an OpenID belongs to the user owner/name, from the next sign-in on. It is
// ErrNotFound when there is no such user, and ErrConflict when the OpenID signs another user in already.
func (s *Store) Assign(ctx context.Context, owner, name, openID string) error {
	return s.write(ctx, func(tx *txn) error {
		user, err := s.users.named(tx, owner, name)
		if err != nil {
			return fmt.Errorf("user %s/%s: %w", owner, name, err)
		}
		taken, err := s.identities.get(tx, "WHERE organization=? AND open_id=? AND app_id<>''", owner, openID)
		if err == nil && taken.UserID != user.Id {
			return fmt.Errorf("OpenID %s: %w", openID, ErrConflict)
		}
		if err == nil || !errors.Is(err, ErrNotFound) {
			return err
		}
		identity := &Identity{
			Organization: owner, OpenID: openID, UserID: user.Id, UnionID: adoptableUnion(user.Properties[wechatUnionID]),
			CreatedTime: now(), UpdatedTime: now(),
		}
		if _, err := s.identities.insert(tx, identity, s.dialect.orUpdate(
			[]string{"organization", "app_id", "open_id"}, []string{"user_id", "union_id", "updated_time"})); err != nil {
			return err
		}
		decision := &Conflict{owner, openID, "decided by an admin", user.Id, now()}
		_, err = s.conflicts.insert(tx, decision, s.dialect.orUpdate(
			[]string{"organization", "open_id"}, []string{"user_id", "reason"}))
		return err
	})
}

// contested refuses to sign anybody in with an OpenID of which it is not certain whose it is. The log says why.
func contested(format string, args ...any) *Refusal {
	return &Refusal{
		Code: AccessDenied, Message: "it is not clear whose account this is, please contact the administrator",
		Err: fmt.Errorf(format, args...),
	}
}
