package object

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// tables is the directory in Casdoor's tables.
type tables struct {
	*Store
	sealer     *Sealer
	now        func() time.Time
	accounts   *accountReader
	signInUser commonColumns // as the claims need them
	byIdentity string        // selects an identity and, where there still is one, these columns of its user
	byUnion    string        // the same for a UnionID
}

// ownUser joins a user by id within the organization of a row of ours. The function around the owner keeps the database
// from taking the primary key, which begins with it, and reading all users of the organization.
const ownUser = "u.id=%[1]s.user_id AND COALESCE(u.owner, '')=%[1]s.organization"

// joinUser joins the user u, if there is one, of whom the condition is true. PostgreSQL believes that a table of such wide
// rows has one row until it has analyzed it, and may choose to read all: LATERAL leaves it the index only.
func (s *Store) joinUser(condition string) string {
	if s.dialect.driver == "pgx" {
		return fmt.Sprintf("LEFT JOIN LATERAL (SELECT * FROM %s u WHERE %s LIMIT 1) u ON TRUE", s.users.name, condition)
	}
	return fmt.Sprintf("LEFT JOIN %s u ON %s", s.users.name, condition)
}

func newTables(store *Store, cfg ServiceConfig) *tables {
	t := &tables{Store: store, sealer: cfg.Sealer, now: cfg.Now}
	if t.now == nil {
		t.now = time.Now
	}
	t.accounts = newAccountReader(store, cfg.Registry)
	t.signInUser = newCommonColumns(store.users, claimColumns(store.users), cfg.Registry)
	user := t.signInUser.list
	t.byIdentity = fmt.Sprintf("SELECT %s, %s FROM %s i %s WHERE i.organization=? AND i.app_id=? AND i.open_id=?",
		store.identities.list(store.identities.columns, "i."), user, store.identities.name,
		store.joinUser(fmt.Sprintf(ownUser, "i")))
	t.byUnion = fmt.Sprintf("SELECT n.user_id, %s FROM %s n %s WHERE n.organization=? AND n.union_id=?",
		user, store.unions.name, store.joinUser(fmt.Sprintf(ownUser, "n")))
	return t
}

// update implements directory.
func (t *tables) update(ctx context.Context, p *Principal, columns []string) error {
	return t.write(ctx, func(tx *txn) error { return t.updateUser(tx, p, columns) })
}

// updateUser is update inside a transaction. The id keeps it from a user who was made again under the same name.
func (t *tables) updateUser(tx *txn, p *Principal, columns []string) error {
	user := p.User
	err := t.users.sendUpdate(tx, user, nil, columns, "owner=? AND name=? AND id=?", user.Owner, user.Name, user.Id)
	if err == nil && slices.Contains(columns, "avatar") {
		err = t.dropUploads(tx, user.Id, user.Avatar)
	}
	for _, mark := range p.marked {
		if err == nil {
			err = t.storeMark(tx, mark)
		}
	}
	if err != nil {
		return err
	}
	return t.storeRecord(tx, updateRecord(p, columns))
}

// storeMark replaces the Mark of a field; one without a Reason is none.
func (t *tables) storeMark(tx *txn, mark Mark) error {
	if mark.Reason == "" {
		return tx.send(statement{
			query: "DELETE FROM " + t.marks.name + " WHERE user_id=? AND field=?", args: []any{mark.UserID, mark.Field},
		})
	}
	return t.marks.sendInsert(tx, &mark, t.dialect.orUpdate(
		[]string{"user_id", "field"}, []string{"reason", "updated_time"}), nil)
}
