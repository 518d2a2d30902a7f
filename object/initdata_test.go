package object

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUnknownInitData(t *testing.T) {
	t.Parallel()
	const text = `{
		"organizations": [{"owner": "admin", "name": "a", "displayname": "A"}],
		"organization": [],
		"providers": [{"owner": "admin", "name": "a", "clinetId": "x"}, {"clinetId": "y"}],
		"miniProgramProviders": [{"checkNickname": true, "checkNicknam": true, "pushEncodingAESKey": ""}],
		"users": [null, "x"], "applications": null, "syncers": [{"any": "thing"}],
		"third_party_links": null, "enforcerPolicies": {}
	}`
	var data initData
	require.NoError(t, json.Unmarshal([]byte(text), &data))
	assert.Equal(t, []string{"miniProgramProviders.checkNicknam", "organization", "providers.clinetId"},
		data.unknown([]byte(text)))
}

func TestInitDataThatDoesNotFit(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	file := filepath.Join(t.TempDir(), "init_data.json")
	for text, want := range map[string]string{
		"{\n\"users\": [\n}":              ": line 3: invalid character '}'",
		`{"users": [{"owner": "admin"}]}`: ": user 1: owner and name are required",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		assert.ErrorContains(t, store.ApplyInitData(t.Context(), file, false), file+want)
	}
	require.NoError(t, os.WriteFile(file, []byte("\ufeff{}"), 0o600))
	assert.NoError(t, store.ApplyInitData(t.Context(), file, false), "a byte order mark is no harm")
}
