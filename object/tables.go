package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// tables is the directory in Casdoor's tables.
type tables struct {
	*Store
	sealer     *Sealer
	now        func() time.Time
	signInUser commonColumns // as the claims need them
	byIdentity *lookup[identityFound]
	byUnion    string // selects a UnionID and, where there still is one, the common columns of its user
	byToken    *lookup[principalFound]
	byAccess   *lookup[principalFound] // by what knows the access token, which does not say its row; beside a Casdoor only
}

// identityFound is an identity with the common columns of its user, if there still is one.
type identityFound struct {
	identity Identity
	user     sdk.User
	more     bool // the user has columns filled that were not read
}

// principalFound is a token's row with the common columns of its user.
type principalFound struct {
	principal Principal
	more      bool
}

// ownUser joins a user by id within the organization of a row of ours. The function around the owner keeps the database
// from taking the primary key, which begins with it, and reading all users of the organization.
func (s *Store) ownUser(row string) string {
	return "u.id=" + s.asUsers(row+".user_id") + " AND COALESCE(u.owner, '')=" + s.asUsers(row+".organization")
}

// joinUser joins the users u of whom the condition is true, if there are any. PostgreSQL believes that a table of such
// wide rows has one row until it has analyzed it, and may choose to read all: LATERAL leaves it the index only.
func (s *Store) joinUser(condition string) string {
	if s.dialect.driver == "pgx" {
		return fmt.Sprintf("LEFT JOIN LATERAL (SELECT * FROM %s u WHERE %s LIMIT 2) u ON TRUE", s.users.name, condition)
	}
	return fmt.Sprintf("LEFT JOIN %s u ON %s", s.users.name, condition)
}

func newTables(store *Store, cfg ServiceConfig) *tables {
	t := &tables{Store: store, sealer: cfg.Sealer, now: cfg.Now}
	t.signInUser = newCommonColumns(store.users, claimColumns(store.users), cfg.Registry)
	t.byIdentity = t.newByIdentity()
	t.byUnion = fmt.Sprintf("SELECT n.user_id, %s FROM %s n %s WHERE n.organization=? AND n.union_id=?",
		t.signInUser.list, store.unions.name, store.joinUser(store.ownUser("n")))
	whole := newCommonColumns(store.users, store.users.columns, cfg.Registry)
	t.byToken = t.newByToken(whole, "name", "owner")
	if t.beside {
		t.byAccess = t.newByToken(whole, t.tokenBy.access)
	}
	return t
}

func (t *tables) newByIdentity() *lookup[identityFound] {
	identities := t.identities
	return newLookup(t.Store, lookupQuery{
		columns: identities.list(identities.columns, "i.") + ", " + t.signInUser.list,
		table:   identities.name, alias: "i", join: t.joinUser(t.ownUser("i")),
		key: "open_id", within: []string{"organization", "app_id"}, alone: true,
	}, func(key *string) (*identityFound, []any) {
		f := &identityFound{}
		return f, slices.Concat([]any{key}, identities.dest(&f.identity, identities.columns), t.signInUser.dest(&f.user, &f.more))
	})
}

// newByToken returns a lookup of tokens by a key.
func (t *tables) newByToken(user commonColumns, key string, within ...string) *lookup[principalFound] {
	token := t.tokens.pick("owner", "name", "application", "organization", "user", "expires_in", "scope", "grant_type",
		t.tokenBy.access)
	return newLookup(t.Store, lookupQuery{
		columns: t.tokens.list(token, "t.") + ", " + user.list,
		table:   t.tokens.name, alias: "t",
		join: t.joinUser("u.owner=" + t.asUsers("t.organization") + " AND u.name=" + t.asUsers("t."+t.dialect.quote("user"))),
		key:  key, within: within,
	}, func(key *string) (*principalFound, []any) {
		f := &principalFound{principal: Principal{User: &sdk.User{}, row: &sdk.Token{}}}
		return f, slices.Concat([]any{key}, t.tokens.dest(f.principal.row, token), user.dest(f.principal.User, &f.more))
	})
}

// principal implements directory.
func (t *tables) principal(ctx context.Context, token string, claims *tokenClaims) (*Principal, error) {
	found, err := t.findToken(ctx, token, claims)
	if err != nil {
		return nil, err
	}
	p := &found.principal
	if !t.tokenBy.isAccess(p.row, token) {
		return nil, ErrNotFound // the row has become another token's
	}
	if found.more {
		p.User, err = t.users.named(t.read(ctx), p.User.Owner, p.User.Name)
	}
	return p, err
}

// findToken finds the row of an access token. A Casdoor's tokens do not say it before v1.86.1.
func (t *tables) findToken(ctx context.Context, token string, claims *tokenClaims) (*principalFound, error) {
	if claims.ID == "" && t.beside {
		return t.byAccess.find(ctx, t.tokenBy.accessKey(token))
	}
	owner, name := claims.row()
	return t.byToken.find(ctx, name, owner)
}

// update implements directory.
func (t *tables) update(ctx context.Context, p *Principal, columns []string) error {
	var met int64
	err := t.write(ctx, func(tx *txn) error { return t.updateUser(tx, p, columns, &met) })
	if err != nil || met > 0 {
		return err
	}
	// The user is gone or, where MySQL counts, all was so already.
	return t.write(ctx, func(tx *txn) error {
		_, err := t.liveUser(tx, p)
		return err
	})
}

// liveUser returns the principal's user as they are now, and stay until the transaction ends, or the *Refusal of one
// who is gone or may not go on. One who has got another name since is errRaced: what is written by the name would be
// lost.
func (t *tables) liveUser(tx *txn, p *Principal) (*sdk.User, error) {
	user, err := t.userByID(tx, p.User.Owner, p.User.Id)
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(InvalidToken, "the user of the token doesn't exist")
	}
	if err == nil {
		err = usable(user)
	}
	if err == nil && user.Name != p.User.Name {
		err = errRaced
	}
	return user, err
}

// userByID returns a user, who stays as they are until the transaction ends. See ownUser for the function around the
// owner.
func (t *tables) userByID(tx *txn, organization, id string) (*sdk.User, error) {
	return t.users.get(tx, "WHERE id=? AND COALESCE(owner, '')=?"+t.dialect.forUpdate, id, organization)
}

// stillUsable selects a user by owner, name and id, who is usable. The id keeps a change from whoever has got the name
// since, and the rest from who was deleted: nothing of a person is to come back. A Casdoor may have left the columns
// empty.
const stillUsable = byName + stillThere

const stillThere = " AND id=? AND NOT COALESCE(is_forbidden, FALSE) AND NOT COALESCE(is_deleted, FALSE)"

// stillUsableByID is stillUsable for one who has just found the user by the id: the functions leave the index of ids
// only, whose pages are at hand. Where there are millions of users those of another index would have to be fetched.
// MySQL has the whole rows in the index of the names.
func (t *tables) stillUsableByID() string {
	if t.dialect.driver == "mysql" {
		return stillUsable
	}
	return "COALESCE(owner, '')=? AND COALESCE(name, '')=?" + stillThere
}

// updateUser is update inside a transaction; met is how many users it met, once that is committed, and may be nil.
func (t *tables) updateUser(tx *txn, p *Principal, columns []string, met *int64) error {
	user := p.User
	if slices.Contains(columns, "email") && user.Email != "" {
		err := t.holdOrganization(tx, user.Owner)
		if err == nil {
			err = t.freeEmail(tx, user)
		}
		if err != nil {
			return err
		}
	}
	if len(p.properties) > 0 { // one column holds them all
		current, err := t.liveUser(tx, p)
		if err != nil {
			return err
		}
		user.Properties = withProperties(current.Properties, p.properties)
	}
	err := t.users.sendUpdate(tx, user, met, columns, stillUsable, user.Owner, user.Name, user.Id)
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

// holdOrganization locks the row of an organization until the transaction ends: of those who look whether something is
// free there, and then take it, each sees what the one before has taken. It must be the first that the transaction
// reads, as MySQL goes on showing what was there at the first look, and the first that it locks, so that nobody waits
// in a ring.
func (s *Store) holdOrganization(tx *txn, name string) error {
	var one int
	err := scanOne(tx, []any{&one}, "SELECT 1 FROM "+s.organizations.name+" WHERE "+byName+s.dialect.forUpdate, adminOwner, name)
	return ignoreMissing(err)
}

// emailTaken is why an e-mail address is refused that another user of the organization has: neither could sign in with
// it any more.
func emailTaken() *Refusal { return refuse(InvalidRequest, "email is another user's") }

// freeEmail refuses a user's e-mail address that is taken, under holdOrganization. See ownUser for the function around
// the owner.
func (s *Store) freeEmail(tx *txn, user *sdk.User) error {
	return refuseIf(tx, emailTaken(), s.users.name+" WHERE email=? AND COALESCE(owner, '')=? AND id<>?",
		user.Email, user.Owner, user.Id)
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
