package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// What Casdoor's own flow stores of a mini program's user, beside the column wechat: https://casdoor.org, "WeChat mini
// program" (object/token_oauth.go there).
const (
	wechatOpenID  = "wechatOpenId"
	wechatUnionID = "wechatUnionId"
)

// claim is what a user's row says about the OpenID.
type claim struct {
	user    *sdk.User
	openID  string   // that properties name
	doubted []string // the OpenIDs that the row speaks of, when it contradicts itself
}

// claimOf reads a user's claim. One who never signed in with a mini program has none.
func claimOf(user *sdk.User) (c claim, ok bool) {
	c = claim{user: user, openID: user.Properties[wechatOpenID]}
	switch {
	case user.WeChat == "":
		c.doubted = []string{c.openID}
	case user.WeChat != c.openID && user.WeChat != user.Properties[wechatUnionID]:
		c.doubted = []string{c.openID, user.WeChat}
	}
	return c, c.openID != "" && len(c.openID) <= maxAdoptedID
}

// maxAdoptedID is what fits the column of an identity.
const maxAdoptedID = 128

func (c claim) contradiction() string {
	return fmt.Sprintf("user %s: wechat is %q, properties.wechatOpenId is %q", c.user.GetId(), c.user.WeChat, c.openID)
}

// adoption is one batch of Adopt.
type adoption struct {
	*Store
	tx    *txn
	state *Adoption

	organization string
	settled      map[string]bool      // ids of users who have an identity
	holders      map[string]string    // OpenID → id of the user who was adopted for it
	conflicts    map[string]*Conflict // by OpenID
	fresh        []*Identity
	changed      []*Conflict
}

// adopt takes users of one organization over, or puts their OpenIDs in doubt.
func (b *adoption) adopt(users []*sdk.User) error {
	if len(users) == 0 {
		return nil
	}
	b.organization = users[0].Owner
	claims, err := b.load(users)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if err := b.judge(c); err != nil {
			return err
		}
	}
	return b.store()
}

// load returns the claims of the users and reads what is known about them.
func (b *adoption) load(users []*sdk.User) ([]claim, error) {
	var claims []claim
	var openIDs, ids []any
	for _, user := range users {
		c, ok := claimOf(user)
		if b.state.OnlyColumn {
			ok = !ok && user.WeChat != ""
			c.openID, c.doubted = user.WeChat, nil
		}
		if !ok {
			continue
		}
		claims = append(claims, c)
		ids = append(ids, user.Id)
		openIDs = append(openIDs, c.openID)
		for _, openID := range c.doubted {
			openIDs = append(openIDs, openID)
		}
	}
	b.settled, b.holders, b.conflicts = map[string]bool{}, map[string]string{}, map[string]*Conflict{}
	if len(claims) == 0 {
		return nil, nil
	}
	return claims, errors.Join(
		readRows(b, b.identities, "user_id", ids, func(i *Identity) { b.settled[i.UserID] = true }),
		readRows(b, b.identities, "app_id='' AND open_id", openIDs, func(i *Identity) { b.holders[i.OpenID] = i.UserID }),
		readRows(b, b.Store.conflicts, "open_id", openIDs, func(c *Conflict) { b.conflicts[c.OpenID] = c }),
	)
}

// readRows reads the rows of the organization in which column is one of values.
func readRows[T any](b *adoption, t *table[T], column string, values []any, each func(*T)) error {
	rows, err := b.tx.queryOnce(fmt.Sprintf("SELECT %s FROM %s WHERE organization=? AND %s IN (?%s)",
		t.list(t.columns, ""), t.name, column, strings.Repeat(",?", len(values)-1)),
		append([]any{b.organization}, values...)...)
	if err != nil {
		return err
	}
	found, err := scanAll(rows, t, t.columns)
	for _, row := range found {
		each(row)
	}
	return err
}

// judge adopts the claim's user, unless somebody else claims the same. Who signs in already goes on.
func (b *adoption) judge(c claim) error {
	if b.settled[c.user.Id] {
		return nil
	}
	if len(c.doubted) > 0 {
		for _, openID := range c.doubted {
			b.doubt(openID, c.contradiction())
		}
		return nil
	}
	holder := b.holders[c.openID]
	switch {
	case b.conflicts[c.openID] != nil:
		b.doubt(c.openID, "user "+c.user.GetId()+" claims it too")
	case holder != "":
		other, err := b.nameOf(holder)
		if err != nil {
			return err
		}
		b.doubt(c.openID, fmt.Sprintf("users %s and %s claim it", other, c.user.GetId()))
	case !b.state.OnlyColumn:
		b.holders[c.openID] = c.user.Id
		b.fresh = append(b.fresh, &Identity{
			Organization: b.organization, OpenID: c.openID, UserID: c.user.Id, UnionID: c.user.Properties[wechatUnionID],
			CreatedTime: now(), UpdatedTime: now(),
		})
	}
	return nil
}

// nameOf returns what the admin knows a user by.
func (b *adoption) nameOf(id string) (string, error) {
	user := &sdk.User{}
	columns := b.users.pick("owner", "name")
	err := scanOne(b.tx, b.users.dest(user, columns),
		"SELECT owner, name FROM "+b.users.name+" WHERE id=? AND owner=?", id, b.organization)
	if errors.Is(err, ErrNotFound) {
		return "with the id " + id, nil
	}
	return user.GetId(), err
}

// doubt keeps an OpenID from signing anybody in, unless an admin has decided about it.
func (b *adoption) doubt(openID, reason string) {
	known := b.conflicts[openID]
	if known != nil && known.UserID != "" {
		return
	}
	if known == nil {
		known = &Conflict{Organization: b.organization, OpenID: openID, CreatedTime: now()}
		b.conflicts[openID] = known
	}
	if !strings.Contains(known.Reason, reason) {
		known.Reason = strings.TrimPrefix(known.Reason+"; "+reason, "; ")
	}
	if !slices.Contains(b.changed, known) {
		b.changed = append(b.changed, known)
	}
}

// store writes what has been decided.
func (b *adoption) store() error {
	b.fresh = slices.DeleteFunc(b.fresh, func(i *Identity) bool { return b.conflicts[i.OpenID] != nil })
	if err := b.identities.insertAll(b.tx, b.fresh, b.dialect.orIgnore("user_id")); err != nil {
		return err
	}
	b.state.Adopted += len(b.fresh)
	for _, c := range b.changed {
		inserted, err := b.Store.conflicts.insert(b.tx, c, b.dialect.orIgnore("organization"))
		if err != nil {
			return err
		}
		if inserted {
			b.state.Conflicts++
		} else if _, err := b.Store.conflicts.update(b.tx, c, []string{"reason"}, "organization=? AND open_id=?",
			c.Organization, c.OpenID); err != nil {
			return err
		}
		n, err := b.tx.exec("DELETE FROM "+b.identities.name+" WHERE organization=? AND app_id='' AND open_id=?",
			c.Organization, c.OpenID)
		if err != nil {
			return err
		}
		b.state.Adopted -= int(n)
	}
	return nil
}
