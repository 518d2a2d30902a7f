package fakecasdoor

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plain asks without undoing gzip or following a redirect.
func plain(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	reply, err := transport.RoundTrip(r)
	require.NoError(t, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return reply, string(body)
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return r
}

func TestEcho(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	r, err := http.NewRequestWithContext(t.Context(), "PATCH", c.url+"/a%2Fb/c?x=1&y=%20", strings.NewReader("hello"))
	require.NoError(t, err)
	r.Host = "door.example.com"
	r.Header["X-Two"] = []string{"1", "2"}
	_, body := plain(t, r)
	var echo Echo
	require.NoError(t, json.Unmarshal([]byte(body), &echo))
	assert.Equal(t, []string{"1", "2"}, echo.Headers["X-Two"])
	echo.Headers = nil
	assert.Equal(t, Echo{
		Method: "PATCH", Path: "/a%2Fb/c", Query: "x=1&y=%20", Proto: "HTTP/1.1", Host: "door.example.com",
		Bytes: 5, SHA256: hash("hello"),
	}, echo)
}

func TestUploadIsCountedAsItComes(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+PathUpload, in)
	require.NoError(t, err)
	done := make(chan string)
	go func() {
		reply, err := http.DefaultClient.Do(r)
		if !assert.NoError(t, err) {
			close(done)
			return
		}
		defer reply.Body.Close()
		body, _ := io.ReadAll(reply.Body)
		done <- string(body)
	}()
	_, err = out.Write([]byte("first"))
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return c.Uploaded() == 5 }, 10*time.Second, time.Millisecond)
	_, err = out.Write([]byte("second"))
	require.NoError(t, err)
	require.NoError(t, out.Close())
	assert.Contains(t, <-done, hash("firstsecond"))
}

func TestStream(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	reply, err := http.DefaultClient.Do(get(t, c.url+PathStream))
	require.NoError(t, err)
	defer reply.Body.Close()
	assert.Equal(t, "text/event-stream", reply.Header.Get("Content-Type"))
	lines := bufio.NewReader(reply.Body)
	for _, line := range []string{"one", "two"} {
		require.NoError(t, c.SendLine(t.Context(), line))
		got, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "data: "+line+"\n", got)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, c.Streams())
	require.NoError(t, c.EndStream(t.Context()))
	_, err = lines.ReadByte()
	require.ErrorIs(t, err, io.EOF)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.SendLine(ctx, "nobody listens"), context.Canceled)
	require.ErrorIs(t, c.EndStream(ctx), context.Canceled)
}

func TestStreamEndsWithItsClient(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	reply, err := http.DefaultClient.Do(get(t, c.url+PathStream))
	require.NoError(t, err)
	reply.Body.Close()
	assert.Eventually(t, func() bool { return c.Streams() == 0 }, 10*time.Second, time.Millisecond)
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	options := &websocket.DialOptions{Subprotocols: []string{"echo"}}
	conn, _, err := websocket.Dial(t.Context(), c.url+PathWebSocket, options)
	require.NoError(t, err)
	defer conn.CloseNow() //nolint:errcheck // the test is over
	assert.Equal(t, "echo", conn.Subprotocol())
	require.NoError(t, conn.Write(t.Context(), websocket.MessageBinary, []byte("hello")))
	kind, message, err := conn.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, websocket.MessageBinary, kind)
	assert.Equal(t, "hello", string(message))
	require.NoError(t, conn.Close(websocket.StatusNormalClosure, ""))
}

func TestAnswersThatAGatewayMayBreak(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})

	reply, body := plain(t, get(t, c.url+PathGzip))
	assert.Equal(t, "gzip", reply.Header.Get("Content-Encoding"))
	z, err := gzip.NewReader(strings.NewReader(body))
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	assert.Equal(t, "body", string(text))

	reply, body = plain(t, get(t, c.url+PathTrailers))
	assert.Equal(t, "body", body)
	assert.Equal(t, hash("body"), reply.Trailer.Get("X-Checksum"))

	reply, body = plain(t, get(t, c.url+PathNotModified))
	assert.Equal(t, http.StatusNotModified, reply.StatusCode)
	assert.Equal(t, `"1"`, reply.Header.Get("ETag"))
	assert.Empty(t, body)

	reply, _ = plain(t, get(t, c.url+PathCookies))
	assert.Equal(t, http.StatusFound, reply.StatusCode)
	assert.Len(t, reply.Cookies(), 2)
	assert.Equal(t, c.url+"/login?from=%2Fcookies", reply.Header.Get("Location"))

	hints := []int{}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, code)
		assert.NotEmpty(t, h.Get("Link"))
		return nil
	}}
	r := get(t, c.url+PathEarlyHints)
	reply, _ = plain(t, r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	assert.Equal(t, http.StatusOK, reply.StatusCode)
	assert.Equal(t, []int{http.StatusEarlyHints}, hints)
}
