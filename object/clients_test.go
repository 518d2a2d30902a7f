package object

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// apps are applications of a store, which are asked for by their client ids.
type apps struct {
	t     *testing.T
	store *Store
}

func newApps(t *testing.T, names ...string) apps {
	t.Helper()
	a := apps{t, openStore(t)}
	require.NoError(t, a.store.write(t.Context(), func(tx *txn) error {
		for _, name := range names {
			row := &sdk.Application{Owner: "admin", Name: name, ClientId: name, Organization: builtInName}
			if _, err := a.store.applications.insert(tx, row, ""); err != nil {
				return err
			}
		}
		return nil
	}))
	return a
}

func (a apps) change(column, value, name string) {
	a.t.Helper()
	require.NoError(a.t, a.store.write(a.t.Context(), func(tx *txn) error {
		_, err := tx.exec("UPDATE "+a.store.applications.name+" SET "+column+"=? WHERE name=?", value, name)
		return err
	}))
}

// nameOf returns the name of the application with a client id, or "".
func (a apps) nameOf(clientID string) string {
	c, err := a.store.client(a.t.Context(), clientID)
	if errors.Is(err, ErrNotFound) {
		return ""
	}
	if !assert.NoError(a.t, err) {
		return ""
	}
	return c.Application.Name
}

// An application is first looked for where it was last seen: Casdoor has no index of client ids.
func TestClientsAreLookedUpByName(t *testing.T) {
	t.Parallel()
	a := newApps(t, "one", "two")
	assert.Equal(t, "two", a.nameOf("two"))
	a.change("client_id", "two", "one")
	assert.Equal(t, "two", a.nameOf("two"), "a look at the whole table would find the other one")
	a.change("client_id", "second", "two")
	assert.Equal(t, "one", a.nameOf("two"), "it has another client id since")
	assert.Equal(t, "two", a.nameOf("second"))
	a.change("name", "renamed", "one")
	assert.Equal(t, "renamed", a.nameOf("two"))
	a.change("client_id", "third", "renamed")
	assert.Empty(t, a.nameOf("two"))
}

// Strangers who make client ids up do not have the table read for each of them, and keep nobody from an application
// that is new.
func TestMadeUpClientIDs(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	const strangers, each = 16, 50
	var all sync.WaitGroup
	looks := 0
	look := a.store.clients.looks.serve
	a.store.clients.looks.serve = func(batch []*job[struct{}]) {
		looks++
		look(batch)
	}
	for n := range strangers {
		all.Go(func() {
			for i := range each {
				assert.Empty(t, a.nameOf(fmt.Sprint("made-up-", n, "-", i)))
			}
		})
	}
	for i := range 10 {
		a.change("client_id", fmt.Sprint("new-", i), builtInApplication)
		assert.Equal(t, builtInApplication, a.nameOf(fmt.Sprint("new-", i)))
	}
	all.Wait()
	assert.Less(t, looks, strangers*each/4)
}
