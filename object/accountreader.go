package object

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/provider"
)

// accountReader finds token rows by what the access column holds, with what Principal needs of the user's row. Those who
// ask at the same time share a query, which costs more than what it reads: on a server the way there does.
type accountReader struct {
	store *Store
	token []column
	user  commonColumns
	texts []string // of the query, with each key before what it found: see query
	asks  *queue[*accountAsk]
}

// accountAsk is the question of one who shares a query.
type accountAsk struct {
	key   string
	found *Principal // the answer; nil: there is no such token
	more  bool       // the user has columns filled that were not read
}

// maxAccounts bounds the askers who share a query.
const maxAccounts = 32

func newAccountReader(s *Store, registry *provider.Registry) *accountReader {
	r := &accountReader{
		store: s,
		token: s.tokens.pick("owner", "name", "application", "organization", "user", "expires_in", "scope"),
		user:  newCommonColumns(s.users, s.users.columns, registry),
	}
	columns, access := s.tokens.list(r.token, "t.")+", "+r.user.list, s.tokenBy.access
	user := s.joinUser("u.owner=t.organization AND u.name=t." + s.dialect.quote("user"))
	if s.dialect.driver == "pgx" {
		r.texts = []string{fmt.Sprintf("SELECT k.asked, %s FROM unnest(CAST(? AS text[])) k(asked) "+
			"JOIN LATERAL (SELECT * FROM %s t WHERE t.%s=k.asked LIMIT 1) t ON TRUE %s", columns, s.tokens.name, access, user)}
	} else {
		for n := 1; n <= maxAccounts; n *= 2 {
			r.texts = append(r.texts, fmt.Sprintf("SELECT t.%s, %s FROM %s t %s WHERE t.%s IN (?%s)",
				access, columns, s.tokens.name, user, access, strings.Repeat(", ?", n-1)))
		}
	}
	batches := serverBatches
	if s.dialect.driver == "sqlite" {
		batches = runtime.GOMAXPROCS(0) // it works here
	}
	r.asks = newQueue(batches, maxAccounts, r.answer)
	return r
}

// principal implements directory.
func (t *tables) principal(ctx context.Context, token string, _ *tokenClaims) (*Principal, error) {
	p, more, err := t.accounts.find(ctx, t.tokenBy.accessKey(token))
	if err != nil || !more {
		return p, err
	}
	p.User, err = t.users.get(t.read(ctx), "WHERE owner=? AND name=?", p.User.Owner, p.User.Name)
	return p, err
}

// find returns the token's row and the common columns of its user. more tells whether the user has others.
func (r *accountReader) find(ctx context.Context, key string) (p *Principal, more bool, err error) {
	ask := &accountAsk{key: key}
	err = r.asks.do(ctx, ask)
	if errors.Is(err, errAlone) {
		err = r.findAll(ctx, []string{key}, map[string]*accountAsk{key: ask})
	}
	if err == nil && ask.found == nil {
		err = ErrNotFound
	}
	return ask.found, ask.more, err
}

// answer answers a batch with one query. Of several who ask for the same token all but one have to ask alone: a
// Principal is not shared.
func (r *accountReader) answer(batch []*job[*accountAsk]) {
	byKey := map[string]*accountAsk{}
	keys := make([]string, 0, len(batch))
	for _, j := range batch {
		if byKey[j.ask.key] == nil {
			byKey[j.ask.key] = j.ask
			keys = append(keys, j.ask.key)
		}
	}
	ctx, cancel := lastOf(batch)
	defer cancel()
	err := r.findAll(ctx, keys, byKey)
	for _, j := range batch {
		if err == nil && byKey[j.ask.key] != j.ask {
			j.done <- errAlone
		} else {
			j.done <- err
		}
	}
}

func (r *accountReader) findAll(ctx context.Context, keys []string, byKey map[string]*accountAsk) error {
	text, args := r.query(keys)
	rows, err := r.store.read(ctx).query(text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key string
		more, p := false, &Principal{User: &sdk.User{}, row: &sdk.Token{}}
		dest := slices.Concat([]any{&key}, r.store.tokens.dest(p.row, r.token), r.user.dest(p.User, &more))
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if asked := byKey[key]; asked != nil {
			asked.found, asked.more = p, more
		}
	}
	return rows.Err()
}

// query returns the query for keys. PostgreSQL takes them as one argument; for the others there is a form
// for each power of two, and the last key stands more than once.
func (r *accountReader) query(keys []string) (text string, args []any) {
	if len(r.texts) == 1 {
		return r.texts[0], []any{keys}
	}
	form := bits.Len(uint(len(keys) - 1))
	for i := range 1 << form {
		args = append(args, keys[min(i, len(keys)-1)])
	}
	return r.texts[form], args
}
