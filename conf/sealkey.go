package conf

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sealKeySize is the length of a seal key: that of AES-256.
const sealKeySize = 32

// SealKeyRing returns the keys that seal SessionKeys, 32 bytes each, at least one: the first seals, the others only
// open. They are SealKeys or, when there are none, the one in SealKeyFile, which is made first if it does not exist.
// Processes that make it at the same time get the same key. A file that holds anything else is an error and stays as
// it is. Errors name the file and hold no key.
func (c *Config) SealKeyRing() ([][]byte, error) {
	ring, err := c.ReadSealKeys()
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	key, err := makeSealKey(c.SealKeyFile)
	if err != nil {
		return nil, fmt.Errorf("seal key file %s: %w", c.SealKeyFile, err)
	}
	return [][]byte{key}, nil
}

// ReadSealKeys is SealKeyRing where nothing is made: a SealKeyFile that is missing is fs.ErrNotExist.
func (c *Config) ReadSealKeys() ([][]byte, error) {
	if len(c.SealKeys) == 0 {
		key, err := readSealKey(c.SealKeyFile)
		if err != nil {
			return nil, fmt.Errorf("seal key file %s: %w", c.SealKeyFile, err)
		}
		return [][]byte{key}, nil
	}
	var ring [][]byte
	for i, text := range c.SealKeys {
		key, err := decodeSealKey(text.Reveal())
		if err != nil {
			return nil, fmt.Errorf("sealKey: number %d: %w", i+1, err)
		}
		ring = append(ring, key)
	}
	return ring, nil
}

func readSealKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return decodeSealKey(strings.TrimSpace(string(text)))
}

// makeSealKey makes the file at path with a new key, unless another process does so first, and returns the file's key.
// The file appears under its name only when it is complete.
func makeSealKey(path string) ([]byte, error) {
	temp, err := writeSealKey(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return readSealKey(path)
}

// writeSealKey writes a new key into a new file in dir, which its owner alone may read, and returns the file's path.
func writeSealKey(dir string) (path string, err error) {
	file, err := os.CreateTemp(dir, ".sealkey-")
	if err != nil {
		return "", err
	}
	key := make([]byte, sealKeySize)
	rand.Read(key) // never fails
	_, err = fmt.Fprintln(file, base64.StdEncoding.EncodeToString(key))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// decodeSealKey decodes a key. Its errors do not quote it.
func decodeSealKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != sealKeySize {
		return nil, errors.New("not 32 bytes in base64, as openssl rand -base64 32 prints them")
	}
	return key, nil
}
