package object

import (
	"context"
	"sync"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	lru "github.com/hashicorp/golang-lru/v2"
)

// settingsTTL is how long a change that another instance makes to an application, organization, provider or cert may
// stay unseen here.
const settingsTTL = 3 * time.Second

// maxRights bounds the organizations whose roles and permissions are kept: a role may have a hundred thousand users.
const maxRights = 256

// settings keeps what sign-ins need of the tables that only admins change: reading it costs more than a sign-in may.
type settings struct {
	*cache

	directory directory
	rights    *lru.Cache[string, *rights] // of organizations, as they were last read

	mu      sync.Mutex
	renewed time.Time // when the keys were read anew for a token
}

func newSettings(d directory, now func() time.Time) *settings {
	return &settings{cache: newCache(now, settingsTTL), directory: d, rights: newLRU[string, *rights](maxRights)}
}

// client returns the application with that client id, which for a shared application may end in the organization, or
// ErrNotFound.
func (s *settings) client(ctx context.Context, clientID string) (*Client, error) {
	return load(ctx, s.cache, "client/"+clientID, func(ctx context.Context) (*Client, error) {
		return s.directory.client(ctx, clientID)
	})
}

// keys returns the keys that tokens are signed with.
func (s *settings) keys(ctx context.Context) (*keySet, error) {
	return load(ctx, s.cache, "keys", s.directory.keys)
}

// keysRenewal is the least time between two reads of the keys for tokens: strangers can send any token.
const keysRenewal = time.Second

// newKeys is keys for a token that the known ones do not verify: it may be signed with one that has just been made,
// here or on another instance.
func (s *settings) newKeys(ctx context.Context) (*keySet, error) {
	s.mu.Lock()
	if now := s.now(); now.Sub(s.renewed) >= keysRenewal {
		s.renewed = now
		s.known.Remove("keys")
	}
	s.mu.Unlock()
	return s.keys(ctx)
}

// organization returns an organization, or ErrNotFound.
func (s *settings) organization(ctx context.Context, name string) (*sdk.Organization, error) {
	return load(ctx, s.cache, "organization/"+name, func(ctx context.Context) (*sdk.Organization, error) {
		row, err := s.directory.organization(ctx, name)
		if err == nil && row.Name != name {
			return nil, ErrNotFound // the database may take another case, or blanks at the end, for the same
		}
		return row, err
	})
}
