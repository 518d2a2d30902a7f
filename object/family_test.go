package object

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Who ends the own account does not wait for whoever reads whole tables for an administrator.
func TestUsersDoNotWaitForLists(t *testing.T) {
	t.Parallel()
	a := newTestService(t, openStore(t), ServiceConfig{})
	require.NoError(t, a.scan(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := a.tokensOf(ctx, builtInName, builtInAdmin, 0)
		return err
	}))
}

// What all organizations bear the cost of, each has a bounded number of.
func TestOrganizationsHaveSoManyRows(t *testing.T) {
	t.Parallel()
	a := newTestService(t, openStore(t), ServiceConfig{})
	admin := &Caller{Role: Global, Organization: builtInName, Name: builtInAdmin}
	app := &Caller{Role: App, Organization: "shop", Name: "app"}
	require.NoError(t, a.Organizations().Add(t.Context(), admin, json.RawMessage(`{"owner":"admin","name":"shop"}`)))
	certs := a.Certs()
	assert.NotZero(t, certs.most)
	certs.most = 1
	add := func(c *Caller, owner, name string) error {
		return certs.Add(t.Context(), c, json.RawMessage(
			`{"owner":"`+owner+`","name":"`+name+`","cryptoAlgorithm":"ES256"}`))
	}
	require.NoError(t, add(app, "shop", "first"))
	var refusal *Refusal
	require.ErrorAs(t, add(app, "shop", "second"), &refusal)
	assert.Equal(t, "an organization has 1 certs at most", refusal.Message)
	assert.NoError(t, add(admin, "shop", "second"))
	assert.NoError(t, add(admin, builtInName, "third"))
}

// Certs are made one after the other.
func TestCertsAreMadeInTurn(t *testing.T) {
	t.Parallel()
	a := newTestService(t, openStore(t), ServiceConfig{})
	admin := &Caller{Role: Global, Organization: builtInName, Name: builtInAdmin}
	add := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return a.Certs().Add(ctx, admin, json.RawMessage(`{"owner":"admin","name":"cert","cryptoAlgorithm":"ES256"}`))
	}
	a.making <- struct{}{}
	require.ErrorIs(t, add(10*time.Millisecond), context.DeadlineExceeded)
	<-a.making
	require.NoError(t, add(time.Minute))
}

// Of two admins who save at once nobody undoes what the other one has saved, and a row that is gone does not come back.
func TestUpdatesAtOnceKeepBoth(t *testing.T) {
	t.Parallel()
	a := newTestService(t, openStore(t), ServiceConfig{})
	admin := &Caller{Role: Global, Organization: builtInName, Name: builtInAdmin}
	add := json.RawMessage(`{"owner":"admin","name":"shop","displayName":"old","websiteUrl":"old"}`)
	require.NoError(t, a.Organizations().Add(t.Context(), admin, add))
	update := func(meanwhile func() error) (bool, error) {
		organizations, fill := a.Organizations(), a.Organizations().fill
		organizations.fill = func(ctx context.Context, c *Caller, row, old *sdk.Organization) error {
			if meanwhile != nil {
				require.NoError(t, meanwhile())
				meanwhile = nil
			}
			return fill(ctx, c, row, old)
		}
		return organizations.Update(t.Context(), admin, adminOwner, "shop", nil, json.RawMessage(`{"displayName":"new"}`))
	}
	affected, err := update(func() error {
		change := json.RawMessage(`{"websiteUrl":"new"}`)
		_, err := a.Organizations().Update(t.Context(), admin, adminOwner, "shop", nil, change)
		return err
	})
	require.NoError(t, err)
	assert.True(t, affected)
	row, err := a.Organizations().Get(t.Context(), admin, adminOwner, "shop")
	require.NoError(t, err)
	assert.Equal(t, []string{"new", "new"}, []string{row.DisplayName, row.WebsiteUrl})
	affected, err = update(func() error {
		_, err := a.Organizations().Delete(t.Context(), admin, adminOwner, "shop")
		return err
	})
	require.NoError(t, err)
	assert.False(t, affected)
	_, err = a.Organizations().Get(t.Context(), admin, adminOwner, "shop")
	assert.ErrorIs(t, err, ErrNotFound)
}
