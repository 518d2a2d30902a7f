package controllers

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoomOf(t *testing.T) {
	t.Parallel()
	for files, want := range map[uint64]int64{
		40: 10, 1024: 448, 65536: 32704, math.MaxUint64: 1 << 29,
	} {
		assert.Equal(t, want, roomOf(files), files)
	}
}

// roomServer starts a server that takes so many connections. stop ends it, and returns its log.
func roomServer(t *testing.T, room int64, handler http.Handler) (address string, stop func() string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	go func() {
		ended <- serve(ctx, listener, handler, log, bounds{room, new(atomic.Int64), 10 * time.Millisecond})
	}()
	return listener.Addr().String(), func() string {
		cancel()
		assert.NoError(t, <-ended)
		return text.String()
	}
}

// keptConn is a connection that is kept until the test ends.
func keptConn(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	return conn
}

// askOver sends a request over conn, and reports whether the reply ends the connection.
func askOver(t *testing.T, conn net.Conn, path, header string) (ends bool) {
	t.Helper()
	send(t, conn, path, header)
	return receive(t, conn)
}

func send(t *testing.T, conn net.Conn, path, header string) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, header)
	require.NoError(t, err)
}

func receive(t *testing.T, conn net.Conn) (ends bool) {
	t.Helper()
	reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	return reply.Close
}

// Clients that keep their connections take no place from those who come, and there is a line for it.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	const room = 8
	arrived, release := make(chan struct{}), make(chan struct{})
	address, stop := roomServer(t, room, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
	}))
	var idle []net.Conn
	for n := range room * 3 / 4 {
		idle = append(idle, keptConn(t, address))
		assert.False(t, askOver(t, idle[n], "/", ""))
	}
	upgrade := keptConn(t, address)
	assert.False(t, askOver(t, upgrade, "/", "Upgrade: websocket\r\n"), "what it becomes needs its connection")
	last := keptConn(t, address)
	assert.True(t, askOver(t, last, "/", ""), "there is little room")

	var slow []net.Conn
	for range room - 1 { // more than there are places
		slow = append(slow, keptConn(t, address))
		send(t, slow[len(slow)-1], "/slow", "")
		<-arrived
	}
	_, err := idle[0].Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
	assert.True(t, askOver(t, keptConn(t, address), "/", ""))
	close(release)
	for _, conn := range slow {
		receive(t, conn)
	}
	assert.Equal(t, 1, strings.Count(stop(), "level=WARN msg=\"connections wait to be taken"))
}

// Where all places are taken and nobody wants one, nobody is sent away.
func TestFullRoomStaysAsItIs(t *testing.T) {
	t.Parallel()
	const room = 4
	address, stop := roomServer(t, room, http.NotFoundHandler())
	var kept []net.Conn
	for range room {
		conn := keptConn(t, address)
		assert.False(t, askOver(t, conn, "/", "Upgrade: websocket\r\n"))
		kept = append(kept, conn)
	}
	require.NoError(t, kept[0].SetReadDeadline(time.Now().Add(4*roomPause)))
	_, err := kept[0].Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.NotContains(t, stop(), "connections wait")
}

// A client that is still sending, more than anybody reads, gets the whole of the reply that ends its connection.
func TestRepliesAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	address, stop := roomServer(t, 8, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}))
	conn := keptConn(t, address)
	send(t, conn, "/", "Content-Length: 1000000000\r\n")
	assert.True(t, receive(t, conn))
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	for range 3 {
		_, err := conn.Write(make([]byte, 1<<10))
		require.NoError(t, err, "it is not reset while the client may be sending")
		time.Sleep(10 * time.Millisecond)
	}
	stop()
}

// A server that takes no connection, as all places are taken, ends all the same.
func TestServeEndsWithoutRoom(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	address, stop := roomServer(t, 1, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	send(t, keptConn(t, address), "/", "")
	<-arrived
	next := keptConn(t, address)
	require.NoError(t, next.SetReadDeadline(time.Now().Add(10*roomPause)))
	_, err := next.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Contains(t, stop(), "connections wait to be taken")
}
