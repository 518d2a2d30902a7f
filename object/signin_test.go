package object

import (
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

// A sign-in goes to a mini program of the type that its tag stands for, of which an application may have several.
func TestChooseMiniProgram(t *testing.T) {
	t.Parallel()
	platform := func(name string) provider.Platform {
		return provider.Platform{Type: name, Tag: name, Prefix: name,
			New: func(provider.Config) (provider.Provider, error) { return phones{}, nil }}
	}
	registry, err := provider.NewRegistry(platform("One"), platform("Two"), platform("Three"))
	require.NoError(t, err)
	s := newService(&elsewhere{}, ServiceConfig{Registry: registry}.withDefaults())
	program := func(platform, appID string, canSignIn bool) miniProgram {
		return miniProgram{
			item: &sdk.ProviderItem{CanSignIn: canSignIn}, row: &sdk.Provider{Type: platform, ClientId: appID},
		}
	}
	client := &Client{Application: &sdk.Application{}, Organization: &sdk.Organization{}, miniPrograms: []miniProgram{
		program("One", "one", true), program("Two", "first", true), program("Two", "second", true),
		program("Two", "closed", false),
	}}
	for _, c := range []struct {
		tag, appID, want string
		refused          ErrorCode
	}{
		{tag: "Two", want: "first"},
		{tag: "Two", appID: "second", want: "second"},
		{tag: "Two", appID: "closed", refused: AccessDenied},
		{tag: "Two", appID: "one", refused: InvalidRequest},
		{tag: "Three", refused: UnauthorizedClient},
		{tag: "Four", refused: InvalidRequest},
	} {
		p := &person{request: SignInRequest{Client: client, Tag: c.tag, AppID: c.appID}}
		err := s.choose(p)
		if c.refused != "" {
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal, c)
			assert.Equal(t, c.refused, refusal.Code, c)
			continue
		}
		require.NoError(t, err, c)
		assert.Equal(t, c.want, p.program.row.ClientId, c)
	}
}
