package object

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// What is wrong with the file is told at once, up to where the database fails.
func TestInitDataThatFails(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	file := filepath.Join(t.TempDir(), "init_data.json")
	require.NoError(t, os.WriteFile(file, []byte(`{
		"organizations": [{"owner": "admin"}],
		"providers": [{"owner": "admin", "name": "wx"}],
		"certs": [{"owner": "admin", "name": "c", "cryptoAlgorithm": "x"}],
		"users": [{"owner": "a"}]
	}`), 0o600))
	for _, c := range []struct {
		full bool
		want []string
	}{
		{false, []string{"organization 1: owner and name are required", "cert admin/c: ", "user 1: owner and name are required"}},
		{true, []string{"organization 1: owner and name are required", "provider admin/wx: "}},
	} {
		if c.full {
			_, err := store.engine.Exec("CREATE TRIGGER full BEFORE INSERT ON provider BEGIN SELECT RAISE(ABORT, 'full'); END")
			require.NoError(t, err)
		}
		err := store.ApplyInitData(t.Context(), file, false)
		require.Error(t, err)
		told := strings.Split(err.Error(), "\n")
		require.Len(t, told, len(c.want), err)
		for i, want := range c.want {
			assert.Contains(t, told[i], want)
		}
	}
}

// What an admin has changed and the file undoes is told, so that it can be changed in the file too.
func TestInitDataTellsWhatItChanges(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	var log bytes.Buffer
	store.log = slog.New(slog.NewTextHandler(&log, nil))
	file := filepath.Join(t.TempDir(), "init_data.json")
	require.NoError(t, os.WriteFile(file, []byte(`{
		"organizations": [{"owner": "admin", "name": "shop"}],
		"providers": [{"owner": "admin", "name": "wx", "clientId": "id", "clientSecret": "first"}],
		"applications": [{"owner": "admin", "name": "app", "organization": "shop", "providers": [{"name": "wx"}],
			"organizationObj": {"name": "no column"}}],
		"users": [{"owner": "shop", "name": "boss", "password": "password", "properties": {"a": "b"}, "createdTime": ""}],
		"miniProgramProviders": [{"owner": "admin", "name": "wx", "checkNickname": true}]
	}`), 0o600))
	for range 2 {
		require.NoError(t, store.ApplyInitData(t.Context(), file, false))
		assert.Empty(t, log.String(), "what is new, or as in the file")
		_, err := store.engine.Exec("UPDATE user SET created_time='2026-01-01T00:00:00Z' WHERE name='boss'")
		require.NoError(t, err)
	}
	_, err := store.engine.Exec("UPDATE provider SET client_secret='second'")
	require.NoError(t, err)
	require.NoError(t, store.ApplyInitData(t.Context(), file, true))
	assert.Empty(t, log.String(), "what exists stays")
	require.NoError(t, store.ApplyInitData(t.Context(), file, false))
	assert.Contains(t, log.String(), `changed=1 rows="provider admin/wx"`)
	assert.NotContains(t, log.String(), "first")
}
