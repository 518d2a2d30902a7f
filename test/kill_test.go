package test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/testdb"
)

var killRounds = flag.Int("kill", 2, "how often TestProcess/databases/SIGKILL kills the server on each database")

// testKill kills the server while it is under load, over and over, and holds it to every answer that it gave.
func testKill(t *testing.T, binary string) {
	testdb.Each(t, func(t *testing.T, store object.StoreConfig) {
		w := newWorld(t, binary, store)
		load := newKillLoad()
		for round := range *killRounds {
			load.run(t, w.start(t))
			load.check(t, w.start(t), round+1 == *killRounds)
			checkIdentities(t, store)
		}
		t.Logf("%d rounds: %d sign-ins, %d of them the first, %d refreshes, %d updates, %d logouts were acknowledged",
			*killRounds, load.signIns.Load(), load.newUsers.Load(), load.refreshes.Load(), load.updates.Load(), load.logouts.Load())
	})
}

// How many do what at once.
const (
	returning  = 4
	coming     = 3
	updating   = 3 // each a profile of its own
	refreshing = 3 // each the tokens of an own sign-in
	leaving    = 2
	people     = 40 // who sign in again and again: often enough two at once for the first time
)

// run puts c under load and kills it at a random moment.
func (l *killLoad) run(t *testing.T, c *child) {
	t.Helper()
	l.c = c
	l.killed.Store(false)
	l.prepare(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.cancel = cancel
	acknowledged := make(chan struct{})
	var workers sync.WaitGroup
	start := func(count int, action func(ctx context.Context, worker int) error) {
		for worker := range count {
			workers.Go(func() { l.work(ctx, acknowledged, func() error { return action(ctx, worker) }) })
		}
	}
	start(returning, l.signInAgain)
	start(coming, l.signInNew)
	start(updating, l.update)
	start(refreshing, l.refresh)
	start(leaving, l.logOut)
	for range 1 + rand.IntN(400) {
		select {
		case <-acknowledged:
		case <-ctx.Done():
		}
	}
	wait := time.After(rand.N(20 * time.Millisecond)) // so that it is not always right behind an answer
	for waiting := true; waiting; {
		select {
		case <-acknowledged:
		case <-wait:
			waiting = false
		}
	}
	l.killed.Store(true)
	c.process.Kill()
	cancel()
	workers.Wait()
	require.Empty(t, l.wrong)
}

// work repeats an action until the server is killed. An action that fails before ends the load.
func (l *killLoad) work(ctx context.Context, acknowledged chan<- struct{}, action func() error) {
	for {
		if err := action(); err != nil {
			if !l.killed.Load() {
				l.fail(err)
			}
			return
		}
		select {
		case acknowledged <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

func (l *killLoad) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, err)
	l.cancel()
}

// check looks for everything that was acknowledged: of what earlier rounds have seen already at a part, unless all is
// asked for.
func (l *killLoad) check(t *testing.T, c *child, all bool) {
	t.Helper()
	const part = 100
	l.c = c
	held, ended := l.held, l.ended
	if !all {
		held, ended = sampleOf(held, l.fresh, part), sampleOf(ended, l.fresh, part)
	}
	c.holdsAll(t, held)
	for token, name := range ended {
		_, ok := c.holds(t, token)
		require.False(t, ok, "an ended token of %s lives again", name)
	}
	clear(l.fresh)
	for i := range l.profiles {
		l.profiles[i].check(t, c)
	}
	for i := range l.families {
		l.families[i].check(t, c)
	}
	t.Logf("%d tokens are there, %d are not", len(held), len(ended))
	c.stop(t)
}

// sampleOf returns the entries that are fresh, and some others.
func sampleOf(all map[string]string, fresh map[string]bool, others int) map[string]string {
	sample := map[string]string{}
	for key, value := range all {
		if fresh[key] {
			sample[key] = value
		} else if others > 0 {
			sample[key] = value
			others--
		}
	}
	return sample
}

func (p *profileState) check(t *testing.T, c *child) {
	t.Helper()
	text, _ := c.Account(t, p.token)["displayName"].(string)
	stored := 0
	if text != "" {
		_, err := fmt.Sscan(text, &stored)
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, stored, p.acknowledged, "an acknowledged update is lost")
	require.LessOrEqual(t, stored, p.sent)
	p.acknowledged, p.sent = stored, stored
}

// check refreshes once more. A refresh that was not answered may have been done or not: nothing is known of its family.
func (f *familyState) check(t *testing.T, c *child) {
	t.Helper()
	if f.unanswered {
		return
	}
	_, ok := c.holds(t, f.tokens.AccessToken)
	require.True(t, ok, "the access token of an acknowledged refresh is lost")
	f.tokens = c.refresh(t, f.tokens.RefreshToken).Tokens(t)
	_, ok = c.holds(t, f.tokens.AccessToken)
	require.True(t, ok)
}
