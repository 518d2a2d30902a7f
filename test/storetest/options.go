package storetest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (s *suite) testOptions(t *testing.T) {
	n := s.tenant(t, setup{})
	aesKey := strings.Repeat("A", 43)
	n.change(t, setup{options: row{
		"checkNickname": true, "checkAvatar": "async", "onReview": "accept", "onUnchecked": "refuse",
		"pushToken": "Token1", "pushEncodingAESKey": aesKey,
	}})
	stored := func() map[string]string {
		return n.row(t, `SELECT * FROM "mini_program_provider" WHERE name=?`, "wx-"+n.name)
	}
	before := stored()
	assert.Equal(t, "Token1", before["push_token"], "in clear, as Casdoor keeps its own secrets of providers")
	assert.Equal(t, aesKey, before["push_encoding_aes_key"])
	n.change(t, setup{options: row{"pushToken": "***", "pushEncodingAESKey": "***"}})
	assert.Equal(t, before, stored(), "masks mean unchanged")

	for name, c := range map[string]struct {
		options row
		says    string
	}{
		"avatar":      {row{"checkAvatar": "later"}, `checkAvatar: "later" is none of async, sync`},
		"review":      {row{"onReview": "maybe"}, "onReview"},
		"unchecked":   {row{"onUnchecked": "pass"}, "onUnchecked"},
		"short token": {row{"pushToken": "ab"}, "pushToken: want 3 to 32 letters"},
		"odd token":   {row{"pushToken": "a b c d"}, "pushToken"},
		"short key":   {row{"pushEncodingAESKey": "AAAA"}, "pushEncodingAESKey: want the 43 characters"},
		"odd key":     {row{"pushEncodingAESKey": strings.Repeat("!", 43)}, "pushEncodingAESKey"},
		"key alone":   {row{"pushToken": ""}, "needs a pushToken"},
		"no bool":     {row{"checkNickname": "yes"}, "checkNickname"},
	} {
		data := row{"miniProgramProviders": []row{fields{"owner": "admin", "name": "wx-" + n.name}.with(c.options)}}
		err := s.store.ApplyInitData(t.Context(), writeJSON(t, data), false)
		require.ErrorContains(t, err, c.says, name)
		assert.NotContains(t, err.Error(), "!!!", name)
	}
	assert.Equal(t, before, stored())
}
