package object

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	took := make([]int64, len(latencies())+1)
	assert.Zero(t, quantile(took, 0, .5))
	took[0] = 10 // within 1 ms
	assert.InDelta(t, .5, quantile(took, 10, .5), .001)
	took[len(took)-1] = 10 // more than the last step
	assert.InDelta(t, 10_000, quantile(took, 20, .99), .001)
	assert.InDelta(t, 1, quantile(took, 20, .5), .001)
}

func TestCountSteps(t *testing.T) {
	t.Parallel()
	counts := map[Stat]*Stat{}
	at := time.Unix(3600*1000+61, 0)
	for _, took := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Hour} {
		count(counts, &SignInEvent{Time: at, Took: took, NewUser: took == 0}, time.Minute)
	}
	assert.Len(t, counts, 3)
	first := counts[Stat{Step: 60, Began: 3600*1000 + 60}]
	assert.Equal(t, []int64{2, 1}, []int64{first.SignIns, first.NewUsers})
	assert.Contains(t, counts, Stat{Step: 60, Began: 3600*1000 + 60, Within: len(latencies())})
}

// What a sign-in pays for being watched.
func BenchmarkWatchAdd(b *testing.B) {
	w := NewWatch(nil, WatchConfig{Room: 1 << 30})
	e := SignInEvent{
		Time: time.Now(), Organization: "shop", Application: "app-shop", Outcome: SignedIn, User: "wechat-o1",
		Took: time.Millisecond, ClientIP: "192.0.2.7",
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(w.lines) == 1000 { // what the writer does
			w.lines = w.lines[:0]
		}
		w.Add(e)
	}
}

// The end of the server does not stop a Flush that runs.
func TestFlushGoesOnAtTheEnd(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	var lost int
	w := NewWatch(s, WatchConfig{Every: time.Millisecond, Lost: func(lines int) { lost += lines }})
	w.Add(SignInEvent{Time: time.Now(), Outcome: SignedIn})
	release := blockQueue(t, s)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	waitFor(s.commits, 1)
	end()
	time.Sleep(10 * time.Millisecond) // in which the Flush would be given up
	release()
	<-ended
	assert.Zero(t, lost)
}
