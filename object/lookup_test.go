package object

import (
	"context"
	"fmt"
	"testing"

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

func TestLookup(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	elsewhere := Identity{Organization: "other", AppID: "wx", OpenID: "a", UserID: "another person"}
	require.NoError(t, s.write(t.Context(), func(tx *txn) error {
		for _, row := range []*Identity{identityOf("a"), identityOf("b"), identityOf("c"), &elsewhere} {
			if _, err := s.identities.insert(tx, row, ""); err != nil {
				return err
			}
		}
		return nil
	}))
	l := identityLookup(s)

	var batch []*job[*question[Identity]]
	for _, q := range []question[Identity]{
		{key: "a", within: []any{"org", "wx"}},
		{key: "a", within: []any{"other", "wx"}},
		{key: "nobody", within: []any{"org", "wx"}},
		{key: "c", within: []any{"org", "wx"}},
		{key: "a", within: []any{"org", "wx"}},
		{key: "b", within: []any{"org", "another mini program"}},
	} {
		batch = append(batch, &job[*question[Identity]]{t.Context(), &q, make(chan error, 1)})
	}
	l.answer(batch)
	for i, want := range []*Identity{identityOf("a"), &elsewhere, nil, identityOf("c"), identityOf("a"), nil} {
		require.NoError(t, <-batch[i].done)
		assert.Equal(t, want, batch[i].ask.found, "question %d", i)
	}
	assert.NotSame(t, batch[0].ask.found, batch[4].ask.found, "who asks for the same gets a row of their own")

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
	require.NoError(t, s.write(t.Context(), func(tx *txn) error {
		for i := range maxLookup {
			if _, err := s.identities.insert(tx, identityOf(fmt.Sprint(i)), ""); err != nil {
				return err
			}
		}
		return nil
	}))
	l := identityLookup(s)
	for n := 1; n <= maxLookup; n++ {
		batch := make([]*job[*question[Identity]], n)
		for i := range batch {
			q := &question[Identity]{key: fmt.Sprint(i), within: []any{"org", "wx"}}
			batch[i] = &job[*question[Identity]]{t.Context(), q, make(chan error, 1)}
		}
		l.answer(batch)
		for i, j := range batch {
			require.NoError(t, <-j.done)
			require.Equal(t, identityOf(fmt.Sprint(i)), j.ask.found, "%d of %d", i, n)
		}
	}
}
