package object

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// lastRead is an Observer that keeps what went wrong with the last read.
type lastRead struct{ err error }

func (o *lastRead) Read(_ time.Duration, err error) { o.err = err }
func (*lastRead) Written(time.Duration, error)      {}

func TestReadOfAClientWhoLeftIsNoError(t *testing.T) {
	t.Parallel()
	s, seen := openStore(t), &lastRead{errOfJob}
	s.observer = seen
	ctx, leave := context.WithCancel(t.Context())
	leave()
	assert.ErrorIs(t, s.Ping(ctx), context.Canceled)
	assert.NoError(t, seen.err)
}
