package object

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// maxAdoptedID is what fits the column of an identity.
const maxAdoptedID = 128

// isAdoptable reports whether every database can keep a text as an OpenID or UnionID. Users of Casdoor v3.158 write
// into their properties what they like: one of them must not keep all others from being adopted.
func isAdoptable(id string) bool { return len(id) <= maxAdoptedID && storable(id) }

// adoptableUnion is the UnionID of a user's properties, or none where it cannot be one.
func adoptableUnion(unionID string) string {
	if !isAdoptable(unionID) {
		return ""
	}
	return unionID
}

// adopter does one batch of Adopt: users of one organization.
type adopter struct {
	*Store
	tx         *txn
	state      *Adoption
	onlyColumn bool // it is one of the second pass

	organization string
	appIDs       []any                // of mini programs that somebody has signed in by
	fresh        map[string]*Identity // by OpenID
	conflicts    map[string]*Conflict // by OpenID: known ones and new ones
	changed      []*Conflict
}

// adopt takes users over, or puts their OpenIDs in doubt.
func (b *adopter) adopt(users []claimant) error {
	if len(users) == 0 {
		return nil
	}
	b.organization = users[0].owner
	if err := b.loadConflicts(); err != nil {
		return err
	}
	if err := b.loadAppIDs(); err != nil {
		return err
	}
	b.fresh = map[string]*Identity{}
	for _, c := range users {
		var err error
		switch {
		case c.openID == "" && c.column == "":
		case c.openID != "" && !b.onlyColumn:
			err = b.judge(c)
		case c.openID == "" && b.onlyColumn:
			err = b.judgeColumn(c)
		case c.openID == "":
			b.state.Columns++
		}
		if err != nil {
			return err
		}
	}
	return b.store()
}

func (b *adopter) loadConflicts() error {
	b.conflicts = map[string]*Conflict{}
	if b.state.Conflicts == 0 && !b.state.Again {
		return nil
	}
	known, err := b.Store.conflicts.find(b.tx, "WHERE organization=? AND NOT (user_id='' AND reason=?)",
		b.organization, lookedAtAgain)
	for _, c := range known {
		b.conflicts[c.OpenID] = c
	}
	return err
}

// loadAppIDs asks in steps that every database answers from the key.
func (b *adopter) loadAppIDs() error {
	b.appIDs = nil
	for appID := new(string); ; b.appIDs = append(b.appIDs, *appID) {
		err := scanOne(b.tx, []any{&appID}, "SELECT MIN(app_id) FROM "+b.identities.name+" WHERE organization=? AND app_id>?",
			b.organization, *appID)
		if err != nil || appID == nil {
			return err
		}
	}
}

// judge adopts a user, unless somebody else claims the same OpenID. Who has an identity keeps it, and so does whom the
// OpenID signs in already.
func (b *adopter) judge(c claimant) error {
	if b.state.Again {
		if settled, err := b.isSettled(c); settled || err != nil {
			return err
		}
	}
	if openIDs, reason := c.doubted(); reason != "" {
		for _, openID := range openIDs {
			b.doubt(openID, reason)
		}
		return nil
	}
	if !isAdoptable(c.openID) {
		return nil // no OpenID: nobody signs in with it
	}
	if b.conflicts[c.openID] != nil {
		b.doubt(c.openID, "user "+c.fullName()+" claims it too")
		return nil
	}
	if other := b.fresh[c.openID]; other != nil {
		return b.doubtBoth(c.openID, other.UserID, c.id)
	}
	if taken, err := b.isTaken(c.openID); taken || err != nil {
		return err
	}
	b.fresh[c.openID] = &Identity{
		Organization: b.organization, OpenID: c.openID, UserID: c.id, UnionID: adoptableUnion(c.unionID),
		CreatedTime: now(), UpdatedTime: now(),
	}
	return nil
}

// isSettled reports whether the user has an identity. The function around the organization keeps the database from
// taking the primary key, which begins with it.
func (b *adopter) isSettled(c claimant) (bool, error) {
	return exists(b.tx, b.identities.name+" WHERE user_id=? AND COALESCE(organization, '')=?", c.id, b.organization)
}

// isTaken reports whether somebody has signed in with an OpenID. Who claims it in Casdoor's data is not to have it even
// when that user is gone.
func (b *adopter) isTaken(openID string) (bool, error) {
	if len(b.appIDs) == 0 {
		return false, nil
	}
	return exists(b.tx, b.identities.name+" WHERE organization=? AND open_id=? AND app_id IN "+placeholders(len(b.appIDs)),
		append([]any{b.organization, openID}, b.appIDs...)...)
}

// judgeColumn looks whether the wechat column of a user whom no mini program has brought names another user's OpenID.
func (b *adopter) judgeColumn(c claimant) error {
	holder, err := b.holder(c.column)
	switch {
	case err != nil:
		return err
	case b.conflicts[c.column] != nil:
		b.doubt(c.column, "user "+c.fullName()+" claims it too")
	case holder != "" && holder != c.id:
		return b.doubtBoth(c.column, holder, c.id)
	}
	return nil
}

// holder returns the id of the user who was adopted for an OpenID, or "".
func (b *adopter) holder(openID string) (string, error) {
	row, err := b.identities.get(b.tx, "WHERE organization=? AND app_id='' AND open_id=?", b.organization, openID)
	if err != nil {
		return "", ignoreMissing(err)
	}
	return row.UserID, nil
}

// doubtBoth puts in doubt which of two users an OpenID belongs to.
func (b *adopter) doubtBoth(openID, first, second string) error {
	firstName, err := b.nameOf(first)
	if err != nil {
		return err
	}
	secondName, err := b.nameOf(second)
	b.doubt(openID, fmt.Sprintf("users %s and %s claim it", firstName, secondName))
	return err
}

// nameOf returns what the admin knows a user by.
func (b *adopter) nameOf(id string) (string, error) {
	user := &sdk.User{}
	columns := b.users.pick("owner", "name")
	err := scanOne(b.tx, b.users.dest(user, columns),
		"SELECT owner, name FROM "+b.users.name+" WHERE id=? AND owner=?", id, b.organization)
	if errors.Is(err, ErrNotFound) {
		return "with the id " + id, nil
	}
	return user.GetId(), err
}

// maxReason bounds the Reason of a Conflict, in bytes: thousands of users may claim one OpenID, as "undefined".
const (
	maxReason = 4000
	andOthers = "; and others"
)

// doubt keeps an OpenID from signing anybody in, unless an admin has decided about it.
func (b *adopter) doubt(openID, reason string) {
	if !isAdoptable(openID) {
		return // nobody signs in with it
	}
	known := b.conflicts[openID]
	if known != nil && known.UserID != "" {
		return
	}
	if known == nil {
		known = &Conflict{Organization: b.organization, OpenID: openID, CreatedTime: now()}
		b.conflicts[openID] = known
		b.state.Conflicts++
	}
	switch {
	case strings.Contains(known.Reason, reason) || strings.HasSuffix(known.Reason, andOthers):
	case known.Reason != "" && len(known.Reason)+len(reason) > maxReason:
		known.Reason += andOthers
	default:
		known.Reason = strings.TrimPrefix(known.Reason+"; "+reason, "; ")
	}
	if !slices.Contains(b.changed, known) {
		b.changed = append(b.changed, known)
	}
}

// store writes what has been decided.
func (b *adopter) store() error {
	maps.DeleteFunc(b.fresh, func(openID string, _ *Identity) bool { return b.conflicts[openID] != nil })
	fresh := slices.Collect(maps.Values(b.fresh))
	n, err := b.identities.insertAll(b.tx, fresh, b.dialect.orIgnore("user_id"))
	if err == nil && n < int64(len(fresh)) {
		err = b.findHolders(fresh)
	}
	b.state.Adopted += int(n)
	for _, c := range b.changed {
		if err == nil {
			err = b.storeConflict(c)
		}
	}
	return err
}

// findHolders looks which identities were there already, and puts in doubt those that are another user's.
func (b *adopter) findHolders(fresh []*Identity) error {
	for _, i := range fresh {
		holder, err := b.holder(i.OpenID)
		if err == nil && holder != i.UserID {
			err = b.doubtBoth(i.OpenID, holder, i.UserID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *adopter) storeConflict(c *Conflict) error {
	if _, err := b.Store.conflicts.insert(b.tx, c,
		b.dialect.orUpdate([]string{"organization", "open_id"}, []string{"reason"})); err != nil {
		return err
	}
	n, err := b.tx.exec("DELETE FROM "+b.identities.name+" WHERE organization=? AND app_id='' AND open_id=?",
		c.Organization, c.OpenID)
	b.state.Adopted -= int(n)
	return err
}
