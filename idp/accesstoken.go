package idp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/minidoor/minidoor/provider"
)

const opStableToken = "getStableAccessToken"

const (
	// tokenMargin is the rest of its life at which a token is renewed. WeChat has a new one ready 5 minutes before the
	// end, and accepts the old one until then.
	tokenMargin = 4 * time.Minute

	maxTokenSeconds = 7200
	maxTokenBytes   = 2048
)

// tokenCache holds the access token of one mini program. The zero tokenCache is empty; it is safe for concurrent use.
type tokenCache struct {
	mu      sync.Mutex
	token   string
	renewAt time.Time
	refused string // by WeChat, the last time
}

// get returns the token, or "" when it is due.
func (c *tokenCache) get(now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.renewAt) {
		return ""
	}
	return c.token
}

func (c *tokenCache) put(token string, renewAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.renewAt = token, renewAt
}

// isRefused reports whether token is the one that was invalidated last.
func (c *tokenCache) isRefused(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused == token
}

// invalidate drops token, unless another one took its place already.
func (c *tokenCache) invalidate(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = token
	if c.token == token {
		c.token, c.renewAt = "", time.Time{}
	}
}

// callWithToken is call for the APIs that want an access token. A token that WeChat refuses is replaced once.
func (w *WeChat) callWithToken(ctx context.Context, r request, out validator) error {
	for retried := false; ; retried = true {
		token, err := w.accessToken(ctx)
		if err != nil {
			return err
		}
		err = w.call(ctx, r.withToken(token), out)
		if retried || !isTokenRefused(err) {
			return err
		}
		w.tokens.invalidate(token)
	}
}

func isTokenRefused(err error) bool {
	e, ok := errors.AsType[*provider.Error](err)
	return ok && (e.Code == codeStaleToken || e.Code == codeInvalidToken || e.Code == codeExpiredToken)
}

// accessToken returns the cached token, or finds one for all who wait for it.
func (w *WeChat) accessToken(ctx context.Context) (string, error) {
	if token := w.tokens.get(w.now()); token != "" {
		return token, nil
	}
	return shared(ctx, w, opStableToken, "token", w.findToken)
}

// findToken takes the token that another instance has fetched, or fetches one. A refused one is on the shelf until a new
// one takes its place.
func (w *WeChat) findToken(ctx context.Context) (string, error) {
	t, found := w.shelf.get(ctx, w.now())
	if !found || w.tokens.isRefused(t.Token) {
		return w.fetchToken(ctx)
	}
	w.tokens.put(t.Token, t.RenewAt)
	return t.Token, nil
}

// fetchToken asks for the stable token in normal mode: a valid one comes back unchanged, with the seconds that remain,
// so several instances of this server do not take it from each other.
func (w *WeChat) fetchToken(ctx context.Context) (string, error) {
	asked := w.now()
	r := request{
		op:     opStableToken,
		method: http.MethodPost,
		path:   "/cgi-bin/stable_token",
		body: map[string]any{
			"grant_type": "client_credential",
			"appid":      w.appID,
			"secret":     w.secret.Reveal(),
		},
	}
	var t tokenReply
	if err := w.call(ctx, r, &t); err != nil {
		return "", err
	}
	renewAt := asked.Add(renewAfter(time.Duration(t.Seconds) * time.Second))
	w.tokens.put(t.Token, renewAt)
	w.shelf.put(ctx, sharedToken{t.Token, renewAt}, asked)
	return t.Token, nil
}

// Diagnose implements provider.TokenDiagnoser. WeChat answers with the token there is, if it finds no fault.
func (w *WeChat) Diagnose(ctx context.Context) error {
	_, err := shared(ctx, w, opStableToken, "diagnose", w.fetchToken)
	return err
}

// renewAfter returns how long to use a token that lives for life.
func renewAfter(life time.Duration) time.Duration {
	if life > tokenMargin {
		return life - tokenMargin
	}
	return life / 2
}

// tokenReply is WeChat's answer to a request for one.
type tokenReply struct {
	Token   string `json:"access_token"`
	Seconds number `json:"expires_in"`
}

// valid implements validator.
func (t *tokenReply) valid() bool {
	return t.Token != "" && len(t.Token) <= maxTokenBytes && t.Seconds > 0 && t.Seconds <= maxTokenSeconds
}
