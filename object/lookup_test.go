package object

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// identityLookup looks identities up alone, without their users.
func identityLookup(s *Store) *lookup[Identity] {
	return newLookup(s, lookupQuery{
		columns: s.identities.list(s.identities.columns, "i."), table: s.identities.name, alias: "i",
		key: "open_id", within: []string{"organization", "app_id"},
	}, func(key *string) (*Identity, []any) {
		found := &Identity{}
		return found, append([]any{key}, s.identities.dest(found, s.identities.columns)...)
	})
}

// answerTogether has questions answered as one batch, and returns what was found.
func answerTogether[V any](t *testing.T, l *lookup[V], questions ...*question[V]) (found []*V) {
	t.Helper()
	batch := make([]*job[*question[V]], len(questions))
	for i, q := range questions {
		batch[i] = &job[*question[V]]{t.Context(), q, make(chan error, 1)}
	}
	l.answer(batch)
	for _, j := range batch {
		require.NoError(t, <-j.done)
		found = append(found, j.ask.found)
	}
	return found
}

func (s *Store) insertIdentities(t *testing.T, rows ...*Identity) {
	t.Helper()
	require.NoError(t, s.write(t.Context(), func(tx *txn) error {
		_, err := s.identities.insertAll(tx, rows, "")
		return err
	}))
}

func TestLookup(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	elsewhere := Identity{Organization: "other", AppID: "wx", OpenID: "a", UserID: "another person"}
	s.insertIdentities(t, identityOf("a"), identityOf("b"), identityOf("c"), &elsewhere)
	l := identityLookup(s)

	found := answerTogether(t, l,
		&question[Identity]{key: "a", within: []any{"org", "wx"}},
		&question[Identity]{key: "a", within: []any{"other", "wx"}},
		&question[Identity]{key: "nobody", within: []any{"org", "wx"}},
		&question[Identity]{key: "c", within: []any{"org", "wx"}},
		&question[Identity]{key: "a", within: []any{"org", "wx"}},
		&question[Identity]{key: "b", within: []any{"org", "another mini program"}},
	)
	want := []*Identity{identityOf("a"), &elsewhere, nil, identityOf("c"), identityOf("a"), nil}
	assert.Equal(t, want, found)
	assert.NotSame(t, found[0], found[4], "who asks for the same gets a row of their own")

	_, err := l.find(t.Context(), "nobody", "org", "wx")
	assert.ErrorIs(t, err, ErrNotFound)
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err = l.find(gone, "a", "org", "wx")
	assert.ErrorIs(t, err, context.Canceled)
	s.Close()
	_, err = l.find(t.Context(), "a", "org", "wx")
	assert.ErrorIs(t, err, errClosed)
}

// However many share a query, each gets what they asked for.
func TestLookupOfMany(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	rows := make([]*Identity, maxLookup)
	questions := make([]*question[Identity], maxLookup)
	for i := range rows {
		rows[i] = identityOf(fmt.Sprint(i))
		questions[i] = &question[Identity]{key: rows[i].OpenID, within: []any{"org", "wx"}}
	}
	s.insertIdentities(t, rows...)
	l := identityLookup(s)
	for n := 1; n <= maxLookup; n++ {
		for _, q := range questions {
			q.found = nil
		}
		require.Equal(t, rows[:n], answerTogether(t, l, questions[:n]...))
	}
}

// A row that cannot be read is the misfortune of those who ask for it, and not of those who share their query.
func TestLookupOfADamagedRow(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := newTestService(t, s, ServiceConfig{}).tables.byIdentity
	properties := map[string]string{"a": `{"shoe":"39"}`, "b": `{"shoe":39}`, "c": `{"shoe":"41"}`}
	require.NoError(t, s.write(t.Context(), func(tx *txn) error {
		for id, text := range properties {
			_, err1 := s.identities.insert(tx, &Identity{Organization: "org", AppID: "wx", OpenID: id, UserID: id}, "")
			_, err2 := s.users.insert(tx, &sdk.User{Owner: "org", Name: id, Id: id}, "")
			_, err3 := tx.exec("UPDATE "+s.users.name+" SET properties=? WHERE id=?", text, id)
			if err := errors.Join(err1, err2, err3); err != nil {
				return err
			}
		}
		return nil
	}))
	var questions []*question[identityFound]
	for _, key := range []string{"a", "b", "nobody", "b", "c"} {
		questions = append(questions, &question[identityFound]{key: key, within: []any{"org", "wx"}})
	}
	found := answerTogether(t, l, questions...)
	assert.Equal(t, map[string]string{"shoe": "39"}, found[0].user.Properties)
	assert.Equal(t, map[string]string{"shoe": "41"}, found[4].user.Properties)
	assert.Equal(t, []*identityFound{nil, nil, nil}, found[1:4])
	_, err := l.find(t.Context(), "b", "org", "wx")
	assert.ErrorContains(t, err, "cannot unmarshal number")
	_, err = l.find(t.Context(), "nobody", "org", "wx")
	assert.ErrorIs(t, err, ErrNotFound)
}

// A database that is silent keeps nobody who asks for longer than they wait, and no query for longer than a few
// seconds.
func TestLookupInASilentDatabase(t *testing.T) {
	t.Parallel()
	asTimeFlies(t, testLookupInASilentDatabase)
}

func testLookupInASilentDatabase(t *testing.T) {
	s := openStore(t)
	l := identityLookup(s)
	defer l.asks.close()
	l.patience = time.Second
	s.reads.db.SetMaxOpenConns(1)
	holder, err := s.reads.db.Conn(t.Context())
	require.NoError(t, err)
	defer holder.Close()
	ctx, leave := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, leave) // when it is on its way
	start := time.Now()
	_, err = l.find(ctx, "a", "org", "wx")
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 50*time.Millisecond, time.Since(start))

	_, err = l.find(t.Context(), "a", "org", "wx")
	assert.True(t, IsUnavailable(err), "%v", err)
	assert.LessOrEqual(t, time.Since(start), 2*l.patience)
	require.NoError(t, holder.Close())
	_, err = l.find(t.Context(), "a", "org", "wx")
	assert.ErrorIs(t, err, ErrNotFound)
}
