package controllers_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// A body that is broken is its sender's fault.
func TestPushedBodyIsBroken(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Push: fakewechat.PushSettings{Token: "PushToken1"}})
	address := serve(t, s.Handler)
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	for name, sent := range map[string]string{
		"no size of a chunk": chunked + "ZZ\r\n{}\r\n0\r\n\r\n",
		"chunk cut off":      chunked + "5\r\n{}",
		"no last chunk":      chunked + "2\r\n{}\r\n",
		"body cut off":       "Content-Length: 100\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = io.WriteString(conn, "POST "+harness.PathPush+" HTTP/1.1\r\nHost: x\r\n"+sent)
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer func() { _ = reply.Body.Close() }()
			body, err := io.ReadAll(reply.Body)
			require.NoError(t, err)
			assert.Equal(t, http.StatusBadRequest, reply.StatusCode)
			assert.Equal(t, casdoor("the body ends too early"), string(body))
		})
	}
	assert.Len(t, s.Log.Lines(`"msg":"request refused"`, `"status":400`), 4)
	assert.Empty(t, s.Log.Lines(`"level":"ERROR"`))
}
