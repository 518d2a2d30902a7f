package idp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

// memoryStore is a TokenStore that can fail and be slow.
type memoryStore struct {
	mu     sync.Mutex
	values map[string]string
	err    error
	slow   bool
	asked  int
}

func newMemoryStore() *memoryStore { return &memoryStore{values: map[string]string{}} }

func (m *memoryStore) enter(ctx context.Context) (func(), error) {
	m.mu.Lock()
	m.asked++
	if m.slow {
		<-ctx.Done()
		m.mu.Unlock()
		return nil, ctx.Err()
	}
	if m.err != nil {
		m.mu.Unlock()
		return nil, m.err
	}
	return m.mu.Unlock, nil
}

func (m *memoryStore) Get(ctx context.Context, appID string) (string, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return m.values[appID], nil
}

func (m *memoryStore) Set(ctx context.Context, appID, value string, _ time.Duration) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	m.values[appID] = value
	return nil
}

// newInstances returns a fixture, whose provider is the first of two instances with one store.
func newInstances(t *testing.T, store TokenStore) (f *fixture, second *WeChat) {
	t.Helper()
	f = newFixture(t, func(o *Options) { o.Tokens = store })
	require.NoError(t, f.exchange(t, 1))
	return f, newTestWeChat(t, Options{
		Endpoint: "http://wechat.test", HTTPClient: &http.Client{Transport: direct{f.fake}}, Now: f.clock.Now, Tokens: store,
	})
}

func checkBand(t *testing.T, w *WeChat) error {
	t.Helper()
	_, err := w.CheckText(t.Context(), testOpenID, "Band")
	return err
}

func TestInstancesShareAToken(t *testing.T) {
	t.Parallel()
	store := newMemoryStore()
	f, second := newInstances(t, store)
	tokens := func() int { return f.fake.Calls(fakewechat.PathStableToken) }
	require.NoError(t, checkBand(t, f.wechat))
	require.NoError(t, checkBand(t, second))
	assert.Equal(t, 1, tokens())
	asked := store.asked
	require.NoError(t, checkBand(t, second))
	assert.Equal(t, asked, store.asked, "the second has it in memory now, too")

	f.clock.Advance(2*time.Hour - 4*time.Minute)
	require.NoError(t, f.exchange(t, 1))
	require.NoError(t, checkBand(t, second))
	require.NoError(t, checkBand(t, f.wechat))
	assert.Equal(t, 2, tokens(), "a due token is fetched by the first who needs it")
}

func TestRefusedTokenIsFetchedOnceForAll(t *testing.T) {
	t.Parallel()
	for _, code := range []int{40001, 40014, 42001} {
		f, second := newInstances(t, newMemoryStore())
		require.NoError(t, checkBand(t, f.wechat))
		require.NoError(t, checkBand(t, second))
		f.fake.ExpireTokens()
		f.fake.Inject(fakewechat.PathCheckText, fakewechat.Errcode(code), 1)
		require.NoError(t, checkBand(t, f.wechat))
		require.NoError(t, checkBand(t, second), "the second drops its own alone, and finds the new one")
		assert.Equal(t, 2, f.fake.Calls(fakewechat.PathStableToken))
	}
}

func TestRefusedTokenThatIsStillOnTheShelf(t *testing.T) {
	t.Parallel()
	store := newMemoryStore()
	f, _ := newInstances(t, store)
	require.NoError(t, checkBand(t, f.wechat))
	old := store.values[testAppID]
	f.fake.ExpireTokens()
	f.wechat.tokens.invalidate(f.token(t))
	require.NoError(t, checkBand(t, f.wechat))
	assert.NotEqual(t, old, store.values[testAppID])
	assert.Equal(t, 2, f.fake.Calls(fakewechat.PathCheckText), "WeChat is not asked with it again")
}

func TestStoredTokenIsSealed(t *testing.T) {
	t.Parallel()
	store := newMemoryStore()
	f, _ := newInstances(t, store)
	token := f.token(t)
	require.Len(t, store.values, 1)
	f.assertSilent(t, store.values[testAppID])

	renewAt := f.clock.Now().Add(time.Hour)
	shelf := func(appID, secret string) *tokenShelf {
		config := provider.Config{ClientID: appID, ClientSecret: provider.Secret(secret)}
		return newTokenShelf(store, config, f.wechat.logger)
	}
	got, ok := shelf(testAppID, testSecret).get(t.Context(), f.clock.Now())
	assert.True(t, ok)
	assert.Equal(t, token, got.Token)
	_, ok = shelf(testAppID, "new secret").get(t.Context(), f.clock.Now())
	assert.False(t, ok, "another AppSecret")
	store.values["wx1"] = store.values[testAppID]
	_, ok = shelf("wx1", testSecret).get(t.Context(), f.clock.Now())
	assert.False(t, ok, "another AppID")

	own := shelf(testAppID, testSecret)
	for name, value := range map[string]string{
		"text": "text", "cut": store.values[testAppID][:20], "no token": own.seal(sharedToken{RenewAt: renewAt}),
		"due": own.seal(sharedToken{"t", f.clock.Now()}),
	} {
		store.values[testAppID] = value
		_, ok := own.get(t.Context(), f.clock.Now())
		assert.False(t, ok, name)
	}
	assert.NotContains(t, f.logs.String(), "not shared", "none of this is an outage")
}

func TestDeadStoreFailsNoCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		store.err = errors.New("connection refused")
		f, second := newInstances(t, store)
		warnings := func() int { return strings.Count(f.logs.String(), "access tokens are not shared") }
		for range 3 {
			require.NoError(t, checkBand(t, f.wechat))
			require.NoError(t, checkBand(t, second))
			f.fake.ExpireTokens()
		}
		assert.Equal(t, 1, warnings())
		time.Sleep(time.Minute)
		require.NoError(t, checkBand(t, f.wechat))
		assert.Equal(t, 2, warnings(), "one a minute")
		f.assertSilent(t, f.logs.String())

		asked := store.asked
		require.NoError(t, checkBand(t, f.wechat))
		assert.Equal(t, asked, store.asked, "while the token in memory is good, the store is not asked")
	})
}

func TestSlowStoreIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		store.slow = true
		f, _ := newInstances(t, store)
		start := time.Now()
		require.NoError(t, checkBand(t, f.wechat))
		assert.Equal(t, 2*storeTimeout, time.Since(start), "one for the question, one for the new token")
	})
}

func TestStoreOutlivesTheCaller(t *testing.T) {
	t.Parallel()
	store := newMemoryStore()
	f, second := newInstances(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	f.fake.Inject(fakewechat.PathStableToken, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		cancel()
		answer(w, r)
	}, 1)
	f.wechat.CheckText(ctx, testOpenID, "Band") //nolint:errcheck // it left
	require.NoError(t, checkBand(t, f.wechat))
	require.NoError(t, checkBand(t, second))
	assert.Equal(t, 1, f.fake.Calls(fakewechat.PathStableToken))
}
