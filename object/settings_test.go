package object

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/testclock"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	clock := testclock.At(time.Now())
	s := newCache(clock.Now, settingsTTL)
	reads := 0
	read := func(context.Context) (int, error) {
		reads++
		return reads, nil
	}
	get := func() int {
		value, err := load(t.Context(), s, "x", read)
		require.NoError(t, err)
		return value
	}
	assert.Equal(t, 1, get())
	clock.Advance(settingsTTL - time.Nanosecond)
	assert.Equal(t, 1, get(), "kept")
	clock.Advance(time.Nanosecond)
	assert.Equal(t, 2, get(), "read anew")

	clock.Advance(settingsTTL)
	_, err := load(t.Context(), s, "x", func(context.Context) (int, error) { return 0, errOfJob })
	require.ErrorIs(t, err, errOfJob)
	assert.Equal(t, 3, get(), "an error is not kept, and neither is what was before it")
	for range 3 {
		_, err := load(t.Context(), s, "missing", func(context.Context) (int, error) { return 0, ErrNotFound })
		assert.ErrorIs(t, err, ErrNotFound)
	}
	assert.Equal(t, 1, s.known.Len(), "names of what does not exist take no memory")
	for i := range maxCached {
		_, err := load(t.Context(), s, fmt.Sprint(i), read)
		require.NoError(t, err)
	}
	assert.Equal(t, maxCached, s.known.Len())
	clock.Advance(settingsTTL)
	get()
	assert.Equal(t, 1, s.known.Len(), "what is too old to be used takes no memory")
}

func TestSettingsOutlivePanics(t *testing.T) {
	t.Parallel()
	s := newCache(time.Now, settingsTTL)
	_, err := load(t.Context(), s, "x", func(context.Context) (int, error) {
		var none *sdk.Application
		return len(none.Name), nil
	})
	assert.ErrorContains(t, err, "nil pointer")
	value, err := load(t.Context(), s, "x", func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	assert.Equal(t, 1, value)
}

// keysOf is a directory that has only keys, and counts how often they are read.
type keysOf struct {
	directory
	reads int
}

func (d *keysOf) keys(context.Context) (*keySet, error) {
	d.reads++
	return nil, nil
}

// Tokens that nobody has signed have the keys read once a second at most.
func TestKeysAreReadAnewSeldom(t *testing.T) {
	t.Parallel()
	clock, d := testclock.At(time.Now()), &keysOf{}
	s := newSettings(d, clock.Now)
	_, err := s.keys(t.Context())
	require.NoError(t, err)
	for i := range 3 {
		for range 5 {
			_, err := s.newKeys(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, 2+i, d.reads)
		clock.Advance(keysRenewal)
	}
}

// TestSettingsAreReadOnce has many callers ask for a value that nobody has read, while the first of them leaves.
func TestSettingsAreReadOnce(t *testing.T) {
	t.Parallel()
	s := newCache(time.Now, settingsTTL)
	ctx, leave := context.WithCancel(t.Context())
	begun, end := make(chan struct{}), make(chan struct{})
	reads := 0
	read := func(ctx context.Context) (int, error) {
		reads++
		close(begun)
		<-end
		return reads, ctx.Err()
	}
	var wg sync.WaitGroup
	ask := func() {
		wg.Go(func() {
			value, err := load(t.Context(), s, "x", read)
			assert.NoError(t, err)
			assert.Equal(t, 1, value)
		})
	}
	wg.Go(func() {
		_, err := load(ctx, s, "x", read)
		assert.ErrorIs(t, err, context.Canceled)
	})
	<-begun
	for range 16 {
		ask()
	}
	leave()
	close(end)
	wg.Wait()
	assert.Equal(t, 1, reads)
}

// What was read before a change, and arrives after it, is for those who asked before.
func TestSettingsReadWhileTheyChange(t *testing.T) {
	t.Parallel()
	s := newCache(time.Now, settingsTTL)
	begun, end := make(chan struct{}), make(chan struct{})
	early := make(chan int)
	go func() {
		value, _ := load(context.Background(), s, "x", func(context.Context) (int, error) {
			close(begun)
			<-end
			return 1, nil
		})
		early <- value
	}()
	<-begun
	s.forget()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	get := func() int {
		value, err := load(ctx, s, "x", func(context.Context) (int, error) { return 2, nil })
		assert.NoError(t, err)
		return value
	}
	assert.Equal(t, 2, get(), "who comes later waits for no old value")
	close(end)
	assert.Equal(t, 1, <-early)
	assert.Equal(t, 2, get(), "nor gets it out of the cache")
}

// A database that is silent keeps nobody for longer than they wait, and nobody for ever.
func TestSettingsOfASilentDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCache(time.Now, settingsTTL)
		silent := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		start := time.Now()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := load(impatient, s, "x", silent)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		_, err = load(t.Context(), s, "x", silent)
		assert.True(t, IsUnavailable(err))
		assert.Equal(t, cachePatience, time.Since(start))
		value, err := load(t.Context(), s, "x", func(context.Context) (int, error) { return 1, nil })
		require.NoError(t, err)
		assert.Equal(t, 1, value, "the next one asks again")
	})
}
