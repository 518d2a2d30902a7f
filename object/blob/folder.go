package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"
)

// Folder keeps files in a local directory. Several processes may share it. It is safe for concurrent use.
type Folder struct {
	publicURL
	root *os.Root
}

// The directory of files that are being written, and the age at which one there belongs to nobody any more.
const (
	unfinished = "unfinished"
	abandoned  = time.Hour
)

// NewFolder opens the directory, makes it where there is none, and removes what a crash has left unfinished in it.
// public is the address that Open's files are served at, if it is known: see Public.
func NewFolder(dir, public string) (*Folder, error) {
	var base publicURL
	if public != "" {
		var err error
		if base, err = newPublicURL(public); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of files: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("folder of files: %w", err)
	}
	f := &Folder{base, root}
	if err := f.sweep(); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("folder of files: %w", err)
	}
	return f, nil
}

// TryFolder finds out whether files can be written to a directory. One that is not there yet is fs.ErrNotExist.
func TryFolder(dir string) error {
	file, err := os.CreateTemp(dir, "try-")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// Holds reports whether there is a file in the folder dir, and makes nothing there.
func Holds(dir, key string) (bool, error) {
	k, ok := parse(key)
	if !ok {
		return false, nil
	}
	_, err := os.Stat(filepath.Join(dir, k.path()))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Close releases the directory. No other method may be called after it.
func (f *Folder) Close() error { return f.root.Close() }

// sweep removes abandoned files.
func (f *Folder) sweep() error {
	if err := f.root.MkdirAll(unfinished, 0o700); err != nil {
		return err
	}
	entries, err := fs.ReadDir(f.root.FS(), unfinished)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = f.root.Remove(path.Join(unfinished, e.Name())) // another process may have been faster
		}
	}
	return nil
}

// dir returns the directory of a file: there are 1024 of them, so that none grows too large.
func (k parsed) dir() string { return path.Join("a", k.stem[:2]) }

func (k parsed) path() string { return path.Join(k.dir(), k.name()) }

// Put stores a file, which is on the disk, whole, when Put returns nil. Where it fails there is no trace of the file.
func (f *Folder) Put(ctx context.Context, key, contentType string, data []byte) error {
	k, err := check(key, contentType)
	if err != nil {
		return fmt.Errorf("store file: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store file: %w", err)
	}
	if err := f.put(k, data); err != nil {
		return fmt.Errorf("store file: %w", err)
	}
	return nil
}

func (f *Folder) put(k parsed, data []byte) error {
	temporary := path.Join(unfinished, rand.Text())
	if err := f.write(temporary, data); err != nil {
		_ = f.root.Remove(temporary)
		return err
	}
	if err := f.place(temporary, k); err != nil {
		_ = f.root.Remove(temporary)
		return err
	}
	return nil
}

func (f *Folder) write(name string, data []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// place gives a finished file its name.
func (f *Folder) place(temporary string, k parsed) error {
	if err := f.makeDir(k.dir()); err != nil {
		return err
	}
	if err := f.root.Rename(temporary, k.path()); err != nil {
		return err
	}
	err := f.sync(k.dir())
	if err != nil {
		_ = f.root.Remove(k.path())
	}
	return err
}

// makeDir makes a directory where it is missing, and those above it. Each is on the disk then.
func (f *Folder) makeDir(dir string) error {
	err := f.root.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.makeDir(path.Dir(dir)); err != nil {
			return err
		}
		err = f.root.Mkdir(dir, 0o700)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return f.sync(path.Dir(dir))
}

// sync has the names in a directory on the disk.
func (f *Folder) sync(dir string) error {
	opened, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(SyncFolder(opened), opened.Close())
}

// SyncFolder has the names in an open folder on the disk. Windows flushes no folders; its file system logs names
// itself.
func SyncFolder(dir *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return dir.Sync()
}

// Delete removes a file. A file that is not there is removed already.
func (f *Folder) Delete(_ context.Context, key string) error {
	k, ok := parse(key)
	if !ok {
		return fmt.Errorf("remove file: %w", ErrKey)
	}
	if err := f.root.Remove(k.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file: %w", err)
	}
	return nil
}

// File is a stored file. Its reader must close it.
type File struct {
	io.ReadSeekCloser
	ContentType string
	ModTime     time.Time
}

// Open opens a file; errors.Is(err, fs.ErrNotExist) when there is none, or the key is none.
func (f *Folder) Open(key string) (*File, error) {
	k, ok := parse(key)
	if !ok {
		return nil, fmt.Errorf("open file: %w: %w", ErrKey, fs.ErrNotExist)
	}
	file, err := f.root.Open(k.path())
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open file: %w", err)
	}
	return &File{file, contentType(k.ext), info.ModTime()}, nil
}
