package object

import (
	"context"
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
func answerTogether(t *testing.T, l *lookup[Identity], questions ...*question[Identity]) (found []*Identity) {
	t.Helper()
	batch := make([]*job[*question[Identity]], len(questions))
	for i, q := range questions {
		batch[i] = &job[*question[Identity]]{t.Context(), q, make(chan error, 1)}
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

// A row that cannot be read fails for those who ask for it, and not for those who share the query.
func TestLookupOfADamagedRow(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	service := newTestService(t, s, ServiceConfig{})
	require.NoError(t, s.write(t.Context(), func(tx *txn) error {
		for _, openID := range []string{"a", "b", "c"} {
			user := &sdk.User{Owner: "org", Name: openID, Id: identityOf(openID).UserID}
			if _, err := s.users.insert(tx, user, ""); err != nil {
				return err
			}
		}
		_, err := tx.exec("UPDATE "+s.users.name+" SET properties=? WHERE owner=? AND name=?", `{"a":`, "org", "b")
		return err
	}))
	s.insertIdentities(t, identityOf("a"), identityOf("b"), identityOf("c"))
	var batch []*job[*question[identityFound]]
	for _, openID := range []string{"b", "a", "b", "c"} {
		q := &question[identityFound]{key: openID, within: []any{"org", "wx"}}
		batch = append(batch, &job[*question[identityFound]]{t.Context(), q, make(chan error, 1)})
	}
	service.tables.byIdentity.answer(batch)
	for _, j := range batch {
		require.NoError(t, <-j.done)
		if j.ask.key == "b" {
			assert.ErrorContains(t, j.ask.err, "properties")
			continue
		}
		require.NoError(t, j.ask.err)
		assert.Equal(t, j.ask.key, j.ask.found.user.Name)
	}
	_, err := service.tables.byIdentity.find(t.Context(), "b", "org", "wx")
	assert.ErrorContains(t, err, "properties")
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

// A database that is silent keeps nobody who asks for longer than they wait, and no query for longer than a few seconds.
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
