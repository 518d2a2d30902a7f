package controllers

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// roomPause is how long a connection waits to be taken until those without a request are closed: that meets a request
// on its way now and then, while one that ends with its reply does not.
const roomPause = 100 * time.Millisecond

// roomOf is how many connections may be taken where so many files may be open at a time, each with another one to
// WeChat, to the database or to a Casdoor; the rest is for what is open at all times.
func roomOf(files uint64) int64 {
	const kept = 128
	return int64(min(files-min(files/2, kept), 1<<30) / 2)
}

// MaxPassedOn is how many requests a gateway may have passed on at a time: half of the connections that there is room
// for. A Casdoor that hangs, or clients that take their time with it, must not keep mini programs out.
func MaxPassedOn() int { return int(roomOf(openFiles()) / 2) }

// boundedListener takes no more connections than there is room for. Who only keeps a connection would take the last
// file there is, and nobody could be signed in, as that needs one to WeChat. What is above it waits in the system's
// queue until a connection ends. So that one does, those without a request are closed, and replies end theirs already
// when three quarters are taken.
type boundedListener struct {
	net.Listener

	room      int64
	places    *semaphore.Weighted
	taken     *atomic.Int64
	closeIdle func()          // closes the connections without a request
	ctx       context.Context // ends when the listener is closed
	end       context.CancelFunc
	log       *slog.Logger
	told      time.Time // the last time; only the loop of http.Server asks
}

func newBoundedListener(listener net.Listener, b bounds, closeIdle func(), log *slog.Logger) *boundedListener {
	ctx, end := context.WithCancel(context.Background())
	return &boundedListener{
		Listener: listener, room: b.room, places: semaphore.NewWeighted(b.room), taken: b.taken, closeIdle: closeIdle,
		ctx: ctx, end: end, log: log,
	}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for !l.enter() {
		if l.ctx.Err() != nil {
			_ = conn.Close()
			return nil, net.ErrClosed
		}
		l.makeRoom()
	}
	l.taken.Add(1)
	return &boundedConn{conn, sync.OnceFunc(func() {
		l.taken.Add(-1)
		l.places.Release(1)
	})}, nil
}

// enter takes a place, unless there is none for roomPause.
func (l *boundedListener) enter() bool {
	if l.places.TryAcquire(1) {
		return true
	}
	ctx, cancel := context.WithTimeout(l.ctx, roomPause)
	defer cancel()
	return l.places.Acquire(ctx, 1) == nil
}

func (l *boundedListener) makeRoom() {
	if time.Since(l.told) >= refusalPause {
		l.told = time.Now()
		l.log.Warn("connections wait to be taken: more files may have to be open (ulimit -n)", "taken", l.room)
	}
	l.closeIdle()
}

// Close implements net.Listener.
func (l *boundedListener) Close() error {
	l.end()
	return l.Listener.Close()
}

// sayGoodbye has the reply to r end its connection, where there is little room.
func (l *boundedListener) sayGoodbye(w http.ResponseWriter, r *http.Request) {
	if l.taken.Load() > l.room/4*3 && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close")
	}
}

// boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn

	leave func()
}

// CloseWrite has http.Server end a connection gently: a client that still sends would else lose the reply.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// ReadFrom implements io.ReaderFrom: what a gateway passes on of a WebSocket is copied by the system.
func (c *boundedConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
