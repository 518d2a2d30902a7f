package picture

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGate(t *testing.T) {
	t.Parallel()
	g := newGate(1000)
	var inside atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				n := rand.Int64N(1000) + 1
				if !assert.NoError(t, g.enter(t.Context(), n)) {
					return
				}
				assert.LessOrEqual(t, inside.Add(n), int64(1000))
				inside.Add(-n)
				g.leave(n)
			}
		})
	}
	wg.Wait()
	require.NoError(t, g.enter(t.Context(), 1000), "nothing is lost")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, g.enter(ctx, 1), context.Canceled)
	g.leave(1000)
	assert.NoError(t, g.enter(ctx, 1), "there is no need to wait")
}

// TestUploadsWaitUnread shows that an upload for which there is no memory is not read beyond its head.
func TestUploadsWaitUnread(t *testing.T) {
	t.Parallel()
	m := newMaker()
	require.NoError(t, m.gate.enter(t.Context(), m.gate.size))
	ctx, cancel := context.WithCancel(t.Context())
	data := jpegOf(t, photo(2600, 2600, 30))
	file := &countingReader{ReaderAt: bytes.NewReader(data), enough: cancel}
	_, err := m.Thumbnails(ctx, file, int64(len(data)))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Less(t, file.n.Load(), int64(64<<10))
}

// countingReader counts what is read of it, and calls enough at the first read.
type countingReader struct {
	io.ReaderAt
	enough func()
	n      atomic.Int64
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	r.enough()
	n, err := r.ReaderAt.ReadAt(p, off)
	r.n.Add(int64(n))
	return n, err
}

func TestPanicIsDamage(t *testing.T) {
	t.Parallel()
	p := &plan{decode: func([]byte) (rows, int, error) { panic("index out of range") }}
	_, err := p.square(t.Context(), &upload{file: bytes.NewReader(nil)}, 10)
	assert.ErrorIs(t, err, ErrDamaged)
}

// However many pictures there are, half of the processors are left to others.
func TestHalfOfTheProcessors(t *testing.T) {
	t.Parallel()
	m, data := newMaker(), jpegOf(t, photo(100, 100, 30))
	work := func(ctx context.Context) error {
		_, err := m.Thumbnails(ctx, bytes.NewReader(data), int64(len(data)))
		return err
	}
	for range max(1, runtime.NumCPU()/2) {
		require.NoError(t, work(t.Context()))
		m.turns <- struct{}{} // a picture that takes long
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, work(ctx), context.DeadlineExceeded)
	<-m.turns
	require.NoError(t, work(t.Context()))
}
