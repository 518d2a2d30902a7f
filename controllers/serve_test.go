package controllers

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stream that is open when the server ends is cut off, its handler with it, and the end is an ordinary one.
func TestServeCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	streams, left := make(chan struct{}), make(chan struct{})
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		close(streams)
		<-r.Context().Done()
		close(left)
	})
	ctx, stop := context.WithCancel(t.Context())
	var log bytes.Buffer
	ended := make(chan error)
	go func() {
		text := slog.NewTextHandler(&log, nil)
		ended <- serve(ctx, listener, stream, slog.New(text), bounds{8, new(atomic.Int64), 10 * time.Millisecond})
	}()
	reply, err := http.Get("http://" + listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	<-streams
	stop()
	assert.NoError(t, <-ended)
	select {
	case <-left:
	default:
		t.Error("a handler still runs")
	}
	assert.Contains(t, log.String(), `msg="requests are cut off" requests=1`)
}

// fullListener takes a connection only when it has failed three times.
type fullListener struct {
	net.Listener

	failed int
}

func (l *fullListener) Accept() (net.Conn, error) {
	if l.failed < 3 {
		l.failed++
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// A server that can take no connections for a while says why, once, and goes on when it can.
func TestServeTellsThatNoConnectionIsTaken(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var log bytes.Buffer
	ended := make(chan error)
	go func() {
		text := slog.NewTextHandler(&log, nil)
		ended <- Serve(ctx, &fullListener{Listener: listener}, http.NotFoundHandler(), slog.New(text), new(atomic.Int64))
	}()
	reply, err := http.Get("http://" + listener.Addr().String())
	require.NoError(t, err)
	assert.NoError(t, reply.Body.Close())
	stop()
	assert.NoError(t, <-ended)
	assert.Equal(t, 1, strings.Count(log.String(), `level=ERROR msg="no connection is taken" cause="accept: too many open files"`),
		log.String())
}
