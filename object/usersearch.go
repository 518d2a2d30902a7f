package object

import (
	"context"
	"fmt"
	"slices"
)

// CountUsers returns how many users an organization has, or all have where owner is empty, as far as the caller
// reaches. online, where it is not nil, counts those only whose isOnline it is.
func (a *Authority) CountUsers(ctx context.Context, c *Caller, owner string, online *bool) (n int, err error) {
	f := a.Users()
	const action = "get-user-count"
	if err := f.open(c, action); err != nil {
		return 0, err
	}
	s, err := f.selection(ctx, c, action, ListQuery{Owner: owner})
	if err != nil {
		return 0, err
	}
	if online != nil {
		s.slow = true
		s.add("is_online=?", *online)
	}
	err = a.patiently(ctx, s.slow, func() error {
		n, err = f.count(ctx, s)
		return err
	})
	return n, err
}

// manyUsers is how many users there may be for a search to read them all: with more it goes by the indexes, which know
// how a value begins.
const manyUsers = 100_000

// seekUsers finds users by their OpenID, which must be whole: nothing else of theirs is looked up by it. Where there
// are many users, it finds by an index those whose name, nickname, phone number, e-mail address or id begins with the
// value, or whose name does behind the platform's prefix.
func (a *Authority) seekUsers(ctx context.Context, f searchFor, s *selection) (bool, error) {
	if f.column == "wechat" || f.column == "openId" {
		ids, err := a.byOpenID(ctx, f.organization, f.value)
		s.bounded = true
		s.unsorted("owner")
		s.add(ids.text, ids.args...)
		return true, err
	}
	if !a.tables.users.has(f.column) {
		return false, nil
	}
	var users int
	err := scanOne(a.tables.readOnce(ctx), []any{&users}, fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM %s LIMIT %d) sub",
		a.tables.users.name, manyUsers+1))
	if err != nil || users <= manyUsers {
		return false, err
	}
	s.bounded = true
	begins := a.tables.dialect.beginsWith(f.column, f.value)
	switch f.column {
	case "phone", "email", "id":
		s.unsorted("owner")
		s.add(begins.text, begins.args...)
		return true, nil
	case "name", "display_name":
		return true, a.seekAmong(ctx, f, s, begins)
	}
	s.slow = true
	return false, nil
}

// seekAmong seeks by an index that begins with the owner.
func (a *Authority) seekAmong(ctx context.Context, f searchFor, s *selection, begins condition) error {
	owners := []any{f.organization}
	if f.organization == "" {
		all, err := a.tables.organizations.find(a.tables.read(ctx), "")
		if err != nil {
			return err
		}
		for _, org := range all {
			owners = append(owners, org.Name)
		}
	}
	among := condition{"owner IN " + placeholders(len(owners)) + " AND ", owners}
	if f.column == "display_name" {
		s.add(f.column + "<>''") // as the index has it
		s.add(among.text+begins.text, append(among.args, begins.args...)...)
		return nil
	}
	alternatives := []condition{begins}
	for _, prefix := range a.registry.Prefixes() {
		alternatives = append(alternatives, a.tables.dialect.beginsWith(f.column, prefix+"-"+f.value))
	}
	var either condition
	for i, alternative := range alternatives {
		if i > 0 {
			either.text += " OR "
		}
		either.text += among.text + alternative.text
		either.args = slices.Concat(either.args, among.args, alternative.args)
	}
	s.unsorted("owner")
	s.add("("+either.text+")", either.args...)
	return nil
}

// byOpenID is the condition for the users of an organization, or of all where it is empty, whose identity has an
// OpenID.
func (a *Authority) byOpenID(ctx context.Context, organization, openID string) (condition, error) {
	none := condition{text: "1=0"}
	var users []any
	r := a.tables.read(ctx)
	for at := []string{organization, ""}; at != nil && (organization == "" || at[0] == organization); {
		row, err := a.tables.identities.get(r, "WHERE organization=? AND app_id=? AND open_id=?", at[0], at[1], openID)
		if err == nil {
			users = append(users, row.UserID)
		}
		if err := ignoreMissing(err); err != nil {
			return none, err
		}
		if at, err = a.tables.nextProgram(ctx, a.tables.identities.name, at[0], at[1]); err != nil {
			return none, err
		}
	}
	if len(users) == 0 {
		return none, nil
	}
	return condition{"id IN " + placeholders(len(users)), users}, nil
}
