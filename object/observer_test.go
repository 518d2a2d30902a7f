package object

import (
	"context"
	"database/sql/driver"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// lastRead is an Observer that keeps what went wrong with the last read and with each write.
type lastRead struct {
	err     error
	written []error
}

func (o *lastRead) Read(_ time.Duration, err error)    { o.err = err }
func (o *lastRead) Written(_ time.Duration, err error) { o.written = append(o.written, err) }

func TestReadOfAClientWhoLeftIsNoError(t *testing.T) {
	t.Parallel()
	s, seen := openStore(t), &lastRead{err: errOfJob}
	s.observer = seen
	ctx, leave := context.WithCancel(t.Context())
	leave()
	assert.ErrorIs(t, s.Ping(ctx), context.Canceled)
	assert.NoError(t, seen.err)
}

// An alert on writes that fail is for whoever looks after the database: what a transaction itself refuses, or a client
// that has left, says nothing of it.
func TestWritesOfABrokenDatabaseAreErrors(t *testing.T) {
	t.Parallel()
	s, seen := openStore(t), &lastRead{}
	s.observer = seen
	for _, harmless := range []error{nil, errOfJob, fmt.Errorf("user: %w", errRaced), context.Canceled} {
		assert.ErrorIs(t, s.write(t.Context(), func(*txn) error { return harmless }), harmless)
	}
	assert.Equal(t, make([]error, 4), seen.written)
	for _, broken := range []error{driver.ErrBadConn, context.DeadlineExceeded} {
		seen.written = nil
		assert.ErrorIs(t, s.write(t.Context(), func(*txn) error { return broken }), broken)
		assert.Equal(t, []error{broken}, seen.written)
	}
}
