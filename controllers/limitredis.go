package controllers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

const (
	redisPatience = 100 * time.Millisecond
	redisPause    = time.Second // until a dead one is tried again, by one request
	redisKey      = "minidoor:" // redis_rate puts "rate:" before it
)

// sharedLimits counts in Redis. While Redis is down it lets everything through: the instances' own limits hold. A nil
// *sharedLimits lets everything through, too.
type sharedLimits struct {
	limiter  *redis_rate.Limiter
	patience time.Duration
	down     atomic.Bool
	began    time.Time
	retryAt  atomic.Int64 // in ns since it began, which no setting of the clock changes; while down
	log      *slog.Logger
}

func newSharedLimits(cfg LimitsConfig) *sharedLimits {
	if cfg.Redis == nil {
		return nil
	}
	return &sharedLimits{
		limiter: redis_rate.NewLimiter(cfg.Redis), patience: cmp.Or(cfg.RedisPatience, redisPatience), began: time.Now(),
		log: cfg.Logger,
	}
}

// take counts n events of a key, and returns 0 if they are within the limit, or else how long to wait. Redis sees a
// hash of the key: an address or an OpenID is nobody else's business.
func (s *sharedLimits) take(ctx context.Context, key string, perMinute, n int) time.Duration {
	if s == nil || !s.mayAsk() {
		return 0
	}
	asked, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	hash := sha256.Sum256([]byte(key))
	result, err := s.limiter.AllowN(asked, redisKey+hex.EncodeToString(hash[:16]), redis_rate.PerMinute(perMinute), n)
	if ctx.Err() != nil {
		return 0 // the client has left: that says nothing of Redis
	}
	s.note(ctx, err)
	if err != nil || result.Allowed > 0 {
		return 0
	}
	return max(result.RetryAfter, time.Millisecond)
}

// mayAsk reports whether Redis is up, or this request is the one that finds out.
func (s *sharedLimits) mayAsk() bool {
	if !s.down.Load() {
		return true
	}
	at, now := s.retryAt.Load(), time.Since(s.began)
	return int64(now) >= at && s.retryAt.CompareAndSwap(at, int64(now+redisPause))
}

// note remembers how Redis is, and logs when that changes.
func (s *sharedLimits) note(ctx context.Context, err error) {
	if err == nil {
		if s.down.CompareAndSwap(true, false) {
			s.log.InfoContext(ctx, "Redis is back: limits are shared again")
		}
		return
	}
	s.retryAt.Store(int64(time.Since(s.began) + redisPause))
	if s.down.CompareAndSwap(false, true) {
		s.log.WarnContext(ctx, "Redis does not answer: each instance has its own limits until it does", "cause", err)
	}
}
