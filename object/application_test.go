package object

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	clock := newTestClock()
	s := newTestSettings(t, clock.Now)
	reads := 0
	read := func(context.Context) (any, error) {
		reads++
		return reads, nil
	}
	load := func() any {
		value, err := s.load(t.Context(), "x", read)
		require.NoError(t, err)
		return value
	}
	assert.Equal(t, 1, load())
	clock.advance(settingsTTL - time.Nanosecond)
	assert.Equal(t, 1, load(), "kept")
	clock.advance(time.Nanosecond)
	assert.Equal(t, 2, load(), "read anew")

	clock.advance(settingsTTL)
	_, err := s.load(t.Context(), "x", func(context.Context) (any, error) { return nil, errOfJob })
	require.ErrorIs(t, err, errOfJob)
	assert.Equal(t, 3, load(), "an error is not kept, and neither is what was before it")
	for range 3 {
		_, err := s.load(t.Context(), "missing", func(context.Context) (any, error) { return nil, ErrNotFound })
		assert.ErrorIs(t, err, ErrNotFound)
	}
	assert.Equal(t, 1, s.known.Len(), "names of what does not exist take no memory")
	for i := range maxSettings {
		_, err := s.load(t.Context(), fmt.Sprint(i), read)
		require.NoError(t, err)
	}
	assert.Equal(t, maxSettings, s.known.Len())
}

func TestSettingsOutlivePanics(t *testing.T) {
	t.Parallel()
	s := newTestSettings(t, time.Now)
	_, err := s.load(t.Context(), "x", func(context.Context) (any, error) {
		var none *sdk.Application
		return none.Name, nil
	})
	assert.ErrorContains(t, err, "nil pointer")
	value, err := s.load(t.Context(), "x", func(context.Context) (any, error) { return 1, nil })
	require.NoError(t, err)
	assert.Equal(t, 1, value)
}

// keysOf is a directory that has only keys, and counts how often they are read.
type keysOf struct {
	directory
	reads int
}

func (d *keysOf) keys(context.Context) ([]*key, error) {
	d.reads++
	return nil, nil
}

// Tokens that nobody has signed have the keys read once a second at most.
func TestKeysAreReadAnewSeldom(t *testing.T) {
	t.Parallel()
	clock, d := newTestClock(), &keysOf{}
	s := newTestSettings(t, clock.Now)
	s.directory = d
	_, err := s.keys(t.Context())
	require.NoError(t, err)
	for i := range 3 {
		for range 5 {
			_, err := s.newKeys(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, 2+i, d.reads)
		clock.advance(keysRenewal)
	}
}

func newTestSettings(t *testing.T, now func() time.Time) *settings {
	t.Helper()
	s, err := newSettings(nil, now)
	require.NoError(t, err)
	return s
}

// TestSettingsAreReadOnce has many callers ask for a value that nobody has read, while the first of them leaves.
func TestSettingsAreReadOnce(t *testing.T) {
	t.Parallel()
	s := newTestSettings(t, time.Now)
	ctx, leave := context.WithCancel(t.Context())
	begun, end := make(chan struct{}), make(chan struct{})
	reads := 0
	read := func(ctx context.Context) (any, error) {
		reads++
		close(begun)
		<-end
		return reads, ctx.Err()
	}
	var wg sync.WaitGroup
	ask := func() {
		wg.Go(func() {
			value, err := s.load(t.Context(), "x", read)
			assert.NoError(t, err)
			assert.Equal(t, 1, value)
		})
	}
	wg.Go(func() {
		_, err := s.load(ctx, "x", read)
		assert.ErrorIs(t, err, context.Canceled)
	})
	<-begun
	for range 16 {
		ask()
	}
	leave()
	close(end)
	wg.Wait()
	assert.Equal(t, 1, reads)
}

// A database that is silent keeps nobody for longer than they wait, and nobody for ever.
func TestSettingsOfASilentDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestSettings(t, time.Now)
		silent := func(ctx context.Context) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		start := time.Now()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.load(impatient, "x", silent)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		_, err = s.load(t.Context(), "x", silent)
		assert.True(t, IsUnavailable(err))
		assert.Equal(t, settingsPatience, time.Since(start))
		value, err := s.load(t.Context(), "x", func(context.Context) (any, error) { return 1, nil })
		require.NoError(t, err)
		assert.Equal(t, 1, value, "the next one asks again")
	})
}

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
		client := &Client{Application: &sdk.Application{ExpireInHours: c.access, RefreshExpireInHours: c.refresh}}
		assert.Equal(t, hours(c.wantAccess), client.lifetime())
		assert.Equal(t, hours(c.wantRefresh), client.refreshLifetime())
	}
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
		return err
	}))
	set, err := service.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, set.Keys, 1)
	assert.Equal(t, builtInCert, set.Keys[0].KeyID)
}
