package object

import (
	"context"
	"slices"
	"unicode/utf8"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// groupRules is the table in which a Casdoor has the groups of its users once more, as rules of casbin: its pages of
// groups and the permissions that it enforces read these alone (object/user_enforcer.go there).
const groupRules = "casbin_user_rule"

// maxRule is how many characters a column of such a table holds.
const maxRule = 100

// findGroupRules finds that table in a Casdoor's database. Casdoors since v1.463 give it no prefix; older ones may have
// none, or one with other columns.
func (s *Store) findGroupRules(ctx context.Context, prefix string) error {
	for _, name := range []string{groupRules, prefix + groupRules} {
		known, err := s.engine.Context(ctx).IsTableExist(name)
		if err != nil {
			return err
		}
		if !known {
			continue
		}
		columns, err := s.columnsOf(ctx, name)
		if err != nil {
			return err
		}
		if slices.Contains(columns, "ptype") { // long ago it was p_type
			s.groupRules = s.dialect.quote(name)
		}
		return nil
	}
	return nil
}

// joinGroups tells a Casdoor beside which groups a new user is in.
func (s *Store) joinGroups(tx *txn, user *sdk.User) error {
	if s.groupRules == "" {
		return nil
	}
	id := user.GetId()
	for _, name := range user.Groups {
		group := "group:" + name
		if max(utf8.RuneCountInString(id), utf8.RuneCountInString(group)) > maxRule {
			continue // which a Casdoor could not store either
		}
		if err := tx.send(statement{
			query: "INSERT INTO " + s.groupRules + " (ptype, v0, v1) VALUES ('g', ?, ?)", args: []any{id, group},
		}); err != nil {
			return err
		}
	}
	return nil
}

// leaveGroups tells it that a user is in none any more.
func (s *Store) leaveGroups(tx *txn, user *sdk.User) error {
	if s.groupRules == "" {
		return nil
	}
	_, err := tx.exec("DELETE FROM "+s.groupRules+" WHERE ptype='g' AND v0=?", user.GetId())
	return err
}
