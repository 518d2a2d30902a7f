package object

import (
	"errors"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Roles and permissions that have not changed are not taken apart anew: a role may have hundreds of thousands of users.
func TestRightsAreReadWhenTheyChange(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	require.NoError(t, s.engine.Sync(new(sdk.Role), new(sdk.Permission)))
	require.NoError(t, errors.Join(mapTable(s, &s.roles, nil), mapTable(s, &s.permissions, nil)))
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
