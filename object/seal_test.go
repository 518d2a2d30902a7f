package object

import (
	"encoding/base64"
	"strings"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

func TestSeal(t *testing.T) {
	t.Parallel()
	const key = provider.Secret("HyVFkGl5F5OQWJZZaNzBBg==")
	id := *identityOf("oAlice")
	old, rotated, other := newTestSealer(t, 1), newTestSealer(t, 2, 1), newTestSealer(t, 3)
	sealed, keyID := old.seal(id, key)
	assert.LessOrEqual(t, len(sealed), 200, "it fits its column")
	assert.NotContains(t, sealed, key.Reveal())
	again, _ := old.seal(id, key)
	assert.NotEqual(t, sealed, again, "equal keys do not look equal")

	for name, s := range map[string]*Sealer{"same": old, "rotated": rotated} {
		got, err := s.open(id, sealed, keyID)
		require.NoError(t, err, name)
		assert.Equal(t, key.Reveal(), got.Reveal())
	}
	_, newID := rotated.seal(id, key)
	assert.NotEqual(t, keyID, newID, "the first key seals")

	raw, err := base64.StdEncoding.DecodeString(sealed)
	require.NoError(t, err)
	raw[len(raw)-1] ^= 1
	elsewhere := id // where somebody has copied the row to
	elsewhere.OpenID = "oMallory"
	for name, c := range map[string]struct {
		sealer        *Sealer
		id            Identity
		sealed, keyID string
	}{
		"another key":        {other, id, sealed, keyID},
		"another row":        {old, elsewhere, sealed, keyID},
		"another key's name": {rotated, id, sealed, newID},
		"unknown key":        {old, id, sealed, ""},
		"damaged":            {old, id, base64.StdEncoding.EncodeToString(raw), keyID},
		"truncated":          {old, id, sealed[:12], keyID},
		"no base64":          {old, id, "§", keyID},
		"empty":              {old, id, "", keyID},
	} {
		got, err := c.sealer.open(c.id, c.sealed, c.keyID)
		assert.ErrorIs(t, err, errUnsealable, name)
		assert.Empty(t, got.Reveal(), name)
	}
}

func TestNewSealer(t *testing.T) {
	t.Parallel()
	for _, keys := range [][][]byte{nil, {}, {make([]byte, 31)}, {make([]byte, 32), make([]byte, 16)}} {
		_, err := NewSealer(keys)
		assert.ErrorContains(t, err, "seal key")
	}
}

func TestSealedForIsUnambiguous(t *testing.T) {
	t.Parallel()
	a := Identity{Organization: "a", AppID: "b", OpenID: "c"}
	b := Identity{Organization: "a", AppID: "", OpenID: "bc"}
	assert.NotEqual(t, sealedFor(a), sealedFor(b))
}

func TestOpaqueRefreshToken(t *testing.T) {
	t.Parallel()
	service, client := &Service{sealer: newTestSealer(t, 2, 1)}, &Client{}
	row := uuid.NewString()
	token := service.opaqueRefreshToken(row, "alice's id")
	assert.NotEqual(t, token, service.opaqueRefreshToken(row, "alice's id"))
	assert.True(t, service.isOurRefresh(t.Context(), client, token))
	_, name, err := service.rowOf(t.Context(), &sdk.Application{}, token)
	require.NoError(t, err)
	assert.Equal(t, row, name)
	assert.True(t, speaksFor(token, &sdk.User{Id: "alice's id"}))
	assert.False(t, speaksFor(token, &sdk.User{Id: "her successor's id"}))

	before := (&Service{sealer: newTestSealer(t, 1)}).opaqueRefreshToken(row, "alice's id")
	assert.True(t, service.isOurRefresh(t.Context(), client, before), "made with the key that was the first one then")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	for i := range raw {
		raw[i] ^= 1
		forged := base64.RawURLEncoding.EncodeToString(raw)
		assert.False(t, service.isOurRefresh(t.Context(), client, forged), "byte %d", i)
		raw[i] ^= 1
	}
	for name, bad := range map[string]string{
		"another key": (&Service{sealer: newTestSealer(t, 7)}).opaqueRefreshToken(row, "alice's id"),
		"empty":       "", "truncated": token[:len(token)-1], "half": token[:len(token)/2], "longer": token + "AA",
		"padded": token + "=", "no base64": strings.Repeat("é", 50), "zeros": strings.Repeat("A", len(token)),
	} {
		assert.False(t, service.isOurRefresh(t.Context(), client, bad), name)
	}
}
