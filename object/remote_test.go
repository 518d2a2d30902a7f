package object

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

func TestRemoteName(t *testing.T) {
	t.Parallel()
	for openID, want := range map[string]string{
		"oA1":      "wechat-oA1",
		"oA-b_C-d": "wechat-oA-b_C-d",
		"oA--b":    "wechat-x6f412d2d62",
		"oA_-b":    "wechat-x6f415f2d62",
		"oA-":      "wechat-x6f412d",
		"-oA":      "wechat-x2d6f41",
		"_":        "wechat-x5f",
	} {
		assert.Equal(t, want, remoteName("wechat", openID), openID)
	}
}

func TestRemoteID(t *testing.T) {
	t.Parallel()
	const fixed = "5b2ffe48-ec7a-8eb5-a20f-e082b521d020" // users who exist would not be known any more by another
	assert.Equal(t, fixed, remoteID("shop", "wechat-oA1"))
	assert.NotEqual(t, fixed, remoteID("shop", "wechat-oA2"))
	assert.NotEqual(t, fixed, remoteID("else", "wechat-oA1"))
}

// A gateway adopts whom the remote way has made: Casdoor notes that an administrator has added them.
func TestRemoteUsersAreNotDoubted(t *testing.T) {
	t.Parallel()
	for _, openID := range []string{"oA1", "oA--b"} {
		name := remoteName("wechat", openID)
		made := claimant{
			owner: "shop", name: name, id: remoteID("shop", name), column: openID, openID: openID, registered: "Add User",
		}
		_, reason := made.doubted()
		assert.Empty(t, reason)
		other, another, edited := made, made, made
		other.id, another.openID, another.column, edited.column = remoteID("shop", "wechat-oA2"), "oA2", "oA2", "oA2"
		for _, c := range []claimant{other, another, edited} {
			_, reason := c.doubted()
			assert.NotEmpty(t, reason)
		}
	}
}

func TestCamelCase(t *testing.T) {
	t.Parallel()
	user, err := json.Marshal(sdk.User{})
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(user, &fields))
	for _, f := range profileFields() {
		assert.Contains(t, fields, camelCase(f.column))
		assert.Equal(t, f.json, camelCase(f.column))
	}
}

// callAt makes one call of the SDK's with its own credentials, path and time-out.
func callAt(t *testing.T, endpoint string, timeout time.Duration) (*sdk.Response, error) {
	t.Helper()
	c := newCasdoor(RemoteConfig{Endpoint: endpoint, ClientID: "id", ClientSecret: "s3cret", Timeout: timeout})
	return call(t.Context(), c, "health", func(c *sdk.Client) (*sdk.Response, error) {
		return c.DoGetResponse(c.GetUrl("health", nil))
	})
}

func TestCallErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   string // problem
	}{
		"refused":      {200, `{"status":"error","msg":"s3cret SQL"}`, refused},
		"unauthorized": {200, `{"status":"error","msg":"Unauthorized operation"}`, unauthorized},
		"403":          {403, `{"status":"error","msg":"Unauthorized operation"}`, unauthorized},
		"500":          {500, `{"status":"ok"}`, badStatus},
		"302":          {302, `{"status":"ok"}`, badStatus},
		"no JSON":      {200, `s3cret`, badAnswer},
		"other JSON":   {200, `["s3cret"]`, badAnswer},
		"too large":    {200, `{"status":"ok","msg":"` + strings.Repeat("x", maxAnswer) + `"}`, badAnswer},
		"too short":    {200, ``, badAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Empty(t, r.Header.Values(callHeader), "it is none of Casdoor's business")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body) // the client may have left
			}))
			defer server.Close()
			_, err := callAt(t, server.URL, 0)
			require.EqualError(t, err, "health: "+c.want)
			assert.True(t, IsUnavailable(err))
		})
	}
}

func TestCallEndsInTime(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	_, err := callAt(t, server.URL, 50*time.Millisecond)
	require.EqualError(t, err, "health: "+noAnswer)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := newCasdoor(RemoteConfig{Endpoint: server.URL})
	full := newCasdoor(RemoteConfig{Endpoint: server.URL, Timeout: 50 * time.Millisecond})
	for range maxCalls {
		full.slots <- struct{}{}
	}
	for _, err := range []error{
		func() error { _, err := call(ctx, c, "get-certs", (*sdk.Client).GetCerts); return err }(),
		func() error { _, err := call(t.Context(), full, "get-certs", (*sdk.Client).GetCerts); return err }(),
	} {
		assert.EqualError(t, err, "get-certs: "+noAnswer)
	}
	assert.Empty(t, c.slots, "given back")
}

// Others in the process use the SDK as if we were not there.
func TestSDKOfOthers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _, _ := r.BasicAuth()
		assert.Equal(t, "theirs", id)
		_, _ = io.WriteString(w, `{"status":"error","msg":"their error"}`) // the client may have left
	}))
	defer server.Close()
	theirs := sdk.NewClient(server.URL, "theirs", "x", "", "org", "app")
	_, err := theirs.GetUser("a")
	require.EqualError(t, err, "their error")
}

func TestGuarded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		item sdk.AccountItem
		want bool
	}{
		"default":   {sdk.AccountItem{Name: "ID", ViewRule: "Admin", ModifyRule: "Admin"}, true},
		"hidden":    {sdk.AccountItem{Name: "ID", ViewRule: "Admin", ModifyRule: "Self"}, true},
		"shown":     {sdk.AccountItem{Name: "ID", ViewRule: "Self", ModifyRule: "Admin"}, true},
		"immutable": {sdk.AccountItem{Name: "ID", ViewRule: "Public", ModifyRule: "Immutable"}, true},
		"open":      {sdk.AccountItem{Name: "ID", ViewRule: "Self", ModifyRule: "Self"}, false},
		"missing":   {sdk.AccountItem{Name: "Name", ViewRule: "Admin", ModifyRule: "Admin"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := guarded(&sdk.Organization{Name: "shop", AccountItems: []*sdk.AccountItem{&c.item}})
			assert.Equal(t, c.want, err == nil, err)
		})
	}
}

func TestMiniProgramsOfSharedApplication(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := &sdk.Application{Owner: "admin", Name: "own", Organization: "shop", ClientId: "own", ClientSecret: "s"}
		shared := &sdk.Application{Owner: "admin", Name: "all", Organization: "built-in", ClientId: "all", IsShared: true}
		odd := &sdk.Application{Owner: "admin", Name: "odd", Organization: "shop", ClientId: "own-org-mini"}
		asked := shared
		if r.URL.Query().Get("id") == "admin/odd" {
			asked = odd
		}
		answers := map[string]any{
			"/api/get-applications": []*sdk.Application{own, shared, odd},
			"/api/get-application":  asked,
			"/api/get-organization": &sdk.Organization{
				Name: "shop", AccountItems: []*sdk.AccountItem{{Name: "ID", ModifyRule: "Admin"}},
			},
			"/api/get-certs": []*sdk.Cert{},
		}
		assert.NoError(t, json.NewEncoder(w).Encode(sdk.Response{Status: "ok", Data: answers[r.URL.Path]}))
	}))
	defer server.Close()
	registry, err := provider.NewRegistry()
	require.NoError(t, err)
	s, err := NewRemoteService(t.Context(), RemoteConfig{
		Endpoint: server.URL, ClientID: "own", ClientSecret: "s",
		AppSecrets: map[string]provider.Secret{"wx2": "b", "wx1": "a"},
	}, ServiceConfig{Registry: registry})
	require.NoError(t, err)
	c, err := s.Client(t.Context(), "all-org-shop")
	require.NoError(t, err)
	assert.Equal(t, "shop", c.Organization.Name)
	assert.Equal(t, "all-org-shop", c.ID())
	require.ErrorContains(t, c.keyErr, `cert "cert-built-in" does not exist`)
	require.Len(t, c.miniPrograms, 2)
	assert.Equal(t, "wx1", c.miniPrograms[0].row.ClientId)
	assert.True(t, c.miniPrograms[0].item.CanSignIn && c.miniPrograms[0].item.CanSignUp)
	c, err = s.Client(t.Context(), "own-org-mini")
	require.NoError(t, err, "a name that only looks like that of a shared one")
	assert.Equal(t, "odd", c.Application.Name)
	for _, clientID := range []string{"all", "all-org-else", "own-org-shop", "", "nope"} {
		_, err := s.Client(t.Context(), clientID)
		refusal, ok := errors.AsType[*Refusal](err)
		require.True(t, ok, clientID)
		assert.Equal(t, InvalidClient, refusal.Code)
	}
}
