package object

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

// started is the file of an SQLite store after its first start, which takes long: a key and a password hash are made.
var started = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "minidoor-object-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "test.db")
	store, _, err := Open(context.Background(), StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + path})
	if err != nil {
		return nil, err
	}
	store.Close()
	return os.ReadFile(path)
})

// openStore opens an SQLite store in which there is what the first start makes.
func openStore(t *testing.T) *Store {
	t.Helper()
	content, err := started()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "test.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	store, first, err := Open(t.Context(), StoreConfig{
		DriverName: "sqlite", DataSourceName: "file:" + path, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	require.Nil(t, first)
	t.Cleanup(store.Close)
	return store
}

func newTestService(t *testing.T, store *Store, cfg ServiceConfig) *Authority {
	t.Helper()
	var err error
	cfg.Registry, err = provider.NewRegistry()
	require.NoError(t, err)
	if cfg.Sealer == nil {
		cfg.Sealer = newTestSealer(t, 1)
	}
	service, err := NewAuthority(store, cfg)
	require.NoError(t, err)
	return service
}

// newTestSealer returns a sealer with a key of each seed.
func newTestSealer(t *testing.T, seeds ...byte) *Sealer {
	t.Helper()
	var keys [][]byte
	for _, seed := range seeds {
		keys = append(keys, bytes.Repeat([]byte{seed}, 32))
	}
	sealer, err := NewSealer(keys)
	require.NoError(t, err)
	return sealer
}

// identityOf is a row to write in tests of writing.
func identityOf(openID string) *Identity {
	return &Identity{Organization: "org", AppID: "wx", OpenID: openID, UserID: "id of " + openID}
}

// openIDs returns the OpenIDs that are stored, in order.
func (s *Store) openIDs(t *testing.T) []string {
	t.Helper()
	rows, err := s.identities.find(s.read(context.Background()), "WHERE organization=? ORDER BY open_id", "org")
	require.NoError(t, err)
	found := []string{}
	for _, row := range rows {
		found = append(found, row.OpenID)
	}
	return found
}
