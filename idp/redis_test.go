package idp

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/testdb"
)

func newRedis(t *testing.T, endpoint string) *Redis {
	t.Helper()
	r, err := NewRedis(provider.Secret(endpoint))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	return r
}

func TestRedisEndpoint(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		address, password string
		db                int
	}{
		"redis:6379":                {"redis:6379", "", 0},
		" redis:6379 , 3 ":          {"redis:6379", "", 3},
		"redis:6379, ,p4ss":         {"redis:6379", "p4ss", 0},
		"[::1]:6379,0,p4ss,with, x": {"[::1]:6379", "p4ss,with, x", 0},
	}
	for endpoint, want := range cases {
		o := newRedis(t, endpoint).client.Options()
		assert.Equal(t, want.address, o.Addr)
		assert.Equal(t, want.password, o.Password)
		assert.Equal(t, want.db, o.DB)
	}
	for _, bad := range []string{"", "redis", ":6379", "redis:", "redis:6379,x,p4ss", "redis:6379,-1", "p4ss@x:1:2"} {
		r, err := NewRedis(provider.Secret(bad))
		assert.Nil(t, r)
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), "p4ss")
	}
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", newRedis(t, "r:1,0,p4ss"), newRedis(t, "r:1,0,p4ss"),
		newRedis(t, "r:1,0,p4ss")), "p4ss")
}

// testStore is what every TokenStore must do.
func testStore(t *testing.T, s TokenStore) {
	t.Helper()
	const a, b = "wxtestA", "wxtestB"
	ctx := t.Context()
	get := func(appID string) string {
		value, err := s.Get(ctx, appID)
		require.NoError(t, err)
		return value
	}
	assert.Empty(t, get(a))
	require.NoError(t, s.Set(ctx, a, "1\x00\xff", time.Minute))
	require.NoError(t, s.Set(ctx, b, "2", time.Minute))
	assert.Equal(t, "1\x00\xff", get(a))
	require.NoError(t, s.Set(ctx, a, "3", time.Minute))
	assert.Equal(t, "3", get(a))
	assert.Equal(t, "2", get(b))
}

func TestRedisStore(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireAuth("p4ss,word")
	r := newRedis(t, server.Addr()+",2,p4ss,word")
	testStore(t, r)
	require.NoError(t, r.Set(t.Context(), testAppID, "1", time.Minute))
	assert.Contains(t, server.DB(2).Keys(), "minidoor:access-token:"+testAppID)
	server.FastForward(time.Minute)
	assert.Empty(t, server.DB(2).Keys(), "a value ends by itself")
}

func TestRealRedis(t *testing.T) {
	t.Parallel()
	endpoint := testdb.Redis(t)
	r := newRedis(t, endpoint)
	clean := func() {
		for _, appID := range []string{testAppID, "wxtestA", "wxtestB"} {
			require.NoError(t, r.client.Del(context.WithoutCancel(t.Context()), redisPrefix+appID).Err())
		}
	}
	clean() // after another run, which was cut off
	defer clean()
	testStore(t, r)
	require.NoError(t, checkBand(t, newRedisFixture(t, endpoint).wechat))
}

// patientStore gives a store the time that it takes on a busy machine.
type patientStore struct{ store TokenStore }

func (p patientStore) Get(ctx context.Context, appID string) (string, error) {
	return p.store.Get(context.WithoutCancel(ctx), appID)
}

func (p patientStore) Set(ctx context.Context, appID, value string, life time.Duration) error {
	return p.store.Set(context.WithoutCancel(ctx), appID, value, life)
}

func newRedisFixture(t *testing.T, endpoint string) *fixture {
	t.Helper()
	r := newRedis(t, endpoint)
	f, second := newInstances(t, patientStore{r})
	require.NoError(t, checkBand(t, f.wechat))
	require.NoError(t, checkBand(t, second))
	assert.Equal(t, 1, f.fake.Calls(fakewechat.PathStableToken))
	f.fake.ExpireTokens()
	require.NoError(t, checkBand(t, f.wechat))
	require.NoError(t, checkBand(t, second))
	assert.Equal(t, 2, f.fake.Calls(fakewechat.PathStableToken))
	return f
}

func TestInstancesShareATokenInRedis(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	f := newRedisFixture(t, server.Addr())
	f.token(t)
	for _, key := range server.Keys() {
		value, err := server.Get(key)
		require.NoError(t, err)
		f.assertSilent(t, key+value)
	}
}

func TestRedisThatIsDown(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	f, second := newInstances(t, newRedis(t, server.Addr()))
	require.NoError(t, checkBand(t, f.wechat))
	server.Close()
	require.NoError(t, checkBand(t, second))
	f.fake.ExpireTokens()
	require.NoError(t, checkBand(t, f.wechat))
	assert.Contains(t, f.logs.String(), "access tokens are not shared")
	f.assertSilent(t, f.logs.String())

	require.NoError(t, server.Restart())
	assert.Eventually(t, func() bool { // the client knows for up to a second that it is down
		f.fake.ExpireTokens()
		_, found := f.wechat.shelf.get(t.Context(), f.clock.Now())
		return checkBand(t, f.wechat) == nil && found
	}, 10*time.Second, 50*time.Millisecond, "it is used again once it is back")
}

func TestRedisThatHangs(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	f, _ := newInstances(t, newRedis(t, listener.Addr().String()))
	start := time.Now()
	require.NoError(t, checkBand(t, f.wechat))
	assert.Less(t, time.Since(start), 5*time.Second, "twice the client's own patience, which is 3 s")
}
