package fakecasdoor

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// What the claim tokenType says.
const (
	accessKind  = "access-token"
	refreshKind = "refresh-token"
)

const pathDiscovery = "/.well-known/openid-configuration"

// newCert makes a key pair and signs its certificate with it.
func newCert(bits int, now time.Time) *sdk.Cert {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err) // bits come from a test
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(123456),
		Subject:      pkix.Name{Organization: []string{"admin"}, CommonName: Cert},
		NotBefore:    now, NotAfter: now.AddDate(20, 0, 0),
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err) // as above
	}
	return &sdk.Cert{
		Owner: "admin", Name: Cert, CreatedTime: now.UTC().Format(time.RFC3339), DisplayName: "Built-in Cert",
		Scope: "JWT", Type: "x509", CryptoAlgorithm: "RS256", BitSize: bits, ExpireInYears: 20,
		Certificate: encode("CERTIFICATE", der),
		PrivateKey:  encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
	}
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// grant is what a token is signed for.
type grant struct {
	kind, row, scope, host string // row is the name of the token row
}

// sign makes a token in Casdoor's format "JWT", with the key of the application's cert. The caller holds s.mu.
func (s *Server) sign(app *sdk.Application, u sdk.User, g grant) string {
	now := s.now()
	claims := convert[jwt.MapClaims](u)
	delete(claims, "accessToken")
	for name, value := range map[string]any{
		"tokenType": g.kind, "azp": app.ClientId, "iss": "http://" + g.host, "sub": u.Id, "scope": g.scope,
		"aud": []string{app.ClientId}, "jti": "admin/" + g.row,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(hours(app.ExpireInHours)).Unix(),
	} {
		claims[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	if g.kind == accessKind {
		token.Header["kid"] = app.Cert
	}
	cert, _ := find(s.rows.Certs, "admin/"+app.Cert)
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(cert.PrivateKey))
	if err != nil {
		panic(err) // a test has put another cert there
	}
	text, err := token.SignedString(key)
	if err != nil {
		panic(err) // as above
	}
	return text
}

func hours(n float64) time.Duration { return time.Duration(n * float64(time.Hour)) }

// parse verifies a token with the application's cert. The caller holds s.mu.
func (s *Server) parse(app *sdk.Application, text string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) {
		cert, _ := find(s.rows.Certs, "admin/"+app.Cert)
		return jwt.ParseRSAPublicKeyFromPEM([]byte(cert.Certificate))
	}, jwt.WithTimeFunc(s.now))
	return claims, err
}

func (s *Server) jwks(*call) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := jose.JSONWebKeySet{}
	for _, row := range s.rows.Certs {
		block, _ := pem.Decode([]byte(row.Certificate))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			panic(err) // as in sign
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: cert.PublicKey, Certificates: []*x509.Certificate{cert}, KeyID: row.Name,
			Algorithm: row.CryptoAlgorithm, Use: "sig",
		})
	}
	return set
}

func (s *Server) discovery(c *call) any {
	base := "http://" + c.Host
	return map[string]any{
		"issuer":                                      base,
		"authorization_endpoint":                      base + "/login/oauth/authorize",
		"token_endpoint":                              base + "/api/login/oauth/access_token",
		"userinfo_endpoint":                           base + "/api/userinfo",
		"device_authorization_endpoint":               base + "/api/device-auth",
		"registration_endpoint":                       base + "/api/oauth/register",
		"jwks_uri":                                    base + "/.well-known/jwks",
		"introspection_endpoint":                      base + "/api/login/oauth/introspect",
		"end_session_endpoint":                        base + "/api/logout",
		"response_types_supported":                    []string{"code", "token"},
		"response_modes_supported":                    []string{"query"},
		"grant_types_supported":                       []string{"authorization_code", "client_credentials", "refresh_token"},
		"subject_types_supported":                     []string{"public"},
		"id_token_signing_alg_values_supported":       []string{"RS256"},
		"scopes_supported":                            []string{"openid", "profile"},
		"code_challenge_methods_supported":            []string{"S256"},
		"claims_supported":                            []string{"iss", "sub"},
		"dpop_signing_alg_values_supported":           []string{"RS256"},
		"request_object_signing_alg_values_supported": []string{"HS256"},
		"request_parameter_supported":                 true,
		"backchannel_logout_supported":                true,
		"backchannel_logout_session_supported":        true,
	}
}
