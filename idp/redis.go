package idp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/minidoor/minidoor/provider"
)

const redisPrefix = "minidoor:access-token:"

// Redis is a TokenStore in Redis, under "minidoor:access-token:<AppID>".
type Redis struct{ client *redis.Client }

var _ TokenStore = (*Redis)(nil)

// NewRedis returns the store at Casdoor's form of an endpoint, "host:port[,db[,password]]"; the password may hold
// commas. It does not connect before it is used, so that a Redis which is down keeps no server from starting. Its error
// shows nothing of the endpoint.
func NewRedis(endpoint provider.Secret) (*Redis, error) {
	o, err := RedisOptions(endpoint)
	if err != nil {
		return nil, err
	}
	o.PoolSize = 2
	return &Redis{redis.NewClient(o)}, nil
}

// RedisOptions are those of a client of the Redis at Casdoor's form of an endpoint, as NewRedis takes it: for small
// commands, each with a deadline, on any version of Redis.
func RedisOptions(endpoint provider.Secret) (*redis.Options, error) {
	parts := strings.SplitN(endpoint.Reveal(), ",", 3)
	address := strings.TrimSpace(parts[0])
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return nil, errors.New(`redisEndpoint: want "host:port[,db[,password]]"`)
	}
	o := &redis.Options{
		Addr:                     address,
		ContextTimeoutEnabled:    true,
		MaxRetries:               -1,
		DialTimeout:              storeTimeout,
		DialerRetries:            1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if len(parts) > 1 && strings.TrimSpace(parts[1]) != "" { // which Casdoor takes for 0
		db, err := strconv.Atoi(strings.TrimSpace(parts[1]))
		if err != nil || db < 0 {
			return nil, errors.New("redisEndpoint: db is no number")
		}
		o.DB = db
	}
	if len(parts) > 2 {
		o.Password = parts[2]
	}
	return o, nil
}

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Format prints what r is: fmt would print the password in its fields.
func (r *Redis) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "Redis(%s)", r.client.Options().Addr) }

// Get implements TokenStore.
func (r *Redis) Get(ctx context.Context, appID string) (string, error) {
	value, err := r.client.Get(ctx, redisPrefix+appID).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return value, err
}

// Set implements TokenStore.
func (r *Redis) Set(ctx context.Context, appID, value string, life time.Duration) error {
	return r.client.Set(ctx, redisPrefix+appID, value, max(life, time.Millisecond)).Err()
}
