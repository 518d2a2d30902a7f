package blob

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// badKeys are what a request might ask for, or a row might hold.
func badKeys() []string {
	stem := strings.Repeat("a", 26)
	return []string{
		"", "a", "a/", "/etc/passwd", "../a/" + stem + "-640.jpg", "a/../" + stem + "-640.jpg", "a/" + stem,
		"a/" + stem + "-640.jpg/", "a/" + stem + "-640.jpg\x00", "a/" + stem + "-640.svg", "a/" + stem + "-640.html",
		"a/" + stem + "-640.JPG", "a/" + stem + "-0640.jpg", "a/" + stem + "-0.jpg", "a/" + stem + "--1.jpg",
		"a/" + stem + "-+1.jpg", "a/" + stem + "-99999.jpg", "a/" + stem + "-.jpg", "a/" + stem + "-640",
		"a/" + stem + "-640.jpg.png", "a/" + stem + "-640..jpg", "a/" + stem[1:] + "-640.jpg",
		"a/" + strings.Repeat("A", 26) + "-640.jpg", "a/" + strings.Repeat("1", 26) + "-640.jpg",
		"a/..%2f" + stem[5:] + "-640.jpg", "a\\" + stem + "-640.jpg",
		"b/" + stem + "-640.jpg", "a/.." + stem[2:] + "-640.jpg",
		"a/" + stem[:25] + "/-640.jpg", "a/" + strings.Repeat("é", 13) + "-640.jpg", "unfinished/x",
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	large := NewKey(640, ".jpg")
	assert.Regexp(t, `^a/[a-z2-7]{26}-640\.jpg$`, large)
	assert.NotEqual(t, large, NewKey(640, ".jpg"))
	small := Sibling(large, 132)
	assert.Equal(t, strings.Replace(large, "-640", "-132", 1), small)
	assert.Equal(t, large, Sibling(small, 640))
	for _, key := range badKeys() {
		_, ok := parse(key)
		assert.False(t, ok, "%q", key)
		assert.Empty(t, Sibling(key, 640), "%q", key)
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for _, public := range []string{"https://door.example/files", "https://door.example/files/"} {
		base, err := newPublicURL(public)
		require.NoError(t, err)
		assert.Equal(t, "https://door.example/files/", base.Public())
	}
	for _, bad := range []string{
		"", "door.example", "ftp://door.example", "https://", "https://u:p@door.example", "https://h/?q=1", "https://h/#f",
	} {
		_, err := newPublicURL(bad)
		assert.ErrorContains(t, err, "public URL", bad)
	}
}
