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
		"users": [null, "x"], "applications": null, "syncers": [{"any": "thing"}]
	}`
	var data initData
	require.NoError(t, json.Unmarshal([]byte(text), &data))
	assert.Equal(t, []string{"miniProgramProviders.checkNicknam", "organization", "providers.clinetId"},
		data.unknown([]byte(text)))
}

func TestInitDataThatIsNoJSON(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "init_data.json")
	require.NoError(t, os.WriteFile(file, []byte("{\n\"users\": [\n}"), 0o600))
	err := openStore(t).ApplyInitData(t.Context(), file, false)
	assert.ErrorContains(t, err, file+": line 3: invalid character '}'")
}
