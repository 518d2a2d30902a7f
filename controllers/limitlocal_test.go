package controllers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// However many failures come in while an address is blocked already, it is free again a minute after the last one.
func TestFailuresBlockForAMinuteAtMost(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 5, 300} {
		now := time.Now()
		b := newBuckets(perMinute, func() time.Time { return now })
		var wait time.Duration
		for range 2500 {
			wait = b.charge("address", min(strictWeight, perMinute))
		}
		assert.Positive(t, wait)
		assert.LessOrEqual(t, wait, time.Minute, perMinute)
		now = now.Add(wait)
		assert.Zero(t, b.take("address"), perMinute)
	}
}
