package idp

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/minidoor/minidoor/provider"
)

const (
	// storeTimeout bounds what a slow or dead store can add to a call: it is asked when a token is due, and told when
	// there is a new one.
	storeTimeout = 200 * time.Millisecond

	storeWarning = time.Minute // between two warnings
	tokenKeyInfo = "minidoor access token"
)

// TokenStore keeps one value for each AppID, where several instances of the server find it. It is safe for concurrent
// use, heeds the context, and never sees an access token in clear.
type TokenStore interface {
	// Get returns the value of appID, or "" when there is none.
	Get(ctx context.Context, appID string) (string, error)

	// Set replaces the value of appID, which ends by itself after life.
	Set(ctx context.Context, appID, value string, life time.Duration) error
}

// tokenShelf is one mini program's place in a TokenStore. Without a store it is always empty; one that fails is as good
// as none.
//
// It takes no lock. Instances that find it empty at the same time fetch at the same time, and WeChat's normal mode
// gives all of them one token, so that it does not matter who writes last. Where WeChat changes tokens between two of
// them the old one may win; it is good for some more minutes, and is written with no longer life than that.
type tokenShelf struct {
	store  TokenStore
	appID  string
	aead   cipher.AEAD
	logger *slog.Logger

	mu     sync.Mutex
	warned time.Time
}

// sharedToken is what lies in the store, sealed.
type sharedToken struct {
	Token   string    `json:"token"`
	RenewAt time.Time `json:"renewAt"`
}

// newTokenShelf seals with a key of the AppSecret, which all instances have and the store has not. With a new AppSecret
// what was sealed before does not open: a token that WeChat has made invalid by then.
func newTokenShelf(store TokenStore, c provider.Config, logger *slog.Logger) *tokenShelf {
	s := &tokenShelf{store: store, appID: c.ClientID, logger: logger}
	if store != nil {
		s.aead = newTokenAEAD(c.ClientSecret)
	}
	return s
}

func newTokenAEAD(secret provider.Secret) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, []byte(secret.Reveal()), nil, tokenKeyInfo, 32)
	if err != nil {
		panic(err) // 32 bytes can always be had
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // as above
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size of GCM
	}
	return aead
}

// get returns a token that is not due.
func (s *tokenShelf) get(ctx context.Context, now time.Time) (sharedToken, bool) {
	if s.store == nil {
		return sharedToken{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	value, err := s.store.Get(ctx, s.appID)
	if err != nil {
		s.warn("get", err)
		return sharedToken{}, false
	}
	t, ok := s.open(value)
	return t, ok && now.Before(t.RenewAt)
}

// put keeps t for as long as it is to be used.
func (s *tokenShelf) put(ctx context.Context, t sharedToken, now time.Time) {
	if s.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := s.store.Set(ctx, s.appID, s.seal(t), t.RenewAt.Sub(now)); err != nil {
		s.warn("set", err)
	}
}

// seal binds t to the AppID, so that a value under another one's name does not open.
func (s *tokenShelf) seal(t sharedToken) string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // a string and a time of this century
	}
	return string(s.aead.Seal(nil, nil, text, []byte(s.appID)))
}

func (s *tokenShelf) open(value string) (t sharedToken, ok bool) {
	text, err := s.aead.Open(nil, nil, []byte(value), []byte(s.appID))
	return t, err == nil && json.Unmarshal(text, &t) == nil && t.Token != ""
}

// warn logs at most once a minute; the real one, whatever the clock of the tokens says.
func (s *tokenShelf) warn(op string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.warned) >= storeWarning {
		s.warned = now
		s.logger.Warn("access tokens are not shared", "op", op, "error", err)
	}
}
