package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// signIns is a load of people who sign in, and what was acknowledged to them.
type signIns struct {
	at *child

	mu     sync.Mutex
	tokens map[string]string // access token → user name
	failed []error
}

func newSignIns(at *child) *signIns { return &signIns{at: at, tokens: map[string]string{}} }

// during signs people in, eight at a time, while action runs, and for some while before and after.
func (l *signIns) during(t *testing.T, action func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	for worker := range 8 {
		workers.Go(func() {
			for i := worker; ctx.Err() == nil; i++ {
				l.signIn(fmt.Sprintf("oLoad%d", i%people))
			}
		})
	}
	l.waitForMore(t)
	action()
	l.waitForMore(t)
}

func (l *signIns) signIn(openID string) {
	// Not with a context: one that is cut off proves nothing.
	reply, err := l.at.try(context.Background(), harness.PathToken, "", harness.SignInForm(l.at.NewCode(openID)))
	var tokens harness.Tokens
	if err == nil && (json.Unmarshal([]byte(reply), &tokens) != nil || tokens.AccessToken == "") {
		err = errors.New(reply)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, err)
		return
	}
	l.tokens[tokens.AccessToken] = "wechat-" + openID
}

// acknowledged returns the tokens so far, by user name.
func (l *signIns) acknowledged() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.tokens)
}

// waitForMore waits until some more people have signed in.
func (l *signIns) waitForMore(t *testing.T) {
	t.Helper()
	enough := len(l.acknowledged()) + 60
	require.Eventually(t, func() bool { return len(l.acknowledged()) >= enough }, time.Minute, 5*time.Millisecond)
}

// holdsAll requires that the server takes all tokens, each for its user.
func (c *child) holdsAll(t *testing.T, tokens map[string]string) {
	t.Helper()
	for token, want := range tokens {
		name, ok := c.holds(t, token)
		require.True(t, ok, "a token of %s is lost", want)
		require.Equal(t, want, name)
	}
}
