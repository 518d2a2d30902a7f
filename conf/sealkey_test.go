package conf

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSealKeyRingOfKeys(t *testing.T) {
	t.Parallel()
	first, second := strings.Repeat("1", 32), strings.Repeat("2", 32)
	c := &Config{
		SealKeys: []Secret{
			Secret(base64.StdEncoding.EncodeToString([]byte(first))),
			Secret(base64.StdEncoding.EncodeToString([]byte(second))),
		},
		SealKeyFile: filepath.Join(t.TempDir(), "minidoor.key"),
	}
	ring, err := c.SealKeyRing()
	require.NoError(t, err)
	assert.Equal(t, [][]byte{[]byte(first), []byte(second)}, ring)
	assert.NoFileExists(t, c.SealKeyFile)
}

func TestSealKeyRingOfBadKey(t *testing.T) {
	t.Parallel()
	c := &Config{SealKeys: []Secret{"My-Secret"}}
	_, err := c.SealKeyRing()
	assert.EqualError(t, err, "sealKey: number 1: "+wantKey)
}

func TestSealKeyFileIsMadeOnce(t *testing.T) {
	t.Parallel()
	c := &Config{SealKeyFile: filepath.Join(t.TempDir(), "minidoor.key")}
	first, err := c.SealKeyRing()
	require.NoError(t, err)
	require.Len(t, first, 1)
	assert.Len(t, first[0], 32)

	info, err := os.Stat(c.SealKeyFile)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())

	second, err := c.SealKeyRing()
	require.NoError(t, err)
	assert.Equal(t, first, second)

	other, err := (&Config{SealKeyFile: filepath.Join(t.TempDir(), "minidoor.key")}).SealKeyRing()
	require.NoError(t, err)
	assert.NotEqual(t, first, other)
}

func TestSealKeyFileServesAsSealKey(t *testing.T) {
	t.Parallel()
	c := &Config{SealKeyFile: filepath.Join(t.TempDir(), "minidoor.key")}
	ring, err := c.SealKeyRing()
	require.NoError(t, err)

	text, err := os.ReadFile(c.SealKeyFile)
	require.NoError(t, err)
	loaded, err := load(t, "sealKey = "+string(text)).SealKeyRing()
	require.NoError(t, err)
	assert.Equal(t, ring, loaded)
}

func TestSealKeyFileMadeByManyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &Config{SealKeyFile: filepath.Join(dir, "minidoor.key")}
	rings := make([][][]byte, 32)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			<-start
			ring, err := c.SealKeyRing()
			assert.NoError(t, err)
			rings[i] = ring
		})
	}
	close(start)
	wg.Wait()
	for _, ring := range rings {
		assert.Equal(t, rings[0], ring)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing but the key file is left")
}

func TestSealKeyFileUnusable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		content string
	}{
		{"empty", ""},
		{"no base64", "My-Secret!\n"},
		{"short", "TXktU2VjcmV0\n"},
		{"long", strings.Repeat("A", 64)},
		{"two keys", strings.Repeat("A", 43) + "=\n" + strings.Repeat("A", 43) + "=\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, tt.content)
			_, err := (&Config{SealKeyFile: path}).SealKeyRing()
			assert.EqualError(t, err, "seal key file "+path+": "+wantKey)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, tt.content, string(after))
		})
	}
}

func TestSealKeyFileOutOfReach(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing", "minidoor.key")
	_, err := (&Config{SealKeyFile: missing}).SealKeyRing()
	assert.ErrorContains(t, err, "seal key file "+missing+": ")
	assert.ErrorIs(t, err, os.ErrNotExist)

	dir := t.TempDir()
	_, err = (&Config{SealKeyFile: dir}).SealKeyRing()
	assert.ErrorContains(t, err, "seal key file "+dir+": ")
}
