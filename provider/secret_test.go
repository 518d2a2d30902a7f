package provider

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const plain = "0123456789abcdef"

func TestSecretPrintsMasked(t *testing.T) {
	t.Parallel()
	config := Config{Type: "T", ClientID: "id", ClientSecret: plain}
	nested := map[string]any{"config": config, "list": []Secret{plain}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []any{Secret(plain), &config, config, nested, []Config{config}, config.ClientSecret} {
			got := fmt.Sprintf(verb, value)
			assert.NotContains(t, got, plain, "%s of %T", verb, value)
		}
	}
	assert.Equal(t, "***", fmt.Sprint(Secret(plain)))
	assert.Equal(t, `"***"`, fmt.Sprintf("%#v", Secret(plain)))
}

func TestSecretMarshalsMasked(t *testing.T) {
	t.Parallel()
	session := Session{OpenID: "o1", SessionKey: plain}
	text, err := json.Marshal(map[string]any{"session": session, "list": []Secret{plain, ""}})
	require.NoError(t, err)
	assert.JSONEq(t, `{"session":{"OpenID":"o1","UnionID":"","SessionKey":"***"},"list":["***",""]}`, string(text))

	text, err = xml.Marshal(session)
	require.NoError(t, err)
	assert.NotContains(t, string(text), plain)
}

func TestSecretLogsMasked(t *testing.T) {
	t.Parallel()
	config := Config{ClientSecret: plain}
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).With("with", Secret(plain)).Info("m", "secret", Secret(plain), "config", config, "pointer", &config)
	}
	assert.NotContains(t, out.String(), plain)
	assert.Contains(t, out.String(), "secret=***")
}

func TestSecretInError(t *testing.T) {
	t.Parallel()
	err := errors.Join(fmt.Errorf("bad %v", Secret(plain)), fmt.Errorf("bad %+v", Config{ClientSecret: plain}))
	assert.NotContains(t, err.Error(), plain)
}

func TestSecretReveal(t *testing.T) {
	t.Parallel()
	assert.Equal(t, plain, Secret(plain).Reveal())
	assert.Empty(t, Secret("").String(), "an empty secret shows that it is empty")

	var s Secret
	require.NoError(t, json.Unmarshal([]byte(`"`+plain+`"`), &s), "a secret can be read")
	assert.Equal(t, plain, s.Reveal())
}
