package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/minidoor/minidoor/test/harness"
)

// killLoad is what servers that were killed have acknowledged.
type killLoad struct {
	c      *child      // the server that runs
	killed atomic.Bool // or about to be
	cancel context.CancelFunc

	mu       sync.Mutex
	held     map[string]string // access tokens that must be good, by user name
	ended    map[string]string // those that must not be
	fresh    map[string]bool   // those of this round
	profiles [updating]profileState
	families [refreshing]familyState
	wrong    []error // failures before the kill

	signIns, newUsers, updates, refreshes, logouts, visitors atomic.Int64
}

func newKillLoad() *killLoad {
	return &killLoad{held: map[string]string{}, ended: map[string]string{}, fresh: map[string]bool{}}
}

// profileState is where the counter in a display name is: at acknowledged or, as an update that was not answered may
// have been done, up to sent.
type profileState struct {
	token              string
	acknowledged, sent int
}

// familyState is the last pair of tokens that a chain of refreshes has led to.
type familyState struct {
	tokens     harness.Tokens
	unanswered bool
}

// prepare signs in those who need a token to begin with.
func (l *killLoad) prepare(t *testing.T) {
	t.Helper()
	for i := range l.profiles {
		openID := fmt.Sprintf("oProfile%d", i)
		l.profiles[i].token = l.c.SignIn(t, openID).AccessToken
		l.hold(l.profiles[i].token, openID)
	}
	for i := range l.families {
		if f := &l.families[i]; f.unanswered || f.tokens.AccessToken == "" {
			*f = familyState{tokens: l.c.SignIn(t, fmt.Sprintf("oFamily%d", i))}
		}
	}
}

func (l *killLoad) hold(token, openID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[token], l.fresh[token] = "wechat-"+openID, true
}

func (l *killLoad) end(token, openID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, token)
	l.ended[token], l.fresh[token] = "wechat-"+openID, true
}

func (l *killLoad) signInAgain(ctx context.Context, _ int) error {
	_, err := l.signIn(ctx, fmt.Sprintf("oKill%d", rand.IntN(people)))
	return err
}

func (l *killLoad) signInNew(ctx context.Context, _ int) error {
	_, err := l.signIn(ctx, fmt.Sprintf("oFirst%d", l.visitors.Add(1)))
	return err
}

func (l *killLoad) signIn(ctx context.Context, openID string) (harness.Tokens, error) {
	tokens, err := l.tokens(ctx, harness.PathToken, harness.SignInForm(l.c.NewCode(openID)))
	if err == nil {
		l.hold(tokens.AccessToken, openID)
		l.signIns.Add(1)
		if *tokens.NewUser {
			l.newUsers.Add(1)
		}
	}
	return tokens, err
}

func (l *killLoad) tokens(ctx context.Context, path string, form url.Values) (tokens harness.Tokens, err error) {
	reply, err := l.c.try(ctx, path, "", form)
	if err == nil && (json.Unmarshal([]byte(reply), &tokens) != nil || tokens.AccessToken == "") {
		err = errors.New(reply)
	}
	return tokens, err
}

func (l *killLoad) refresh(ctx context.Context, worker int) error {
	f := &l.families[worker]
	f.unanswered = true
	next, err := l.tokens(ctx, harness.PathRefresh, refreshForm(f.tokens.RefreshToken))
	if err != nil {
		return err
	}
	l.end(f.tokens.AccessToken, fmt.Sprintf("oFamily%d", worker))
	f.tokens, f.unanswered = next, false
	l.refreshes.Add(1)
	return nil
}

func (l *killLoad) update(ctx context.Context, worker int) error {
	p := &l.profiles[worker]
	p.sent++
	reply, err := l.c.try(ctx, harness.PathProfile, p.token, url.Values{"nickName": {strconv.Itoa(p.sent)}})
	if err == nil && !strings.Contains(reply, fmt.Sprintf(`"displayName":"%d"`, p.sent)) {
		err = errors.New(reply)
	}
	if err == nil {
		p.acknowledged = p.sent
		l.updates.Add(1)
	}
	return err
}

// logOut signs in and out. Whether a token is good whose logout was not answered is not known.
func (l *killLoad) logOut(ctx context.Context, worker int) error {
	openID := fmt.Sprintf("oLeaving%d", worker)
	tokens, err := l.signIn(ctx, openID)
	if err != nil {
		return err
	}
	l.mu.Lock()
	delete(l.held, tokens.AccessToken)
	l.mu.Unlock()
	reply, err := l.c.try(ctx, "/api/logout", tokens.AccessToken, nil)
	if err == nil && !strings.Contains(reply, `"status":"ok"`) {
		err = errors.New(reply)
	}
	if err == nil {
		l.end(tokens.AccessToken, openID)
		l.logouts.Add(1)
	}
	return err
}
