package object

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClientOfBrokenApplications(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	service := newTestService(t, store, ServiceConfig{})
	require.NoError(t, store.write(t.Context(), func(tx *txn) error {
		for _, app := range []*sdk.Application{
			{Owner: "admin", Name: "lost", ClientId: "lost", Organization: "nowhere", Cert: builtInCert},
			{Owner: "admin", Name: "mute", ClientId: "mute", Organization: builtInName, Cert: "nowhere"},
			{Owner: "admin", Name: "anonymous", ClientId: "", Organization: builtInName},
			{Owner: "admin", Name: "default", ClientId: "default", Organization: builtInName},
		} {
			if _, err := store.applications.insert(tx, app, ""); err != nil {
				return err
			}
		}
		return nil
	}))
	_, err := service.Client(t.Context(), "lost")
	assert.ErrorContains(t, err, "nowhere")
	mute, err := service.Client(t.Context(), "mute")
	require.NoError(t, err, "it may still verify")
	_, err = service.ClientToken(t.Context(), mute, "", "")
	assert.ErrorContains(t, err, `cert "nowhere" does not exist`)
	ofNoCert, err := service.Client(t.Context(), "default")
	require.NoError(t, err)
	_, err = service.ClientToken(t.Context(), ofNoCert, "", "")
	assert.NoError(t, err, "Casdoor signs with the built-in cert then")
	_, err = service.Client(t.Context(), "")
	var refusal *Refusal
	assert.True(t, errors.As(err, &refusal) && refusal.Code == InvalidClient, "%v", err)
}

func TestClientDurations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ access, refresh, wantAccess, wantRefresh float64 }{
		{0, 0, 168, 168}, {2, 0, 2, 2}, {2, 5, 2, 5}, {0.5, -1, 0.5, 0.5},
	} {
		app := &sdk.Application{ExpireInHours: c.access, RefreshExpireInHours: c.refresh}
		assert.Equal(t, hours(c.wantAccess), accessLife(app))
		assert.Equal(t, hours(c.wantRefresh), refreshLife(app))
	}
}

func TestOddDurations(t *testing.T) {
	t.Parallel()
	for set, want := range map[float64]time.Duration{
		-1: 168 * time.Hour, math.NaN(): 168 * time.Hour, 1e-300: time.Second, 0.001: 3600 * time.Millisecond, 1e6: maxLife,
		1e18: maxLife, math.Inf(1): maxLife, math.Inf(-1): 168 * time.Hour,
	} {
		app := &sdk.Application{ExpireInHours: set, RefreshExpireInHours: set}
		assert.Equal(t, want, accessLife(app), "%g", set)
		assert.Equal(t, want, refreshLife(app), "%g", set)
		assert.Equal(t, want, TokenLife(app), "%g", set)
	}
	assert.Equal(t, math.MaxInt32, int(maxLife/time.Second))
}

// TestKeysLeaveOutWhatCannotVerify has tokens verified although a cert among many is damaged.
func TestKeysLeaveOutWhatCannotVerify(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	service := newTestService(t, store, ServiceConfig{})
	require.NoError(t, store.write(t.Context(), func(tx *txn) error {
		_, err := store.certs.insert(tx, &sdk.Cert{Owner: "admin", Name: "bad", Scope: "JWT", Certificate: "x"}, "")
		if err == nil {
			_, err = store.certs.insert(tx, &sdk.Cert{Owner: "admin", Name: "tls", Scope: "SSL", Certificate: "x"}, "")
		}
		if err == nil {
			_, err = store.certs.insert(tx, curveOfNoToken(t), "")
		}
		return err
	}))
	set, err := service.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, set.Keys, 1)
	assert.Equal(t, builtInCert, set.Keys[0].KeyID)
	_, err = json.Marshal(set)
	assert.NoError(t, err)
}
