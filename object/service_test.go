package object

import (
	"context"
	"fmt"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

// rememberingProvider is a provider that remembers what it was made of.
type rememberingProvider struct{ config provider.Config }

func (*rememberingProvider) Type() string { return "Made" }

func (*rememberingProvider) Exchange(context.Context, string) (provider.Session, error) {
	return provider.Session{}, nil
}

// A provider is kept while its settings stay, and those that came and went are not kept for ever.
func TestProvidersAreKept(t *testing.T) {
	t.Parallel()
	s := newTestService(t, openStore(t), ServiceConfig{})
	platform := provider.Platform{Type: "Made", New: func(c provider.Config) (provider.Provider, error) {
		return &rememberingProvider{c}, nil
	}}
	get := func(name, appSecret string) provider.Provider {
		t.Helper()
		p, err := s.providerOf(miniProgram{row: &sdk.Provider{Owner: "shop", Name: name, ClientSecret: appSecret}}, platform)
		require.NoError(t, err)
		assert.Equal(t, provider.Secret(appSecret), p.(*rememberingProvider).config.ClientSecret)
		return p
	}
	first := get("mp", "one")
	for i := range 2 * maxProviders {
		get(fmt.Sprintf("mp%d", i), "x")
		assert.Same(t, first, get("mp", "one"), "what is used stays")
	}
	assert.NotSame(t, first, get("mp", "two"), "the settings have changed")
	assert.Equal(t, maxProviders, s.providers.Len())
}
