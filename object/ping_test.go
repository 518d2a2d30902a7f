package object

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/test/testclock"
)

// answering is a directory that is asked only whether it answers, and counts how often.
type answering struct {
	directory
	asked int
	goOn  chan struct{}
	err   error
}

func (d *answering) Ping(context.Context) error {
	d.asked++
	<-d.goOn
	return d.err
}

func TestPingIsShared(t *testing.T) {
	t.Parallel()
	clock, d := testclock.At(time.Now()), &answering{goOn: make(chan struct{})}
	s := &Service{directory: d, now: clock.Now}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { assert.NoError(t, s.Ping(t.Context())) })
	}
	impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, s.Ping(impatient), context.DeadlineExceeded)
	close(d.goOn)
	wg.Wait()
	assert.Equal(t, 1, d.asked)
	d.err = errOfJob
	assert.NoError(t, s.Ping(t.Context()), "remembered")
	clock.Advance(pingAge)
	for range 3 {
		assert.ErrorIs(t, s.Ping(t.Context()), errOfJob)
	}
	assert.Equal(t, 2, d.asked)
}
