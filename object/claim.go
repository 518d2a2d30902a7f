package object

import (
	"cmp"
	"database/sql"
	"encoding/json"
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

// claimant is what a user's row says about the OpenID.
type claimant struct {
	owner, name, id string
	column          string // wechat
	openID, unionID string // of properties; both empty where these cannot be read
}

// scanClaimants reads rows of owner, name, id, wechat and properties, and closes them. Properties that are no JSON, which
// Casdoor could not read either, are none.
func scanClaimants(rows *sql.Rows) ([]claimant, error) {
	defer func() { _ = rows.Close() }()
	var found []claimant
	for rows.Next() {
		var cells [5]sql.NullString
		if err := rows.Scan(&cells[0], &cells[1], &cells[2], &cells[3], &cells[4]); err != nil {
			return nil, err
		}
		c := claimant{owner: cells[0].String, name: cells[1].String, id: cells[2].String, column: cells[3].String}
		var properties map[string]string
		if err := json.Unmarshal([]byte(cells[4].String), &properties); err == nil {
			c.openID, c.unionID = properties[wechatOpenID], properties[wechatUnionID]
		}
		found = append(found, c)
	}
	return found, rows.Err()
}

func (c claimant) fullName() string { return c.owner + "/" + c.name }

// doubted returns the OpenIDs that the row speaks of, when it contradicts itself.
func (c claimant) doubted() []string {
	switch {
	case c.openID == "":
		return nil
	case c.column == "":
		return []string{c.openID}
	case c.column != c.openID && c.column != c.unionID:
		return []string{c.openID, c.column}
	}
	return nil
}

func (c claimant) contradiction() string {
	return fmt.Sprintf("user %s: wechat is %q, properties.wechatOpenId is %q", c.fullName(), c.column, c.openID)
}

// maxAdoptedID is what fits the column of an identity.
const maxAdoptedID = 128

// adoption is one batch of Adopt.
type adoption struct {
	*Store
	tx         *txn
	state      *Adoption
	onlyColumn bool // it is one of the second pass

	organization string
	settled      map[string]bool      // ids of users who have an identity
	holders      map[string]string    // OpenID → id of the user who was adopted for it
	conflicts    map[string]*Conflict // by OpenID
	fresh        []*Identity
	changed      []*Conflict
}

// adopt takes users of one organization over, or puts their OpenIDs in doubt.
func (b *adoption) adopt(users []claimant) error {
	if len(users) == 0 {
		return nil
	}
	b.organization = users[0].owner
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

// load returns those who claim an OpenID, and reads what is known about them.
func (b *adoption) load(users []claimant) (claims []claimant, err error) {
	var openIDs, ids []any
	for _, c := range users {
		if b.onlyColumn != (c.openID == "") {
			continue
		}
		c.openID = cmp.Or(c.openID, c.column)
		if c.openID == "" || len(c.openID) > maxAdoptedID {
			continue
		}
		claims = append(claims, c)
		ids, openIDs = append(ids, c.id), append(openIDs, c.openID)
		for _, openID := range c.doubted() {
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
func (b *adoption) judge(c claimant) error {
	if b.settled[c.id] {
		return nil
	}
	if doubted := c.doubted(); len(doubted) > 0 {
		for _, openID := range doubted {
			b.doubt(openID, c.contradiction())
		}
		return nil
	}
	holder := b.holders[c.openID]
	switch {
	case b.conflicts[c.openID] != nil:
		b.doubt(c.openID, "user "+c.fullName()+" claims it too")
	case holder != "":
		other, err := b.nameOf(holder)
		if err != nil {
			return err
		}
		b.doubt(c.openID, fmt.Sprintf("users %s and %s claim it", other, c.fullName()))
	case !b.onlyColumn:
		b.holders[c.openID] = c.id
		b.fresh = append(b.fresh, &Identity{
			Organization: b.organization, OpenID: c.openID, UserID: c.id, UnionID: c.unionID,
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
