// Package blob keeps public files, such as avatars, under names that nobody can guess: in a folder, which our own HTTP
// serves, or in a bucket of any S3-compatible storage, which serves them itself.
//
// A file never changes: what is new gets a new key, so that everybody may keep it forever (see CacheControl).
package blob

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// CacheControl is the header that files are to be served with.
const CacheControl = "public, max-age=31536000, immutable"

// ErrKey means that a key is none that NewKey makes.
var ErrKey = errors.New("not the key of a file")

// NewKey returns the key of a new square picture: "a/<stem>-<side>.<ext>", where the stem holds 130 random bits. side
// is 1 to 9999 pixels; ext is ".jpg" or ".png".
func NewKey(side int, ext string) string {
	return fmt.Sprintf("a/%s-%d%s", strings.ToLower(rand.Text()), side, ext)
}

// Sibling returns the key of the same picture with another side, so that the keys of all its sizes follow from one. A
// key that is none has the sibling "".
func Sibling(key string, side int) string {
	k, ok := parse(key)
	if !ok {
		return ""
	}
	return fmt.Sprintf("a/%s-%d%s", k.stem, side, k.ext)
}

// parsed is a key in parts.
type parsed struct{ stem, side, ext string }

// parse accepts nothing but what NewKey makes: no other character gets near a path or a URL.
func parse(key string) (parsed, bool) {
	const stem = 26 // characters of base32
	rest, ok := strings.CutPrefix(key, "a/")
	if !ok || len(rest) < stem+len("-1.jpg") || rest[stem] != '-' {
		return parsed{}, false
	}
	side, ext, ok := strings.Cut(rest[stem+1:], ".")
	n, err := strconv.Atoi(side)
	if !ok || err != nil || n < 1 || n > 9999 || strconv.Itoa(n) != side || contentType("."+ext) == "" {
		return parsed{}, false
	}
	for _, c := range rest[:stem] {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return parsed{}, false
		}
	}
	return parsed{rest[:stem], side, "." + ext}, true
}

// name returns the last part of the key.
func (k parsed) name() string { return k.stem + "-" + k.side + k.ext }

// contentType returns the type of files with an extension, or "" for one that we do not keep.
func contentType(ext string) string {
	switch ext {
	case ".jpg":
		return "image/jpeg"
	case ".png":
		return "image/png"
	default:
		return ""
	}
}

// check reports what is wrong with a file that is to be stored.
func check(key, typ string) (parsed, error) {
	k, ok := parse(key)
	if !ok {
		return parsed{}, ErrKey
	}
	if want := contentType(k.ext); typ != want {
		return parsed{}, fmt.Errorf("content type %q of a %s file: want %s", typ, k.ext, want)
	}
	return k, nil
}

// publicURL is where the files are public, with a slash at its end.
type publicURL string

func newPublicURL(raw string) (publicURL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("public URL: want http(s)://host/path without user, query and fragment")
	}
	return publicURL(strings.TrimRight(raw, "/") + "/"), nil
}

// Public returns where the files are public: a file's address is that, which ends in a slash, and its key.
func (p publicURL) Public() string { return string(p) }
