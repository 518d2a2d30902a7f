package object

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

// A sign-in after Reseal has read a session brings a newer SessionKey, which the former one must not replace.
func TestResealKeepsNewerKeys(t *testing.T) {
	t.Parallel()
	const former, newer = provider.Secret("HyVFkGl5F5OQWJZZaNzBBg=="), provider.Secret("tiihtNczf5v6AKRyjwEUhQ==")
	store, old, both := openStore(t), newTestSealer(t, 1), newTestSealer(t, 2, 1)
	sessionOf := func(openID string, sealer *Sealer, key provider.Secret) *Session {
		id := identityOf(openID)
		sealed, keyID := sealer.seal(*id, key)
		return &Session{Organization: id.Organization, AppID: id.AppID, OpenID: openID, SealedKey: sealed, KeyID: keyID}
	}
	require.NoError(t, store.write(t.Context(), func(tx *txn) error {
		_, err := store.sessions.insertAll(tx, []*Session{
			sessionOf("oAway", old, former), sessionOf("oBack", old, former), sessionOf("oSlow", old, former),
		}, "")
		return err
	}))
	read, _, err := store.sessionsBehind(t.Context(), []string{"org", "wx", ""}, resealBatch)
	require.NoError(t, err)
	require.Len(t, read, 3)
	for _, meanwhile := range []*Session{sessionOf("oBack", both, newer), sessionOf("oSlow", old, newer)} {
		require.NoError(t, store.write(t.Context(), func(tx *txn) error {
			_, err := store.sessions.update(tx, meanwhile, []string{"sealed_key", "key_id"},
				"organization=? AND app_id=? AND open_id=?", "org", "wx", meanwhile.OpenID)
			return err
		}))
	}
	require.NoError(t, store.resealBatch(t.Context(), both, read, &Resealing{}))
	for openID, want := range map[string]struct {
		key    provider.Secret
		sealer *Sealer
	}{"oAway": {former, newTestSealer(t, 2)}, "oBack": {newer, newTestSealer(t, 2)}, "oSlow": {newer, old}} {
		session, err := store.sessions.get(store.read(t.Context()), "WHERE open_id=?", openID)
		require.NoError(t, err)
		key, err := want.sealer.open(*identityOf(openID), session.SealedKey, session.KeyID)
		require.NoError(t, err, openID)
		assert.Equal(t, want.key.Reveal(), key.Reveal(), openID)
	}
}
