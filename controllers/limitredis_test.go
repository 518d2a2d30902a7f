package controllers_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

func redisClient(t *testing.T, endpoint string) *redis.Client {
	t.Helper()
	o, err := idp.RedisOptions(provider.Secret(endpoint))
	require.NoError(t, err)
	o.DialTimeout = 10 * time.Second // a busy machine's own way to it may take longer than that to a server should
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// sharedLimit checks two instances on the Redis at endpoint. The clients' addresses begin with network.
func sharedLimit(t *testing.T, endpoint, network string) {
	t.Helper()
	limits := controllers.LimitsConfig{
		PerIP: 5, FailedPerIP: 3, Redis: redisClient(t, endpoint), RedisPatience: 10 * time.Second,
	}
	one, two := limited(t, limits, harness.Options{}), limited(t, limits, harness.Options{})
	ask := func(s *harness.Server, address string) harness.Reply {
		return s.From(network+address).Call(t, "GET", harness.PathAccount, "", nil)
	}
	for _, s := range []*harness.Server{one, two, one, two, one} {
		assert.Equal(t, http.StatusOK, ask(s, "1").Status)
	}
	tooMany(t, ask(one, "1"), time.Second)
	tooMany(t, ask(two, "1"), time.Second)
	assert.Equal(t, http.StatusOK, ask(two, "2").Status)

	for _, s := range []*harness.Server{one, two, one} {
		assert.Equal(t, http.StatusBadRequest, signInWith(t, s.From(network+"3"), "made-up").Status)
	}
	assert.Equal(t, http.StatusBadRequest, signInWith(t, two.From(network+"3"), "made-up").Status)
	tooMany(t, signInWith(t, two.From(network+"3"), two.NewCode("oShared")), time.Second)
	assert.InDelta(t, 1, two.Metric(t, `minidoor_turned_away_total{limit="failed"}`), 0)
	assert.InDelta(t, 1, one.Metric(t, "minidoor_redis_up"), 0)
}

func TestLimitsAreSharedThroughRedis(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	sharedLimit(t, server.Addr(), "203.0.113.")
	for _, key := range server.Keys() {
		assert.Regexp(t, "^rate:minidoor:[0-9a-f]{32}$", key, "no address is stored")
		assert.NotZero(t, server.TTL(key), "what is stored goes away")
	}
}

// What instances share comes back at the rate of each one's own limits.
func TestSharedLimitsRefill(t *testing.T) {
	t.Parallel()
	server, now := miniredis.RunT(t), time.Now()
	server.SetTime(now)
	limits := controllers.LimitsConfig{PerIP: 4, Redis: redisClient(t, server.Addr()), RedisPatience: 10 * time.Second}
	still := harness.Options{Now: harness.NewClock().Now}
	one, two := limited(t, limits, still), limited(t, limits, still)
	ask := func(s *harness.Server) harness.Reply {
		return s.From("203.0.113.1").Call(t, "GET", harness.PathAccount, "", nil)
	}
	for _, s := range []*harness.Server{one, two, one, two} {
		assert.Equal(t, http.StatusOK, ask(s).Status)
	}
	tooMany(t, ask(one), 15*time.Second)
	server.SetTime(now.Add(15 * time.Second))
	assert.Equal(t, http.StatusOK, ask(two).Status)
	tooMany(t, ask(two), 15*time.Second)
}

func TestLimitsOnRealRedis(t *testing.T) {
	t.Parallel()
	sharedLimit(t, testdb.Redis(t), fmt.Sprintf("198.18.%d.", rand.N(256))) // nobody else's counts
}

func TestDeadRedisLeavesLocalLimits(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	s := limited(t, controllers.LimitsConfig{
		PerIP: 5, PerOpenID: 1000, Redis: redisClient(t, server.Addr()), RedisPatience: 10 * time.Second,
	}, harness.Options{Now: harness.NewClock().Now})
	from := func(address string) harness.Reply {
		return s.From(address).Call(t, "GET", harness.PathAccount, "", nil)
	}
	assert.Equal(t, http.StatusOK, from("203.0.113.1").Status)
	server.Close()
	for range 4 {
		assert.Equal(t, http.StatusOK, from("203.0.113.1").Status)
	}
	tooMany(t, from("203.0.113.1"), time.Second)
	s.SignIn(t, "oDead")
	assert.InDelta(t, 0, s.Metric(t, "minidoor_redis_up"), 0)
	assert.Len(t, s.Log.Lines(`"level":"WARN"`, "Redis does not answer"), 1)

	require.NoError(t, server.Restart())
	require.Eventually(t, func() bool {
		s.SignIn(t, "oBack")
		return len(s.Log.Lines("Redis is back")) == 1
	}, 30*time.Second, 50*time.Millisecond)
	assert.InDelta(t, 1, s.Metric(t, "minidoor_redis_up"), 0)
	assert.Len(t, s.Log.Lines("Redis does not answer"), 1)
}

// A Redis that takes connections and says nothing is the worst: each request that asks it waits. The least of a few
// times tells that from what a busy machine adds.
func TestSilentRedisAddsLittle(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
	const most = time.Second
	waited := most
	for n := 0; n < 4 && waited >= most; n++ {
		waited = longestSignIn(t, listener.Addr().String())
	}
	assert.Less(t, waited, most)
}

// longestSignIn returns how long the longest of some sign-ins takes, with that Redis.
func longestSignIn(t *testing.T, endpoint string) (waited time.Duration) {
	t.Helper()
	s := limited(t, controllers.LimitsConfig{
		PerIP: 1000, PerApplication: 1000, PerOpenID: 1000, Redis: redisClient(t, endpoint),
	}, harness.Options{})
	const signIns = 20
	for range signIns {
		start := time.Now()
		s.From("203.0.113.1").SignIn(t, "oSilent")
		waited = max(waited, time.Since(start))
	}
	assert.Len(t, s.Log.Lines("Redis does not answer"), 1)
	return waited
}
