package process

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0100007F:1F40":                         "127.0.0.1:8000",
		"00000000:0016":                         "0.0.0.0:22",
		"00000000000000000000000001000000:1F40": "[::1]:8000",
		"0000000000000000FFFF00000100007F:1F40": "127.0.0.1:8000",
	} {
		address, err := parseAddress(text)
		require.NoError(t, err, text)
		assert.Equal(t, netip.MustParseAddrPort(want), address, text)
	}
	_, err := parseAddress("x:1")
	assert.Error(t, err)
}

func TestOutputFindsWhereTheServerListens(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"listening","address":"127.0.0.1:8000","version":"dev"}`,
		`time=2026-01-02T03:04:05Z level=INFO msg=listening address=127.0.0.1:8000 version=dev`,
	} {
		o := output{listening: make(chan struct{})}
		for _, part := range []string{"First start\n", line[:20], line[20:], "\n", "more\n"} {
			n, err := o.Write([]byte(part))
			require.NoError(t, err)
			assert.Equal(t, len(part), n)
		}
		<-o.listening
		assert.Equal(t, "127.0.0.1:8000", o.address)
		assert.Equal(t, "First start\n"+line+"\nmore\n", o.String())
	}
}
