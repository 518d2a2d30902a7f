package object

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

// oneUser is a platform on which everybody is the same user, and which answers about their session when it is let.
type oneUser struct {
	unionID string
	asked   atomic.Int32
	release chan struct{}
}

func (*oneUser) Type() string { return "Test" }

func (u *oneUser) Exchange(context.Context, string) (provider.Session, error) {
	return provider.Session{OpenID: "oMe", UnionID: u.unionID, SessionKey: "key"}, nil
}

func (u *oneUser) CheckSession(context.Context, string, provider.Secret) error {
	u.asked.Add(1)
	<-u.release
	return nil
}

// reads counts the reads of a store.
type reads struct{ atomic.Int32 }

func (r *reads) Read(time.Duration, error) { r.Add(1) }

func (*reads) Written(time.Duration, error) {}

// However many ask about a session at the same time, the platform is asked once.
func TestSessionIsCheckedOnceForAll(t *testing.T) {
	t.Parallel()
	platform := &oneUser{release: make(chan struct{})}
	a, p := signInAt(t, platform)
	var looked reads
	a.tables.observer = &looked
	var asking sync.WaitGroup
	check := func() {
		state, err := a.CheckSession(t.Context(), p, "")
		assert.NoError(t, err)
		assert.True(t, state.Valid)
		assert.Equal(t, "wx", state.AppID)
	}
	const users = 20
	for range users {
		asking.Go(check)
	}
	require.Eventually(t, func() bool { return looked.Load() >= users && platform.asked.Load() > 0 }, 10*time.Second,
		time.Millisecond)
	close(platform.release)
	asking.Wait()
	check()
	assert.EqualValues(t, 1, platform.asked.Load())
}

// signInAt returns a server whose mini program is of that platform, and a user who has signed in with it.
func signInAt(t *testing.T, platform provider.Provider) (*Authority, *Principal) {
	t.Helper()
	store := openStore(t)
	text, err := json.Marshal(map[string][]map[string]any{
		"providers": {{
			"owner": adminOwner, "name": "wx", "category": "OAuth", "type": "Test", "clientId": "wx", "clientSecret": "secret",
		}},
		"applications": {{
			"owner": adminOwner, "name": "app", "organization": builtInName, "cert": builtInCert, "clientId": "app",
			"enableSignUp": true, "providers": []map[string]any{{"name": "wx", "canSignUp": true, "canSignIn": true}},
		}},
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "init_data.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	require.NoError(t, store.ApplyInitData(t.Context(), file, false))
	registry, err := provider.NewRegistry(provider.Platform{
		Type: "Test", Tag: "test", Prefix: "wechat",
		New: func(provider.Config) (provider.Provider, error) { return platform, nil },
	})
	require.NoError(t, err)
	a, err := NewAuthority(store, ServiceConfig{Registry: registry, Sealer: newTestSealer(t, 1)})
	require.NoError(t, err)
	client, err := a.Client(t.Context(), "app")
	require.NoError(t, err)
	token, err := a.SignIn(t.Context(), SignInRequest{Client: client, Tag: "test", Code: "code"})
	require.NoError(t, err)
	p, err := a.Authenticate(t.Context(), token.AccessToken)
	require.NoError(t, err)
	return a, p
}
