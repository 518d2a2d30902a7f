package object

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/provider"
)

// tables is the directory in Casdoor's tables.
type tables struct {
	*Store
	sealer        *Sealer
	now           func() time.Time
	accountQuery  accountQuery
	signInColumns []column // of the user, as the claims need them
	byIdentity    string   // selects an identity and, where there still is one, these columns of its user
	byUnion       string   // the same for a UnionID
}

// ownUser joins a user by id within the organization of a row of ours. The function around the owner keeps the database
// from taking the primary key, which begins with it, and reading all users of the organization.
const ownUser = "u.id=%[1]s.user_id AND COALESCE(u.owner, '')=%[1]s.organization"

func newTables(store *Store, cfg ServiceConfig) *tables {
	t := &tables{Store: store, sealer: cfg.Sealer, now: cfg.Now}
	if t.now == nil {
		t.now = time.Now
	}
	t.accountQuery = newAccountQuery(store, cfg.Registry)
	t.signInColumns = claimColumns(store.users)
	user := store.users.list(t.signInColumns, "u.")
	t.byIdentity = fmt.Sprintf("SELECT %s, %s FROM %s i LEFT JOIN %s u ON %s "+
		"WHERE i.organization=? AND i.app_id=? AND i.open_id=?", store.identities.list(store.identities.columns, "i."),
		user, store.identities.name, store.users.name, fmt.Sprintf(ownUser, "i"))
	t.byUnion = fmt.Sprintf("SELECT n.user_id, %s FROM %s n LEFT JOIN %s u ON %s WHERE n.organization=? AND n.union_id=?",
		user, store.unions.name, store.users.name, fmt.Sprintf(ownUser, "n"))
	return t
}

// update implements directory. The id keeps it from a user who was made again under the same name.
func (t *tables) update(ctx context.Context, p *Principal, columns []string) error {
	return t.write(ctx, func(tx *txn) error {
		_, err := t.updateUser(tx, p, columns)
		return err
	})
}

// updateUser is update inside a transaction, and reports whether the user is there.
func (t *tables) updateUser(tx *txn, p *Principal, columns []string) (bool, error) {
	user := p.User
	n, err := t.users.update(tx, user, columns, "owner=? AND name=? AND id=?", user.Owner, user.Name, user.Id)
	if err == nil && slices.Contains(columns, "avatar") {
		err = t.dropUploads(tx, user.Id, user.Avatar)
	}
	for _, mark := range p.marked {
		if err == nil {
			err = t.storeMark(tx, mark)
		}
	}
	if err != nil {
		return false, err
	}
	return n == 1, t.storeRecord(tx, updateRecord(p, columns))
}

// storeMark replaces the Mark of a field; one without a Reason is none.
func (t *tables) storeMark(tx *txn, mark Mark) error {
	if mark.Reason == "" {
		_, err := tx.exec("DELETE FROM "+t.marks.name+" WHERE user_id=? AND field=?", mark.UserID, mark.Field)
		return err
	}
	_, err := t.marks.insert(tx, &mark, t.dialect.orUpdate(
		[]string{"user_id", "field"}, []string{"reason", "updated_time"}))
	return err
}

// accountQuery selects of the token row with a hash what Principal needs, and of its user's row the columns that are
// filled for many users. Each column costs, and most are empty for nearly everybody: the last column of the query tells
// whether one of those that are left out is not.
type accountQuery struct {
	text    string
	token   []column
	columns []column // of the user
}

// filledColumns are the texts and flags of a user that a mini program's users have filled.
const filledColumns = `owner name created_time updated_time id type display_name first_name last_name avatar email phone
country_code region location bio language gender birthday tag signup_application created_ip last_signin_time
last_signin_ip balance_currency is_forbidden is_deleted`

func newAccountQuery(s *Store, registry *provider.Registry) accountQuery {
	q := accountQuery{
		token: s.tokens.pick("owner", "name", "application", "organization", "user", "expires_in", "scope"),
	}
	filled := strings.Fields(filledColumns)
	var others []string
	for _, c := range s.users.columns {
		_, ours := registry.ByPrefix(c.name)
		if empty := c.emptySQL(); empty != "" && !ours && !slices.Contains(filled, c.name) {
			others = append(others, "u."+s.dialect.quote(c.name)+"<>"+empty)
		} else {
			q.columns = append(q.columns, c)
		}
	}
	others = append(others, "1=0")
	q.text = fmt.Sprintf("SELECT %s, %s, CASE WHEN %s THEN 1 ELSE 0 END "+
		"FROM %s t LEFT JOIN %s u ON u.owner=t.organization AND u.name=t.%s WHERE t.%s=?",
		s.tokens.list(q.token, "t."), s.users.list(q.columns, "u."), strings.Join(others, " OR "),
		s.tokens.name, s.users.name, s.dialect.quote("user"), s.tokenBy.access)
	return q
}

// emptySQL returns what an empty text, flag or number is in SQL, or "" for a column of another kind.
func (c column) emptySQL() string {
	if c.json || c.binary {
		return ""
	}
	return c.zero
}

// principal implements directory.
func (t *tables) principal(ctx context.Context, token string, _ *tokenClaims) (*Principal, error) {
	p := &Principal{User: &sdk.User{}, row: &sdk.Token{}}
	more := false
	dest := append(t.tokens.dest(p.row, t.accountQuery.token), t.users.dest(p.User, t.accountQuery.columns)...)
	err := scanOne(t.read(ctx), append(dest, &more), t.accountQuery.text, t.tokenBy.accessKey(token))
	if err != nil || !more {
		return p, err
	}
	p.User, err = t.users.get(t.read(ctx), "WHERE owner=? AND name=?", p.User.Owner, p.User.Name)
	return p, err
}
