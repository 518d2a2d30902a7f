package test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/fakecasdoor"
	"github.com/minidoor/minidoor/test/harness"
)

// verifier is a back end that knows nothing but the address of a discovery document.
type verifier struct {
	s      *harness.Server
	issuer string
	keys   string // where they are
}

func newVerifier(t *testing.T, s *harness.Server, path string) *verifier {
	t.Helper()
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	s.Call(t, http.MethodGet, path, "", nil).JSON(t, &document)
	require.True(t, strings.HasPrefix(document.JWKSURI, s.URL), document.JWKSURI)
	return &verifier{s, document.Issuer, strings.TrimPrefix(document.JWKSURI, s.URL)}
}

// verify takes the keys as they are now, as a remote key set does for a kid that it does not know.
func (v *verifier) verify(t *testing.T, token, clientID string, now time.Time) error {
	t.Helper()
	var keys jose.JSONWebKeySet
	v.s.Call(t, http.MethodGet, v.keys, "", nil).JSON(t, &keys)
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	require.NoError(t, err)
	var claims jwt.Claims
	if err := parsed.Claims(keys, &claims); err != nil {
		return err
	}
	return claims.Validate(jwt.Expected{Issuer: v.issuer, AnyAudience: jwt.Audience{clientID}, Time: now})
}

// Who trusts one application verifies its sign-ins with its document alone, and nobody else's: also while its key is
// replaced.
func TestApplicationKeys(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	other := harness.App("app-other", "otherclient", harness.Provider)
	other["cert"] = "cert-other"
	own := harness.Row{"cert": "cert-own", "expireInHours": 2, "refreshExpireInHours": 2}
	s := harness.Start(t, harness.Options{
		Now: clock.Now, Application: own,
		Rows: harness.Rows{
			"certs": {
				{"owner": "admin", "name": "cert-own", "cryptoAlgorithm": "ES256"},
				{"owner": "admin", "name": "cert-next", "cryptoAlgorithm": "ES256"},
				{"owner": "admin", "name": "cert-other", "cryptoAlgorithm": "ES256"},
			},
			"applications": {other},
		},
	})
	v := newVerifier(t, s, "/.well-known/"+harness.Application+"/openid-configuration")
	assert.Equal(t, v, newVerifier(t, s, "/.well-known/"+harness.Application+"/oauth-authorization-server"))
	token := s.SignIn(t, "oOwn").AccessToken
	require.NoError(t, v.verify(t, token, harness.ClientID, clock.Now()))
	form := harness.SignInForm(s.NewCode("oOwn"))
	form.Set("client_id", "otherclient")
	others := s.Call(t, http.MethodPost, harness.PathToken, "", form).Tokens(t).AccessToken
	require.Error(t, v.verify(t, others, "otherclient", clock.Now()), "another application's key")
	require.NoError(t, newVerifier(t, s, "/.well-known/openid-configuration").verify(t, others, "otherclient", clock.Now()),
		"which is among those of all")

	app := clientOf(t, s, harness.Application)
	row, err := app.GetApplication(harness.Application)
	require.NoError(t, err)
	row.Cert = "cert-next"
	done, err := app.UpdateApplication(row)
	affected(t, done, err)
	next := s.SignIn(t, "oOwn").AccessToken
	require.Equal(t, "cert-next", keyOf(t, next))
	for _, token := range []string{token, next} {
		require.NoError(t, v.verify(t, token, harness.ClientID, clock.Now()))
	}
	clock.Advance(2*time.Hour - time.Minute)
	next = s.SignIn(t, "oOwn").AccessToken
	require.NoError(t, v.verify(t, token, harness.ClientID, clock.Now()), "the former key is there while its tokens live")
	clock.Advance(2 * time.Minute)
	require.NoError(t, v.verify(t, next, harness.ClientID, clock.Now()))
	keys := s.Call(t, http.MethodGet, v.keys, "", nil).Body
	assert.NotContains(t, keys, "cert-own")
	assert.Contains(t, keys, "cert-next")
}

// Behind a gateway the documents are the Casdoor's; the remote way has none, as it has none of the server's.
func TestApplicationKeysBesideCasdoor(t *testing.T) {
	t.Parallel()
	address, _ := passThrough(t, nil)
	for _, document := range []string{"openid-configuration", "oauth-authorization-server", "jwks", "webfinger"} {
		path := "/.well-known/app%20shop/" + document
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+path, nil)
		require.NoError(t, err)
		_, text := send(t, once(t, "127.0.0.1"), r)
		var echo fakecasdoor.Echo
		harness.Reply{Body: text}.JSON(t, &echo)
		assert.Equal(t, path, echo.Path)

		w := httptest.NewRecorder()
		controllers.New(controllers.Deps{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		assert.Equal(t, http.StatusNotFound, w.Code, "the remote way")
	}
}
