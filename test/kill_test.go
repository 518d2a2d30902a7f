package test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// killRounds is how often the server is killed: KILL_ROUNDS, or a few times.
func killRounds(t *testing.T, kind string) int {
	t.Helper()
	if text := os.Getenv("KILL_ROUNDS"); text != "" {
		rounds, err := strconv.Atoi(text)
		require.NoError(t, err, "KILL_ROUNDS")
		return rounds
	}
	if kind == "sqlite" {
		return 3
	}
	return 1
}

// testKill kills the server while it is under load, over and over, and holds it to every answer that it gave.
func testKill(t *testing.T, binary string) {
	testdb.Each(t, func(t *testing.T, store object.StoreConfig) {
		w := newWorld(t, binary, store)
		load := &killLoad{tokens: map[string]string{}}
		for range killRounds(t, store.DriverName) {
			c := w.start(t)
			load.run(t, c)
			load.check(t, w.start(t))
			checkIdentities(t, store)
		}
	})
}

const (
	signingIn = 8  // workers
	updating  = 4  // workers, each of whom changes a profile of its own
	people    = 40 // who sign in: often enough two at once for the first time
)

// killLoad is what the server has acknowledged, in all rounds.
type killLoad struct {
	killed   atomic.Bool // or about to be
	mu       sync.Mutex
	tokens   map[string]string // access token → user name
	profiles [updating]profileState
	wrong    []error // failures before the kill
	cancel   context.CancelFunc
}

// profileState is where the counter in a display name is: at acknowledged or, as an update that was not answered may
// have been done, up to sent.
type profileState struct {
	token              string
	acknowledged, sent int
}

// run puts c under load and kills it at a random moment.
func (l *killLoad) run(t *testing.T, c *child) {
	t.Helper()
	l.killed.Store(false)
	for i := range l.profiles {
		openID := fmt.Sprintf("oProfile%d", i)
		l.profiles[i].token = c.SignIn(t, openID).AccessToken
		l.tokens[l.profiles[i].token] = "wechat-" + openID
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.cancel = cancel
	acknowledged := make(chan struct{})
	var workers sync.WaitGroup
	for range signingIn {
		workers.Go(func() { l.work(ctx, acknowledged, func() error { return l.signIn(ctx, c) }) })
	}
	for i := range l.profiles {
		workers.Go(func() { l.work(ctx, acknowledged, func() error { return l.update(ctx, c, &l.profiles[i]) }) })
	}
	for range 1 + rand.IntN(500) {
		select {
		case <-acknowledged:
		case <-ctx.Done():
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

func (l *killLoad) signIn(ctx context.Context, c *child) error {
	openID := fmt.Sprintf("oKill%d", rand.IntN(people))
	reply, err := c.try(ctx, harness.PathToken, "", harness.SignInForm(c.NewCode(openID)))
	if err != nil {
		return err
	}
	var tokens harness.Tokens
	if json.Unmarshal([]byte(reply), &tokens) != nil || tokens.AccessToken == "" {
		return errors.New(reply)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens[tokens.AccessToken] = "wechat-" + openID
	return nil
}

func (l *killLoad) update(ctx context.Context, c *child, p *profileState) error {
	p.sent++
	reply, err := c.try(ctx, harness.PathProfile, p.token, url.Values{"nickName": {strconv.Itoa(p.sent)}})
	if err != nil {
		return err
	}
	if !strings.Contains(reply, fmt.Sprintf(`"displayName":"%d"`, p.sent)) {
		return errors.New(reply)
	}
	p.acknowledged = p.sent
	return nil
}

// check looks for everything that was acknowledged.
func (l *killLoad) check(t *testing.T, c *child) {
	t.Helper()
	c.holdsAll(t, l.tokens)
	for i := range l.profiles {
		p := &l.profiles[i]
		text, _ := c.Account(t, p.token)["displayName"].(string)
		var stored int
		if text != "" {
			var err error
			stored, err = strconv.Atoi(text)
			require.NoError(t, err)
		}
		require.GreaterOrEqual(t, stored, p.acknowledged, "an acknowledged update of profile %d is lost", i)
		require.LessOrEqual(t, stored, p.sent)
		p.acknowledged, p.sent = stored, stored
	}
	t.Logf("%d tokens and %d profiles are there", len(l.tokens), len(l.profiles))
	c.stop(t)
}

// checkIdentities looks past the server for users and identities that do not belong together.
func checkIdentities(t *testing.T, store object.StoreConfig) {
	t.Helper()
	db := testdb.Connect(t, store)
	for what, query := range identityProblems() {
		assert.Zero(t, count(t, db, store, query), what)
	}
}

// identityProblems are queries that count what must not be.
func identityProblems() map[string]string {
	const identityOfUser = "SELECT 1 FROM mini_program_identity i WHERE i.organization=u.owner AND i.user_id=u.id"
	return map[string]string{
		"users without identity": "SELECT COUNT(*) FROM {user} u WHERE u.name LIKE 'wechat-%' AND NOT EXISTS (" +
			identityOfUser + ")",
		"identities without user": "SELECT COUNT(*) FROM mini_program_identity i WHERE NOT EXISTS " +
			"(SELECT 1 FROM {user} u WHERE i.organization=u.owner AND i.user_id=u.id)",
		"identities that share a user": "SELECT COUNT(*)-COUNT(DISTINCT user_id) FROM mini_program_identity",
		"users that share an OpenID":   "SELECT COUNT(*)-COUNT(DISTINCT u.wechat) FROM {user} u WHERE u.name LIKE 'wechat-%'",
		"identities without session": "SELECT COUNT(*) FROM mini_program_identity i WHERE NOT EXISTS " +
			"(SELECT 1 FROM mini_program_session s WHERE s.organization=i.organization AND s.app_id=i.app_id " +
			"AND s.open_id=i.open_id)",
		"tokens without user": "SELECT COUNT(*) FROM token t WHERE NOT EXISTS " +
			"(SELECT 1 FROM {user} u WHERE u.owner=t.organization AND u.name=t.{user})",
	}
}

// count runs a query in which {user} stands for the word as the database wants it quoted.
func count(t *testing.T, db *sql.DB, store object.StoreConfig, query string) int {
	t.Helper()
	var n int
	query = strings.ReplaceAll(query, "{user}", quotedUser(store))
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n), query)
	return n
}

func quotedUser(store object.StoreConfig) string {
	if store.DriverName == "postgres" {
		return `"user"`
	}
	return "`user`"
}
