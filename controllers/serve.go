package controllers

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// drainTime is how long requests that run may go on once the server is told to end.
const drainTime = 20 * time.Second

// Serve answers requests until ctx ends; then it accepts no more, and returns when those that run have finished. Those
// that still run when drainTime is over are cut off. So is a client that is slow to send or to read. connections is how
// many are open.
func Serve(
	ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger, connections *atomic.Int64,
) error {
	return serve(ctx, listener, handler, log, bounds{roomOf(openFiles()), connections, drainTime})
}

// bounds are those of a server.
type bounds struct {
	room      int64         // how many connections it takes
	taken     *atomic.Int64 // how many it has
	drainTime time.Duration
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger, b bounds) error {
	running := &counted{next: handler}
	server := &http.Server{
		Handler: running, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	bounded := newBoundedListener(listener, b, func() {
		server.SetKeepAlivesEnabled(false) // closes those that have no request
		server.SetKeepAlivesEnabled(true)
	}, log)
	running.before = bounded.sayGoodbye
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(&tellingListener{Listener: bounded, log: log}) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("draining")
	drain, cancel := context.WithTimeout(context.Background(), b.drainTime)
	defer cancel()
	if err := server.Shutdown(drain); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	log.Warn("requests are cut off", "requests", running.now.Load())
	err := server.Close()
	const patience = time.Second // with handlers whose connections are closed: what they work with closes next
	for end := time.Now().Add(patience); running.now.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return err
}

// tellingListener tells why it takes no connection: too many files are open, for one. net/http tries again, and says so
// among what clients do wrong.
type tellingListener struct {
	net.Listener

	log  *slog.Logger
	told time.Time // the last one; only the loop of http.Server asks
}

// Accept implements net.Listener.
func (l *tellingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) && time.Since(l.told) >= refusalPause {
		l.told = time.Now()
		l.log.Error("no connection is taken", "cause", err)
	}
	return conn, err
}

// counted knows how many requests run.
type counted struct {
	next   http.Handler
	before func(http.ResponseWriter, *http.Request) // is called first
	now    atomic.Int64
}

// ServeHTTP implements http.Handler.
func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.now.Add(1)
	defer c.now.Add(-1)
	c.before(w, r)
	c.next.ServeHTTP(w, r)
}
