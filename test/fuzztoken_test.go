package test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// FuzzTokens shows whatever a stranger may as access and refresh token: nobody gets in with another text than the one
// that was issued, and what is refused is the sender's fault.
func FuzzTokens(f *testing.F) {
	s := harness.Start(f, harness.Options{})
	jwts := harness.Start(f, harness.Options{RefreshTokenJWT: true})
	opaque, pair := s.SignIn(f, "oTokens"), jwts.SignIn(f, "oTokens")
	head, rest, _ := strings.Cut(opaque.AccessToken, ".")
	for _, token := range []string{
		opaque.AccessToken, opaque.RefreshToken, pair.AccessToken, pair.RefreshToken, "", ".", "..", "a.b.c",
		head + ".." + rest,
		opaque.AccessToken + "=", strings.Replace(opaque.AccessToken, ".", ".\n", 1), strings.Repeat("e30.", 99),
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"cert-built-in"}`)) + "." + rest,
		base64.RawURLEncoding.EncodeToString(make([]byte, 80)),
	} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, server := range []*harness.Server{s, jwts} {
			issued := map[*harness.Server]harness.Tokens{s: opaque, jwts: pair}[server]
			_, err := server.Service.Authenticate(t.Context(), token)
			checkRefused(t, err, token == issued.AccessToken)
			client, err := server.Service.Client(t.Context(), harness.ClientID)
			require.NoError(t, err)
			told, err := server.Service.Introspect(t.Context(), client, token)
			require.NoError(t, err)
			assert.Equal(t, token == issued.AccessToken || token == issued.RefreshToken, told.Active)
			if token != issued.RefreshToken { // that works once
				_, err = server.Service.Refresh(t.Context(), client, token, "https://id.example.com")
				checkRefused(t, err, false)
			}
		}
	})
}

func checkRefused(t *testing.T, err error, taken bool) {
	t.Helper()
	if taken {
		assert.NoError(t, err)
		return
	}
	_, refused := errors.AsType[*object.Refusal](err)
	assert.True(t, refused, "%v", err)
}

// FuzzBearer sends whatever a stranger may as Authorization: the answer is Casdoor's.
func FuzzBearer(f *testing.F) {
	s := harness.Start(f, harness.Options{})
	for _, text := range []string{
		"Bearer", "Bearer  x", "bearer a.b.c", "Basic !", "Basic YTpi", "Basic Og==", "\x00", "Bearer é",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		for path, method := range map[string]string{
			harness.PathAccount: "GET", "/api/get-user?id=shop/boss": "GET", harness.PathIntrospect: "POST",
			harness.PathProfile: "POST",
		} {
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("{}"))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, r)
			assert.Less(t, w.Code, http.StatusInternalServerError, w.Body)
			var answer map[string]any
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			assert.NotEqual(t, "ok", answer["status"])
			assert.NotEqual(t, true, answer["active"])
		}
	})
}

// FuzzInitData applies whatever stands in an init data file: it is applied, or refused with an error, and the store
// goes on.
func FuzzInitData(f *testing.F) {
	f.Add(`{"organizations":[{"owner":"admin","name":"o"}],"users":[{"owner":"o","name":"u","password":"p"}]}`)
	f.Add(`{"certs":[{"owner":"admin","name":"c","certificate":"-----BEGIN","privateKey":"x"}]}`)
	f.Add(`{"applications":[{"owner":"admin","name":"a","organization":"none","providers":[null]}],"providers":[null]}`)
	f.Add(`{"miniProgramProviders":[{"owner":"admin","name":"x","shareUnionId":true}],"unknown":[1]}`)
	f.Add(`[]`)
	f.Add(`{"users":[{"owner":1,"name":null,"properties":[]}]}`)
	s := harness.Start(f, harness.Options{})
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "init_data.json")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		if err := s.Store.ApplyInitData(t.Context(), file, true); err != nil {
			assert.NotContains(t, err.Error(), "panic")
		}
		require.NoError(t, s.Store.Ping(t.Context()))
	})
}
