package test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/process"
	"github.com/minidoor/minidoor/test/testdb"
)

// testBackup backs a server up while people sign in, and restores it elsewhere: all that was acknowledged before the
// back-up began is there.
func testBackup(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	c := w.start(t)
	copied := filepath.Join(t.TempDir(), "copy.db")
	load := newSignIns(c)
	var before map[string]string
	load.during(t, func() {
		before = load.acknowledged()
		output := w.backup(t, copied)
		assert.Contains(t, output, "It does not hold the seal key. Keep the server's sealKey, or the file that its sealKeyFile names")
	})
	require.Empty(t, load.failed)
	require.Less(t, len(before), len(load.acknowledged()), "nobody signed in meanwhile")
	info, err := os.Stat(copied)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	output := failToRun(t, process.Config{Binary: binary, Args: []string{"-backup", copied}, Env: w.cfg.Env})
	assert.Contains(t, output, "file already exists")
	w.backupIntoFullDisk(t)
	c.stop(t)

	// To restore is to copy, here to where no log of another database lies beside.
	text, err := os.ReadFile(copied)
	require.NoError(t, err)
	restored := filepath.Join(t.TempDir(), "restored.db")
	require.NoError(t, os.WriteFile(restored, text, 0o600))
	w.cfg.Env["dataSourceName"] = "file:" + restored
	c = w.start(t)
	assert.NotContains(t, c.process.Output(), "First start")
	c.holdsAll(t, before)
	checkIdentities(t, object.StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + restored})
	again := c.SignIn(t, "oLoad0")
	assert.False(t, *again.NewUser)
	_, ok := c.holds(t, c.refresh(t, again.RefreshToken).Tokens(t).AccessToken)
	assert.True(t, ok)
}

// backup runs -backup with the settings of the server.
func (w *world) backup(t *testing.T, file string) (output string) {
	t.Helper()
	cfg := w.cfg
	cfg.Args = []string{"-backup", file}
	p, err := process.Start(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, p.Wait(), p.Output())
	return p.Output()
}

// backupIntoFullDisk runs -backup where files may not grow as large as the database: nothing is left of the attempt.
func (w *world) backupIntoFullDisk(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	cfg := w.cfg
	cfg.Binary = "sh"
	cfg.Args = []string{"-c", `ulimit -f 64; exec "$0" -backup "$1"`, w.cfg.Binary, filepath.Join(folder, "copy.db")}
	assert.Contains(t, failToRun(t, cfg), "minidoor: back-up: copy ")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left)
}
