package controllers

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
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
		ended <- serve(ctx, listener, stream, slog.New(slog.NewTextHandler(&log, nil)), 10*time.Millisecond)
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
