package storetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/shared"
)

func (s *suite) testClaims(t *testing.T) {
	facts := readFacts(t)
	for _, format := range []string{"JWT", "JWT-Empty", "JWT-Standard", "JWT-Custom"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s.testFormat(t, format, facts[format])
		})
	}
	for _, algorithm := range []string{"RS256", "RS512", "ES256", "ES384", "ES512"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			s.testAlgorithm(t, algorithm)
		})
	}
	t.Run("unknown format", func(t *testing.T) {
		n := s.tenant(t, setup{application: row{"tokenFormat": "JWT-Other"}})
		_, err := n.service.SignIn(t.Context(), n.request(t, "oAlice"))
		assert.ErrorContains(t, err, "JWT-Other")
		assert.Zero(t, n.users(t))
	})
	t.Run("algorithm that the cert cannot sign", func(t *testing.T) {
		n := s.tenant(t, setup{application: row{"tokenSigningMethod": "RS256"}})
		_, err := n.service.SignIn(t.Context(), n.request(t, "oAlice"))
		assert.ErrorContains(t, err, "RS256")
		assert.Zero(t, n.users(t))
	})
	t.Run("shared application", s.testSharedApplication)
	t.Run("custom fields", s.testCustomFields)
}

// facts is what Casdoor puts in the tokens of one format.
type facts struct {
	Access  row `json:"accessTokenClaims"`
	Refresh row `json:"refreshTokenClaims"`
}

// readFacts reads what was captured from a Casdoor.
func readFacts(t *testing.T) map[string]facts {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shared.Casdoor(t), "claims.json"))
	require.NoError(t, err)
	var known map[string]facts
	require.NoError(t, json.Unmarshal(text, &known))
	return known
}

func (s *suite) testFormat(t *testing.T, format string, want facts) {
	require.NotEmpty(t, want.Access)
	n := s.tenant(t, setup{refreshJWT: true, application: row{
		"tokenFormat": format,
		"tokenFields": []string{
			"Name", "DisplayName", "Avatar", "Properties.wechatOpenId", "permissionNames", "provider", "signinMethod",
		},
	}})
	for _, code := range []string{"oNew", "oNew"} { // claims of a new user, and of a row that was read
		req := n.request(t, code)
		req.Avatar = "https://thirdwx.qlogo.cn/9"
		token := n.send(t, req)
		access, refresh := decode(t, token.AccessToken), decode(t, token.RefreshToken)
		assert.Equal(t, kinds(want.Access), kinds(access))
		delete(want.Refresh, "TokenType") // Casdoor's JWT-Custom has both spellings; SDKs read either
		assert.Equal(t, kinds(want.Refresh), kinds(refresh))
		assert.Equal(t, "access-token", access["tokenType"])
		assert.Equal(t, "refresh-token", refresh["tokenType"])
		if name, ok := access["name"]; ok {
			assert.Equal(t, "wechat-oNew", name)
		}
		if format != "JWT-Standard" { // the address that Casdoor writes there is one that its SDK does not read
			s.parse(t, n, token)
		}
	}
}

// parse has Casdoor's SDK read the tokens with the cert of the application.
func (s *suite) parse(t *testing.T, n *tenant, token *object.Token) {
	t.Helper()
	cert := s.row(t, `SELECT certificate FROM "cert" WHERE name=?`, fastCert)["certificate"]
	client := sdk.NewClient("https://id.example.com", "app", "secret", cert, n.name, "app")
	access, err := client.ParseJwtToken(token.AccessToken)
	require.NoError(t, err)
	assert.False(t, access.IsRefreshToken())
	assert.Equal(t, n.principal(t, token).User.Id, access.Subject)
	assert.Equal(t, issuer, access.Issuer)
	refresh, err := client.ParseJwtToken(token.RefreshToken)
	require.NoError(t, err)
	assert.True(t, refresh.IsRefreshToken())
}

// decode reads the claims of a token.
func decode(t *testing.T, token string) row {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims row
	require.NoError(t, json.Unmarshal(text, &claims))
	return claims
}

// kinds are the JSON types of claims; a map of claims is followed.
func kinds(claims row) map[string]string {
	found := map[string]string{}
	for name, value := range claims {
		found[name] = fmt.Sprintf("%T", value)
		if inner, ok := value.(row); ok {
			for key, kind := range kinds(inner) {
				found[name+"."+key] = kind
			}
		}
	}
	return found
}

func (s *suite) testAlgorithm(t *testing.T, algorithm string) {
	n := s.tenant(t, setup{application: row{"tokenSigningMethod": algorithm}})
	cert := "cert-" + n.name
	n.apply(t, row{"certs": []row{{"owner": "admin", "name": cert, "cryptoAlgorithm": algorithm}}})
	n.exec(t, 1, `UPDATE "application" SET cert=? WHERE name=?`, cert, "app-"+n.name)
	token := n.signIn(t, "oAlice")
	set, err := n.service.Keys(t.Context())
	require.NoError(t, err)
	keys := set.Key(cert)
	require.Len(t, keys, 1)
	assert.Equal(t, algorithm, keys[0].Algorithm)
	parsed, err := jwt.Parse(token.AccessToken, func(*jwt.Token) (any, error) { return keys[0].Key, nil },
		jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(issuer), jwt.WithAudience("app-"+n.name))
	require.NoError(t, err)
	assert.Equal(t, cert, parsed.Header["kid"])
	assert.Equal(t, "wechat-oAlice", n.principal(t, token).User.Name)

	forged := strings.Join(append(strings.Split(token.AccessToken, ".")[:2], "AAAA"), ".")
	_, err = n.service.Authenticate(t.Context(), forged)
	assertRefused(t, err, object.InvalidToken)
}

// testSharedApplication signs in with one application for several organizations.
func (s *suite) testSharedApplication(t *testing.T) {
	owner, guest := s.tenant(t, setup{application: row{"isShared": true}}), s.tenant(t, setup{})
	id := "app-" + owner.name + "-org-" + guest.name
	req := owner.request(t, "oAlice")
	req.Client = owner.clientOf(t, id)
	token := owner.send(t, req)
	claims := decode(t, token.AccessToken)
	assert.Equal(t, []any{id}, claims["aud"])
	assert.Equal(t, guest.name, claims["owner"])
	assert.Equal(t, 1, guest.users(t))
	assert.Zero(t, owner.users(t))
	assert.Equal(t, guest.name, owner.principal(t, token).User.Owner)
	_, err := owner.service.Refresh(t.Context(), owner.client(t), token.RefreshToken, issuer)
	assertRefused(t, err, object.InvalidGrant)
	next, err := owner.service.Refresh(t.Context(), req.Client, token.RefreshToken, issuer)
	require.NoError(t, err)
	assert.Equal(t, []any{id}, decode(t, next.AccessToken)["aud"])

	// It signs for the guests too with its own organization's cert.
	cert := "cert-" + owner.name
	owner.apply(t, row{"certs": []row{{"owner": owner.name, "name": cert, "cryptoAlgorithm": "ES256"}}})
	owner.changeApplication(t, "app-"+owner.name, row{"cert": cert})
	req.Client = owner.clientOf(t, id)
	assert.Equal(t, guest.name, owner.principal(t, owner.send(t, req)).User.Owner)
}

// testCustomFields checks that no choice of fields puts a secret into a token, or overwrites what makes it valid.
func (s *suite) testCustomFields(t *testing.T) {
	n := s.tenant(t, setup{application: row{"tokenFormat": "JWT-Custom", "tokenFields": []string{
		"Email", "Score", "Password", "PasswordSalt", "TotpSecret", "AccessToken", "RecoveryCodes", "NoSuchField",
		"Properties.sub", "Properties.tokenType", "Properties.color",
	}}})
	n.signIn(t, "oAlice")
	n.exec(t, 1, `UPDATE "user" SET password='SECRET', totp_secret='SECRET', access_token='SECRET', `+
		`email='a@example.com', properties=? WHERE owner=?`,
		`{"sub":"SOMEBODY","tokenType":"refresh-token","color":"red"}`, n.name)
	token := n.signIn(t, "oAlice")
	claims := decode(t, token.AccessToken)
	assert.NotContains(t, fmt.Sprint(claims), "SECRET")
	assert.NotContains(t, fmt.Sprint(claims), "SOMEBODY")
	assert.Equal(t, "a@example.com", claims["email"])
	assert.Equal(t, "red", claims["color"])
	assert.Contains(t, claims, "score")
	n.principal(t, token)
}
