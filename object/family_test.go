package object

import (
	"context"
	"encoding/json"
	"testing"
	"time"

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
