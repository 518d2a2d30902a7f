package provider

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func platform(typ, tag string) Platform {
	return Platform{Type: typ, Tag: tag, New: func(Config) (Provider, error) { return nil, nil }}
}

func TestNewRegistryRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		platforms []Platform
		want      string
	}{
		"no type":        {[]Platform{platform("", "a")}, `platform "": type, tag and factory are required`},
		"no tag":         {[]Platform{platform("A", "")}, `platform "A": type, tag and factory are required`},
		"no factory":     {[]Platform{{Type: "A", Tag: "a"}}, `platform "A": type, tag and factory are required`},
		"duplicate type": {[]Platform{platform("A", "a"), platform("A", "b")}, `platform "A": type is registered twice`},
		"duplicate tag":  {[]Platform{platform("A", "a"), platform("B", "a")}, `platform "B": tag "a" is registered twice`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := NewRegistry(c.platforms...)
			require.EqualError(t, err, c.want)
			assert.Nil(t, r)
		})
	}
}

func TestRegistryFinds(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(platform("A", "a"), platform("B", "b"))
	require.NoError(t, err)

	p, found := r.ByType("B")
	require.True(t, found)
	assert.Equal(t, "b", p.Tag)
	p, found = r.ByTag("a")
	require.True(t, found)
	assert.Equal(t, "A", p.Type)

	_, found = r.ByType("b")
	assert.False(t, found, "types and tags are told apart by case")
	_, found = r.ByTag("")
	assert.False(t, found)
}

func TestEmptyRegistry(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry()
	require.NoError(t, err)
	_, found := r.ByTag("a")
	assert.False(t, found)
	assert.False(t, r.IsPlaceholderNickname("x"))
	assert.False(t, r.IsPlaceholderAvatar("x"))
}

func TestRegistryPlaceholders(t *testing.T) {
	t.Parallel()
	a, b := platform("A", "a"), platform("B", "b")
	b.PlaceholderNickname = func(name string) bool { return name == "user" }
	b.PlaceholderAvatar = func(url string) bool { return url == "grey" }
	r, err := NewRegistry(a, b)
	require.NoError(t, err)
	assert.True(t, r.IsPlaceholderNickname("user"))
	assert.False(t, r.IsPlaceholderNickname("grey"))
	assert.True(t, r.IsPlaceholderAvatar("grey"))
	assert.False(t, r.IsPlaceholderAvatar("user"))
}
