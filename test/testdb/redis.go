package testdb

import (
	"cmp"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/minidoor/minidoor/test/dbserver"
)

// RedisVariable names the environment variable with the host:port of a Redis that tests may write to.
const RedisVariable = "TEST_REDIS"

const defaultRedis = "127.0.0.1:6379"

// Redis returns the host:port of a Redis server. Others use it too: a test takes keys of its own. The test is skipped
// where no server answers; with CI=true it fails.
func Redis(t testing.TB) string {
	t.Helper()
	address := cmp.Or(os.Getenv(RedisVariable), defaultRedis)
	client := redis.NewClient(&redis.Options{
		Addr: address, DialTimeout: dbserver.Patience, ReadTimeout: dbserver.Patience, MaxRetries: -1,
	})
	defer func() { _ = client.Close() }()
	if err := client.Ping(t.Context()).Err(); err != nil {
		absent(t, "Redis", RedisVariable, err)
	}
	return address
}
