package blob

import (
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFolderReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFolder(t, dir)
	require.NoError(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { assert.NoError(t, os.Chmod(dir, 0o700)) })
	result := make(chan error)
	go func() {
		runtime.LockOSThread()      // and never unlocked: the thread ends with the goroutine
		_ = syscall.Setfsuid(65534) // root may write anywhere
		result <- f.Put(t.Context(), NewKey(1, ".png"), "image/png", []byte("x"))
	}()
	err := <-result
	assert.ErrorIs(t, err, fs.ErrPermission)
	assert.ErrorContains(t, err, "store file")
	assert.Empty(t, filesIn(t, dir))
}

// TestFolderFullDisk writes more than a process of its own may: the limit hits in the middle of the file, as the end of
// the disk does.
func TestFolderFullDisk(t *testing.T) {
	t.Parallel()
	const variable = "BLOB_TEST_FULL_DISK"
	dir := os.Getenv(variable)
	if dir == "" {
		dir = t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFolderFullDisk$")
		cmd.Env = append(os.Environ(), variable+"="+dir)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Empty(t, filesIn(t, dir), "no part of the file is left")
		return
	}
	f := newFolder(t, dir)
	signal.Ignore(syscall.SIGXFSZ)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4096, Max: 4096}))
	err := f.Put(t.Context(), NewKey(1, ".png"), "image/png", make([]byte, 10000))
	assert.ErrorIs(t, err, syscall.EFBIG)
	assert.ErrorContains(t, err, "store file")
}
