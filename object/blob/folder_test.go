package blob

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testURL = "https://door.example/files"

func newFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := NewFolder(dir, testURL)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	return f
}

// filesIn returns the paths of all regular files below dir.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	return files
}

func read(t *testing.T, f *Folder, key string) (string, string) {
	t.Helper()
	file, err := f.Open(key)
	require.NoError(t, err)
	defer func() { assert.NoError(t, file.Close()) }()
	data, err := io.ReadAll(file)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), file.ModTime, time.Minute)
	return string(data), file.ContentType
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "files")
	f, key := newFolder(t, dir), NewKey(640, ".jpg")
	_, err := f.Open(key)
	assert.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, f.Put(t.Context(), key, "image/jpeg", []byte("first")))
	require.NoError(t, f.Put(t.Context(), key, "image/jpeg", []byte("second")))
	data, typ := read(t, newFolder(t, dir), key)
	assert.Equal(t, "second", data)
	assert.Equal(t, "image/jpeg", typ)
	assert.Equal(t, testURL+"/", f.Public())

	files := filesIn(t, dir)
	require.Len(t, files, 1)
	assert.Equal(t, filepath.Join(dir, "a", key[2:4], key[2:]), files[0])
	for path, mode := range map[string]fs.FileMode{files[0]: 0o600, dir: 0o700, filepath.Dir(files[0]): 0o700} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), path)
	}

	require.NoError(t, f.Delete(t.Context(), key))
	require.NoError(t, f.Delete(t.Context(), key), "twice is as good as once")
	assert.Empty(t, filesIn(t, dir))
}

func TestFolderRefusesKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFolder(t, dir)
	for _, key := range badKeys() {
		assert.ErrorIs(t, f.Put(t.Context(), key, "image/jpeg", nil), ErrKey, "%q", key)
		assert.ErrorIs(t, f.Delete(t.Context(), key), ErrKey, "%q", key)
		_, err := f.Open(key)
		assert.ErrorIs(t, err, fs.ErrNotExist, "%q", key)
	}
	assert.ErrorContains(t, f.Put(t.Context(), NewKey(1, ".jpg"), "text/html", nil), "content type")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, f.Put(ctx, NewKey(1, ".jpg"), "image/jpeg", nil), context.Canceled)
	assert.Empty(t, filesIn(t, dir))
}

func TestFolderStaysInside(t *testing.T) {
	t.Parallel()
	dir, outside, key := t.TempDir(), t.TempDir(), NewKey(1, ".png")
	f := newFolder(t, dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "a", key[2:4])))
	assert.Error(t, f.Put(t.Context(), key, "image/png", []byte("x")))
	assert.Empty(t, filesIn(t, outside))
	assert.Empty(t, filesIn(t, filepath.Join(dir, unfinished)))
}

func TestFolderSweepsUp(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), NewKey(1, ".png")
	f := newFolder(t, dir)
	require.NoError(t, f.Put(t.Context(), key, "image/png", []byte("x")))
	old, recent := filepath.Join(dir, unfinished, "old"), filepath.Join(dir, unfinished, "recent")
	for _, name := range []string{old, recent} {
		require.NoError(t, os.WriteFile(name, []byte("half"), 0o600))
	}
	past := time.Now().Add(-2 * abandoned)
	require.NoError(t, os.Chtimes(old, past, past))
	_, err := os.Stat(old)
	require.NoError(t, err)
	newFolder(t, dir)
	assert.NoFileExists(t, old)
	assert.FileExists(t, recent, "another process may be writing it")
	data, _ := read(t, f, key)
	assert.Equal(t, "x", data)
}

func TestFolderConcurrently(t *testing.T) {
	t.Parallel()
	dir, shared := t.TempDir(), NewKey(1, ".png")
	folders := []*Folder{newFolder(t, dir), newFolder(t, dir)}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			f, own := folders[i%2], NewKey(1, ".jpg")
			for range 20 {
				assert.NoError(t, f.Put(t.Context(), shared, "image/png", []byte("the same")))
				data, _ := read(t, f, shared)
				assert.Equal(t, "the same", data, "never a part of it")
				assert.NoError(t, f.Put(t.Context(), own, "image/jpeg", []byte(own)))
				data, _ = read(t, f, own)
				assert.Equal(t, own, data)
				assert.NoError(t, f.Delete(t.Context(), own))
			}
		})
	}
	wg.Wait()
	assert.Len(t, filesIn(t, dir), 1)
}

func TestNewFolderErrors(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := NewFolder(file, testURL)
	assert.ErrorContains(t, err, "folder of files")
	_, err = NewFolder(t.TempDir(), "nowhere")
	assert.ErrorContains(t, err, "public URL")
}

func TestFolderWithoutAddress(t *testing.T) {
	t.Parallel()
	f, err := NewFolder(t.TempDir(), "")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	assert.Empty(t, f.Public())
}
