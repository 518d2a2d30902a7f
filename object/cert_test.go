package object

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func algorithms() []string { return []string{"RS256", "RS512", "ES256", "ES384", "ES512"} }

func TestFillCert(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		algorithm string
		bits      int
		supports  []string
	}{
		{"", 0, []string{"RS256", "RS512"}},
		{"RS512", 3072, []string{"RS256", "RS512"}}, {"RS256", 4096, []string{"RS256", "RS512"}},
		{"ES256", 0, []string{"ES256"}}, {"ES384", 4096, []string{"ES384"}}, {"ES512", 0, []string{"ES512"}},
	} {
		t.Run(c.algorithm, func(t *testing.T) {
			t.Parallel()
			row := &sdk.Cert{Owner: "admin", Name: "cert", CryptoAlgorithm: c.algorithm, BitSize: c.bits}
			require.NoError(t, fillCert(row))
			k, err := parseKey(row)
			require.NoError(t, err)
			if public, ok := k.certificate.PublicKey.(*rsa.PublicKey); ok {
				assert.Equal(t, row.BitSize, public.N.BitLen())
			}
			assert.Equal(t, row.CryptoAlgorithm, k.algorithm)
			testSigning(t, k, c.supports)
			filled := *row
			require.NoError(t, fillCert(&filled))
			assert.Equal(t, *row, filled, "a cert with keys stays as it is")
		})
	}
	for _, row := range []sdk.Cert{
		{CryptoAlgorithm: "EdDSA"}, {CryptoAlgorithm: "HS256"}, {CryptoAlgorithm: "rs256"}, {BitSize: 1024}, {BitSize: 1},
		{Certificate: "x", PrivateKey: "x"},
	} {
		assert.Error(t, fillCert(&row), "%+v", row)
	}
}

func testSigning(t *testing.T, k *key, supports []string) {
	t.Helper()
	for _, algorithm := range algorithms() {
		text, err := k.sign(algorithm, []byte(`{"sub":"alice"}`))
		if !assert.Equal(t, slices.Contains(supports, algorithm), err == nil, algorithm) || err != nil {
			continue
		}
		parsed, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return k.certificate.PublicKey, nil },
			jwt.WithValidMethods([]string{algorithm}))
		require.NoError(t, err)
		assert.Equal(t, k.name, parsed.Header["kid"])
	}
	text, err := k.sign("", []byte("{}"))
	require.NoError(t, err)
	parsed, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
	require.NoError(t, err)
	assert.Equal(t, k.algorithm, parsed.Method.Alg(), "the cert's own")
	for _, algorithm := range []string{"none", "HS256", "PS256", "EdDSA", "x"} {
		_, err := k.sign(algorithm, []byte("{}"))
		assert.Error(t, err, algorithm)
	}
	jwk := k.jwk()
	assert.True(t, jwk.Valid() && jwk.IsPublic())
	assert.Equal(t, []string{k.name, k.algorithm, "sig"}, []string{jwk.KeyID, jwk.Algorithm, jwk.Use})
}

// selfSigned returns a certificate of a private key in PEM form.
func selfSigned(t *testing.T, public, private any) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestKeyForms reads private keys as the tools that make certs write them.
func TestKeyForms(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	certificate := selfSigned(t, ec.Public(), ec)
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ec)
	require.NoError(t, err)
	for form, der := range map[string][]byte{"EC PRIVATE KEY": sec1, "PRIVATE KEY": pkcs8} {
		private := string(pem.EncodeToMemory(&pem.Block{Type: form, Bytes: der}))
		k, err := parseKey(&sdk.Cert{Name: "cert", CryptoAlgorithm: "RS256", Certificate: certificate, PrivateKey: private})
		require.NoError(t, err, form)
		assert.Equal(t, "ES384", k.algorithm, "what the key is, whatever the row says")
		testSigning(t, k, []string{"ES384"})
	}
	public, err := parseKey(&sdk.Cert{Name: "cert", Certificate: certificate})
	require.NoError(t, err)
	_, err = public.sign("ES384", []byte("{}"))
	assert.ErrorContains(t, err, "cannot sign")
	alone, err := parseKey(&sdk.Cert{Name: "cert", PrivateKey: string(pem.EncodeToMemory(&pem.Block{
		Type: "EC PRIVATE KEY", Bytes: sec1,
	}))})
	require.NoError(t, err)
	assert.True(t, alone.isPublic(ec.Public()), "a cert may have a private key alone")
	for name, row := range map[string]sdk.Cert{
		"empty": {}, "no PEM": {Certificate: "x"}, "no key in PEM": {Certificate: certificate, PrivateKey: "x"},
		"no certificate": {Certificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
		"no key":         {Certificate: certificate, PrivateKey: certificate},
	} {
		_, err := parseKey(&row)
		assert.Error(t, err, name)
	}
}

// A key whose signatures would take the time of all others' is not let in.
func TestLargeKey(t *testing.T) {
	t.Parallel()
	for bits, fits := range map[int]bool{2048: true, maxRSABits + 8: false} {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		require.NoError(t, err)
		block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}
		err = completeManagedCert(&sdk.Cert{
			Name: "cert", CryptoAlgorithm: "RS256", Certificate: selfSigned(t, private.Public(), private),
			PrivateKey: string(pem.EncodeToMemory(block)),
		}, nil)
		if fits {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "4096 bits at most")
		}
	}
}

// Keys that no token is signed with are none: in JWKS one that a library does not know may cost all others.
func TestKeyOfOtherKind(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	for name, row := range map[string]*sdk.Cert{
		"Ed25519": {
			Certificate: selfSigned(t, public, private),
			PrivateKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		},
		"P-224":             curveOfNoToken(t),
		"RSA with 512 bits": {PrivateKey: rsa512},
	} {
		_, err := parseKey(row)
		assert.ErrorContains(t, err, "want RSA of 1024 bits or more, or ECDSA with P-256, P-384 or P-521", name)
	}
}

// curveOfNoToken is a cert that x509 reads, and JOSE has no name for.
func curveOfNoToken(t *testing.T) *sdk.Cert {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	return &sdk.Cert{
		Owner: "admin", Name: "p224", Scope: "JWT", Certificate: selfSigned(t, private.Public(), private),
		PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
	}
}

// rsa512 is a key that crypto/rsa neither makes nor uses any more.
const rsa512 = `-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBANcLpuO63aEEtI/RDT/1IEM4Yh/PMEWC9rQdj4/2EgUMhygX8o2O
fuOez0Q5re2VKcqUDYEvyku3OlkzfVH6QS0CAwEAAQJBALagXZ4fL2M0pMdSaac8
XKbZtnN/OGaAH1W9mRNQjeMcPw0dX4TlY+4UoX1Y4ytWgUrwZ0+5hUv28Yz8W0Tm
JKECIQDs6hli/f3wqYin6wmjE+ig7jufMoN843PGGUJghnbTKQIhAOhejGQjquqs
D+QaMcPNxrslaCo7jaQuXgFWmGYX0aJlAiBpYyWR3Ix23uN0VuB9k6Ca3f7VrWHC
T2ezyo61Y3s+KQIgOzck9bv1KVpxrkJSnkBJPZXZxrFodgdu405rBdFaFdUCICr+
VWowTgJSzZSXykes94krbMIqZvt7OUCZTY3KGBgo
-----END RSA PRIVATE KEY-----
`

// A cert whose two halves do not belong together verifies what it has signed, and signs nothing.
func TestCertOfTwoPairs(t *testing.T) {
	t.Parallel()
	one := &sdk.Cert{Owner: "admin", Name: "cert", CryptoAlgorithm: "ES256"}
	other := *one
	require.NoError(t, fillCert(one))
	require.NoError(t, fillCert(&other))
	k, err := parseKey(one)
	require.NoError(t, err)
	_, err = k.sign("", []byte("{}"))
	require.NoError(t, err)
	one.PrivateKey = other.PrivateKey
	k, err = parseKey(one)
	require.NoError(t, err)
	_, err = k.sign("", []byte("{}"))
	assert.ErrorContains(t, err, noPair)
	assert.Equal(t, found(Problem, "cert admin/cert: %s", noPair), openStore(t).diagnoseCert(one, time.Now()))
}

// Of a TLS server's or a payment service's cert, as Casdoor dumps it, nothing is asked.
func TestCertOfOtherType(t *testing.T) {
	t.Parallel()
	row := sdk.Cert{Owner: "admin", Name: "pay", Type: "Payment", Scope: "JWT", Certificate: "x", PrivateKey: "y"}
	filled := row
	require.NoError(t, completeCert(&filled, nil))
	assert.Equal(t, row, filled)
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	row := &sdk.Cert{Name: "cert", CryptoAlgorithm: "ES256"}
	require.NoError(t, fillCert(row))
	ring := newKeyring()
	first, err := ring.parse(row)
	require.NoError(t, err)
	same := *row
	again, err := ring.parse(&same)
	require.NoError(t, err)
	assert.Same(t, first, again)
	same.Name = "renamed"
	other, err := ring.parse(&same)
	require.NoError(t, err)
	assert.NotSame(t, first, other)
	_, err = ring.parse(&sdk.Cert{Name: "bad"})
	assert.Error(t, err)
}

// However many certs there are, a key is parsed once, and when somebody asks for it.
func TestKeysOfManyCerts(t *testing.T) {
	t.Parallel()
	row := sdk.Cert{CryptoAlgorithm: "ES256"}
	require.NoError(t, fillCert(&row))
	var rows []*sdk.Cert
	for i := range maxKeys + 10 {
		cert := row
		cert.Name = fmt.Sprint("cert-", i)
		rows = append(rows, &cert)
	}
	store := openStore(t)
	require.NoError(t, store.write(t.Context(), func(tx *txn) error {
		for _, cert := range rows {
			if _, err := store.certs.insert(tx, cert, ""); err != nil {
				return err
			}
		}
		return nil
	}))
	known := store.keyring.keys.Len()
	keys, err := store.keys(t.Context())
	require.NoError(t, err)
	assert.Equal(t, known, store.keyring.keys.Len(), "nobody has asked for one")
	all := keys.all()
	assert.Len(t, all, len(rows)+1)
	again, err := store.keys(t.Context())
	require.NoError(t, err)
	again.all()
	for _, k := range all {
		require.Same(t, k, again.named(k.name))
	}
	assert.Nil(t, again.named(""))
}

// The key of a cert for something else, such as a TLS server, may be in other hands: nobody's token is signed with it.
func TestKeysOfOtherScopesSignNoTokens(t *testing.T) {
	t.Parallel()
	token := sdk.Cert{Name: "token", Scope: "JWT", CryptoAlgorithm: "ES256"}
	require.NoError(t, fillCert(&token))
	tls := token
	tls.Name, tls.Scope = "tls", "SSL"
	keys := newKeyring().setOf(slog.New(slog.DiscardHandler), []*sdk.Cert{&tls, &token})
	assert.Nil(t, keys.named("tls"))
	assert.Len(t, keys.all(), 1)
	assert.NotNil(t, keys.named("token"))
}

// casdoorsKey is the public key of object/token_jwt_key.pem in Casdoor's repository, as it is from v1.41 to v3.158.
const casdoorsKey = "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAsInpb5E1/ym0f1RfSDSSE8IR7y+lw+RJjI74e5ejrq4b8zMYk7HeHCyZ" +
	"r/hmNEwEVXnhXu1P0mBeQ5ypp/QGo8vgEmjAETNmzkI1NjOQCjCYwUrasO/f/MnI1C0j13vx6mV1kHZjSrKsMhYY1vaxTEP3+VB8" +
	"Hjg3MHFWrb07uvFMCJe5W8+0rKErZCKTR8+9VB3janeBz//zQePFVh79bFZate/hLirPK0Go9P1gOvwIoC1A3sarHTP4Qm/LQRt0" +
	"rHqZFybdySpyWAQvhNaDFE7mTstRSBb/wUjNCUBDPTSLVjC04WllSf6Nkfx0Z7KvmbPstSj+btvcqsvRAGtvdsB9h62Kptjs1Yn7" +
	"GAuoI3qt/4zoKbiURYxkQJXIvwCQsEftUuk5ew5zuPSlDRLoLByQTLbx0JqLAFNfW3g/pzSDjgd/60d6HTmvbZni4SmjdyFhXCDb" +
	"1Kn7N+xTojnfaNkwep2REV+RMc0fx4GuhRsnLsmkmUDeyIZ9aBL9oj11YEQfM2JZEq+RVtUx+wB4y8K/tD1bcY+IfnG5rBpwIDpS" +
	"262boq4SRSvb3Z7bB0w4ZxvOfJ/1VLoRftjPbLIf0bhfr/AeZMHpIKOXvfz4yE+hqzi68wdF0VR9xYc/RbSAf7323OsjYnjjEgIn" +
	"UtRohnRgCpjIk/Mt2Kt84Kb0wn8CAwEAAQ=="

func TestCasdoorsOwnKey(t *testing.T) {
	t.Parallel()
	der, err := base64.StdEncoding.DecodeString(casdoorsKey)
	require.NoError(t, err)
	public, err := x509.ParsePKIXPublicKey(der)
	require.NoError(t, err)
	assert.True(t, (&key{public: public}).isCasdoorsOwn())
	row := sdk.Cert{CryptoAlgorithm: "ES256"}
	require.NoError(t, fillCert(&row))
	another, err := parseKey(&row)
	require.NoError(t, err)
	assert.False(t, another.isCasdoorsOwn())
}
