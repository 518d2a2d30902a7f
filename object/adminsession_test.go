package object

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What stands in an ipWhitelist is read as Casdoor reads it: networks, parted by commas.
func TestIsWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list    string
		in, out []string
	}{
		{"", []string{"203.0.113.9", "2001:db8::1", ""}, nil},
		{
			"203.0.113.0/24",
			[]string{"203.0.113.0", "203.0.113.255", "::ffff:203.0.113.9"}, []string{"203.0.112.255", "203.0.114.0"},
		},
		{"203.0.113.7/24", []string{"203.0.113.200"}, []string{"203.0.114.7"}}, // the host's bits do not count
		{"203.0.113.7/32", []string{"203.0.113.7"}, []string{"203.0.113.6", "203.0.113.8"}},
		{"203.0.113.128/25", []string{"203.0.113.128"}, []string{"203.0.113.127"}},
		{"0.0.0.0/0", []string{"198.51.100.1"}, []string{"2001:db8::1"}},
		{"2001:db8:1::/48", []string{"2001:db8:1::1", "2001:db8:1:ffff::"}, []string{"2001:db8:2::1", "203.0.113.9"}},
		{"2001:db8::7/128", []string{"2001:db8::7"}, []string{"2001:db8::8"}},
		{
			"203.0.113.0/24,198.51.100.7/32, 2001:db8::/32 ,\t192.0.2.0/24",
			[]string{"203.0.113.1", "198.51.100.7", "2001:db8::1", "192.0.2.1"}, []string{"198.51.100.8", "2001:db9::1", "192.0.3.1"},
		},
		{"nonsense,,203.0.113.0/24,", []string{"203.0.113.1"}, []string{"198.51.100.1"}},
		{"203.0.113.7", nil, []string{"203.0.113.7", "198.51.100.1"}}, // no network
		{" ", nil, []string{"203.0.113.7"}},
	} {
		for _, address := range c.in {
			assert.True(t, isWithin(address, c.list), "%s in %q", address, c.list)
		}
		if c.list != "" {
			c.out = append(c.out, "", "unknown", "203.0.113.7:443")
			for _, own := range []string{"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"} {
				assert.True(t, isWithin(own, c.list), "%s is this machine", own)
			}
		}
		for _, address := range c.out {
			assert.False(t, isWithin(address, c.list), "%s in %q", address, c.list)
		}
	}
}
