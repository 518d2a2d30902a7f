package object

import (
	"errors"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// openWithRights opens a store that has roles and permissions, as beside a Casdoor.
func openWithRights(t *testing.T) *Store {
	t.Helper()
	s := openStore(t)
	require.NoError(t, s.engine.Sync(new(sdk.Role), new(sdk.Permission)))
	require.NoError(t, errors.Join(mapTable(s, &s.roles, nil), mapTable(s, &s.permissions, nil)))
	return s
}

// Roles and permissions that have not changed are not taken apart anew: a role may have hundreds of thousands of users.
func TestRightsAreReadWhenTheyChange(t *testing.T) {
	t.Parallel()
	s := openWithRights(t)
	write := func(fn func(tx *txn) error) { require.NoError(t, s.write(t.Context(), fn)) }
	read := func(last *rights) *rights {
		r, err := s.rights(t.Context(), "shop", last)
		require.NoError(t, err)
		return r
	}
	role := &sdk.Role{Owner: "shop", Name: "buyer", Users: []string{"shop/alice"}}
	write(func(tx *txn) error {
		_, err := s.roles.insert(tx, role, "")
		return err
	})
	first := read(nil)
	assert.Len(t, first.roles.toUser["shop/alice"], 1)
	assert.Same(t, first, read(first))

	role.Users = []string{"shop/berta"} // as long as before
	write(func(tx *txn) error {
		_, err := s.roles.update(tx, role, []string{"users"}, byName, role.Owner, role.Name)
		return err
	})
	second := read(first)
	assert.Empty(t, second.roles.toUser["shop/alice"])
	assert.Len(t, second.roles.toUser["shop/berta"], 1)
	write(func(tx *txn) error {
		_, err := s.permissions.insert(tx, &sdk.Permission{Owner: "shop", Name: "buy", Users: []string{"shop/alice"}}, "")
		return err
	})
	third := read(second)
	assert.Len(t, third.permissions.toUser["shop/alice"], 1)
	assert.Same(t, third, read(third))
}

// What an organization's roles and permissions were taken apart into is kept for longer than it may be used unseen.
func TestRightsAreKept(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := &Service{tables: &tables{Store: openWithRights(t)}, settings: newSettings(nil, func() time.Time { return now })}
	read := func() *rights {
		_, err := s.withRights(t.Context(), "JWT", &sdk.User{Owner: "shop", Name: "alice"})
		require.NoError(t, err)
		r, _ := s.settings.rights.Get("shop")
		require.NotNil(t, r)
		return r
	}
	first := read()
	now = now.Add(2 * settingsTTL)
	assert.Same(t, first, read())
}
