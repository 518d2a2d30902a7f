package object

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBackup(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	source := StoreConfig{
		DriverName: "sqlite", DataSourceName: "file:" + filepath.Join(folder, "minidoor.db") + "?cache=shared",
	}
	store, first, err := Open(t.Context(), source)
	require.NoError(t, err)
	require.NotNil(t, first)
	t.Cleanup(store.Close)

	target := filepath.Join(folder, "copy.db")
	require.NoError(t, Backup(t.Context(), source, target), "while the store is open")
	info, err := os.Stat(target)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
	copied, first, err := Open(t.Context(), StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + target})
	require.NoError(t, err)
	t.Cleanup(copied.Close)
	assert.Nil(t, first, "the copy is a store that has been started before")
	left, err := filepath.Glob(filepath.Join(folder, ".backup-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	precious := filepath.Join(folder, "precious")
	require.NoError(t, os.WriteFile(precious, []byte("precious"), 0o600))
	dangling := filepath.Join(folder, "dangling")
	require.NoError(t, os.Symlink(filepath.Join(folder, "elsewhere"), dangling))
	missing := StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + filepath.Join(folder, "missing.db")}
	noDatabase := StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + precious}
	for name, c := range map[string]struct {
		source StoreConfig
		target string
		says   string
	}{
		"a file that exists":    {noDatabase, precious, "file already exists"},
		"a link to nowhere":     {noDatabase, dangling, "file already exists"},
		"a folder":              {noDatabase, folder, "file already exists"},
		"a folder that is none": {noDatabase, filepath.Join(folder, "none", "copy.db"), "no such file"},
		"no database":           {missing, filepath.Join(folder, "copy.db"), "there is no database yet: file " + folder},
		"another file":          {noDatabase, filepath.Join(folder, "copy.db"), "not a database"},
		"PostgreSQL":            {StoreConfig{DriverName: "postgres"}, filepath.Join(folder, "copy.db"), "only SQLite"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.ErrorContains(t, Backup(t.Context(), c.source, c.target), c.says)
		})
	}
	t.Cleanup(func() {
		text, err := os.ReadFile(precious)
		require.NoError(t, err)
		assert.Equal(t, "precious", string(text))
		files, err := os.ReadDir(folder)
		require.NoError(t, err)
		assert.Len(t, files, 2, "nothing new is left behind")
	})
}
