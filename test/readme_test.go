package test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/conf"
)

func readReadme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	return string(text)
}

// The first command runs the demo, and the second the tests, as CI does.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)\n```").FindAllStringSubmatch(readReadme(t), 2)
	require.Len(t, blocks, 2)
	assert.Equal(t, "go run . -demo", blocks[0][1])
	ci, err := os.ReadFile("../.ci/run")
	require.NoError(t, err)
	assert.Contains(t, string(ci), "\n"+strings.Replace(blocks[1][1], " ./...", " -race ./...", 1)+"\n")
}

// Whoever looks for a key or a metric finds it by its whole name.
func TestReadmeNamesKeysAndMetrics(t *testing.T) {
	t.Parallel()
	readme := readReadme(t)
	for field := range reflect.TypeFor[conf.Config]().Fields() {
		if key := field.Tag.Get("conf"); key != "" {
			assert.True(t, strings.Contains(readme, "`"+key+"`"), key)
		}
	}
	known := metricLabels(t)
	for name := range known {
		if strings.HasPrefix(name, "minidoor_") {
			assert.True(t, strings.Contains(readme, "`"+name+"`"), name)
		}
	}
	for _, name := range regexp.MustCompile("`(minidoor_\\w+_(?:total|seconds|up|info))`").FindAllStringSubmatch(readme, -1) {
		assert.Contains(t, known, name[1])
	}
}

// Each test that is named, whole or by how its name begins, is there.
func TestReadmeNamesTests(t *testing.T) {
	t.Parallel()
	var sources bytes.Buffer
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		sources.Write(text)
		return err
	}))
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(readReadme(t), -1)
	assert.NotEmpty(t, named)
	for _, name := range named {
		assert.True(t, bytes.Contains(sources.Bytes(), []byte("\nfunc "+name)), name)
	}
}

// Each link within the README, and to a file beside it, leads somewhere.
func TestReadmeLinks(t *testing.T) {
	t.Parallel()
	readme := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(readReadme(t), "")
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(readme, -1) {
		plain := regexp.MustCompile(`[^\p{L}\d\- ]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors[strings.ReplaceAll(plain, " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)|src="([^"]+)"`).FindAllStringSubmatch(readme, -1)
	assert.NotEmpty(t, links)
	for _, link := range links {
		file, anchor, _ := strings.Cut(link[1]+link[2], "#")
		switch {
		case strings.HasPrefix(file, "https://"):
		case file == "":
			assert.True(t, anchors[anchor], anchor)
		default:
			_, err := os.Stat(filepath.Join("..", file))
			assert.NoError(t, err)
		}
	}
}
