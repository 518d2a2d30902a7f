package object

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
)

// defaultAlgorithm is what Casdoor takes where neither application nor cert names one.
const defaultAlgorithm = "RS256"

// key is a cert ready for use.
type key struct {
	owner       string            // the organization that has the private key, or admin
	name        string            // the kid
	certificate *x509.Certificate // nil in a Casdoor before v1.73, which kept the bare public key
	public      crypto.PublicKey
	private     crypto.Signer     // nil for a cert without a private key: it verifies, but does not sign
	algorithm   string            // the cert's own
	headers     map[string]string // of its tokens: see headersOf; never empty
	pair        bool              // private, where there is one, is public's
}

// keyring keeps parsed certs: to parse an RSA key costs as much as a signature, and settings are read anew every few
// seconds. An unchanged cert is the same *key each time.
type keyring struct {
	keys *lru.Cache[sdk.Cert, *key]
}

// maxKeys bounds the certs that are kept beside those that there are: some come and go.
const maxKeys = 1000

// makeRoom lets the ring keep so many certs that there are: of more than it keeps, read one after the other, it would
// know none the next time.
func (r *keyring) makeRoom(certs int) { r.keys.Resize(maxKeys + certs) }

func newKeyring() *keyring { return &keyring{newLRU[sdk.Cert, *key](maxKeys)} }

func (r *keyring) parse(row *sdk.Cert) (*key, error) {
	if k, known := r.keys.Get(*row); known {
		return k, nil
	}
	k, err := parseKey(row)
	if err != nil {
		return nil, err
	}
	if first, known, _ := r.keys.PeekOrAdd(*row, k); known { // somebody was faster
		return first, nil
	}
	return k, nil
}

// keySet are the keys of certs that sign tokens, each name once. A key is parsed when somebody asks for it, once: with
// the certs of thousands of organizations that takes seconds. One that cannot be read is left out, with a warning.
type keySet struct {
	names []string // in the order of the certs
	keys  map[string]func() *key
}

// setOf returns the keys of those of the certs that sign tokens.
func (r *keyring) setOf(log *slog.Logger, rows []*sdk.Cert) *keySet {
	set := &keySet{keys: map[string]func() *key{}}
	certs := map[string][]*sdk.Cert{}
	for _, row := range rows {
		if !SignsTokens(row) {
			continue
		}
		if certs[row.Name] == nil {
			set.names = append(set.names, row.Name)
			set.keys[row.Name] = sync.OnceValue(func() *key { return r.first(log, certs[row.Name]) })
		}
		certs[row.Name] = append(certs[row.Name], row)
	}
	return set
}

// first returns the key of the first of the certs that can be read, or nil.
func (r *keyring) first(log *slog.Logger, rows []*sdk.Cert) *key {
	for _, row := range rows {
		k, err := r.parse(row)
		if err == nil {
			return k
		}
		log.Warn("cert is left out", "cert", row.Name, "reason", err)
	}
	return nil
}

// named returns the key of that name, or nil.
func (s *keySet) named(name string) *key {
	if parsed := s.keys[name]; parsed != nil {
		return parsed()
	}
	return nil
}

// all returns the keys in the order of the certs.
func (s *keySet) all() []*key {
	var keys []*key
	for _, name := range s.names {
		if k := s.named(name); k != nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// SignsTokens reports whether a cert is for tokens. Those of other scopes are for what else a Casdoor does.
func SignsTokens(row *sdk.Cert) bool { return row.Scope == "" || row.Scope == "JWT" }

// parseKey reads the PEM blocks of a cert row: a certificate, a private key or both.
func parseKey(row *sdk.Cert) (*key, error) {
	k := &key{owner: row.Owner, name: row.Name}
	var err error
	if row.PrivateKey != "" {
		if k.private, err = parsePrivateKey(row.PrivateKey); err != nil {
			return nil, fmt.Errorf("cert %s: private key: %w", row.Name, err)
		}
		k.public = k.private.Public()
	}
	if row.Certificate != "" || k.private == nil {
		if k.certificate, err = parseCertificate(row.Certificate); err != nil {
			return nil, fmt.Errorf("cert %s: %w", row.Name, err)
		}
		k.public = k.certificate.PublicKey
	}
	if k.headers, err = headersOf(k); err != nil {
		return nil, err
	}
	if len(k.headers) == 0 { // whoever reads JWKS, all of it, may not know such a key either
		return nil, fmt.Errorf("cert %s: no token is signed with such a key: want RSA of %d bits or more, or ECDSA with P-256, "+
			"P-384 or P-521", row.Name, minRSABits)
	}
	k.pair = k.matches()
	k.algorithm = row.CryptoAlgorithm
	if !k.supports(k.algorithm) {
		k.algorithm = k.naturalAlgorithm()
	}
	return k, nil
}

// matches reports whether private and public key are one pair.
func (k *key) matches() bool {
	return k.private == nil || k.isPublic(k.private.Public())
}

// isPublic reports whether the key's public half is that one.
func (k *key) isPublic(other crypto.PublicKey) bool {
	public, ok := k.public.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && public.Equal(other)
}

// casdoorsOwn is the SHA-256 of a public key, in DER, whose private half anybody may read: it is in Casdoor's repository
// (object/token_jwt_key.key), and a Casdoor that finds the file beside it makes its cert-built-in of it.
const casdoorsOwn = "e9750c7433124b38d6d3c7aee87a65b64e80c3b6ec2cade26a9a9fadad061b4a"

func (k *key) isCasdoorsOwn() bool {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	hash := sha256.Sum256(der)
	return err == nil && hex.EncodeToString(hash[:]) == casdoorsOwn
}

// minRSABits is what crypto/rsa signs and verifies with.
const minRSABits = 1024

// headersOf returns the first part of the key's tokens (RFC 7515 §7.1) by the algorithms, among Casdoor's token signing
// methods, that it can sign and verify with.
func headersOf(k *key) (map[string]string, error) {
	var algorithms []string
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= minRSABits {
			algorithms = []string{"RS256", "RS512"}
		}
	case *ecdsa.PublicKey:
		for algorithm, curve := range curves() {
			if curve == public.Curve {
				algorithms = append(algorithms, algorithm)
			}
		}
	}
	headers := map[string]string{}
	for _, algorithm := range algorithms {
		header, err := json.Marshal(map[string]string{"alg": algorithm, "kid": k.name, "typ": "JWT"})
		if err != nil {
			return nil, err
		}
		headers[algorithm] = base64.RawURLEncoding.EncodeToString(header) + "."
	}
	return headers, nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no certificate in PEM form")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return certificate, nil
}

func parsePrivateKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("not in PEM form")
	}
	if rsaKey, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return rsaKey, nil
	}
	if ecKey, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return ecKey, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("neither PKCS #1, SEC 1 nor PKCS #8")
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T does not sign", parsed)
	}
	return signer, nil
}

// curves maps the ECDSA algorithms of RFC 7518 §3.4 to their curves.
func curves() map[string]elliptic.Curve {
	return map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
}

// noPair is why a cert does not sign: nobody could verify its tokens.
const noPair = "its certificate is not that of its private key"

// supports reports whether the key can sign and verify with an algorithm.
func (k *key) supports(algorithm string) bool { return k.headers[algorithm] != "" }

func (k *key) naturalAlgorithm() string {
	for algorithm := range curves() {
		if k.supports(algorithm) {
			return algorithm
		}
	}
	return defaultAlgorithm
}

// canSign returns why nothing is signed with an algorithm; none is the cert's own.
func (k *key) canSign(algorithm string) error {
	algorithm = cmp.Or(algorithm, k.algorithm)
	switch {
	case k.private == nil || !k.supports(algorithm):
		return fmt.Errorf("cert %s cannot sign %s", k.name, algorithm)
	case !k.pair:
		return fmt.Errorf("cert %s cannot sign: %s", k.name, noPair)
	}
	return nil
}

// sign returns claims, which are JSON, as a JWS (RFC 7515 §7.1), signed with the algorithm that the application asks
// for, or else with the cert's own.
func (k *key) sign(algorithm string, claims []byte) (string, error) {
	algorithm = cmp.Or(algorithm, k.algorithm)
	if err := k.canSign(algorithm); err != nil {
		return "", err
	}
	header := k.headers[algorithm]
	encoding := base64.RawURLEncoding
	const signatureSize = 1024 // of an RSA key of 6144 bits
	var token strings.Builder
	token.Grow(len(header) + encoding.EncodedLen(len(claims)) + signatureSize)
	token.WriteString(header)
	payload := base64.NewEncoder(encoding, &token)
	_, err := payload.Write(claims)
	if err = errors.Join(err, payload.Close()); err != nil {
		return "", err
	}
	signature, err := jwt.GetSigningMethod(algorithm).Sign(token.String(), k.private)
	if err != nil {
		return "", err
	}
	token.WriteByte('.')
	token.WriteString(encoding.EncodeToString(signature))
	return token.String(), nil
}

// jwk returns the public half as JWKS shows it (RFC 7517).
func (k *key) jwk() jose.JSONWebKey {
	jwk := jose.JSONWebKey{Key: k.public, KeyID: k.name, Algorithm: k.algorithm, Use: "sig"}
	if k.certificate != nil {
		jwk.Certificates = []*x509.Certificate{k.certificate}
	}
	return jwk
}

// certType is Casdoor's type of the certs that sign tokens.
const certType = "x509"

// fillCert makes the key pair of a cert that has none, for its algorithm and bit size. A cert with keys, or of another
// type, stays as it is.
func fillCert(row *sdk.Cert) error {
	if row.Type != "" && row.Type != certType {
		return nil // a TLS server's or a payment service's
	}
	if row.Certificate != "" && row.PrivateKey != "" {
		_, err := parseKey(row)
		return err
	}
	row.CryptoAlgorithm = cmp.Or(row.CryptoAlgorithm, defaultAlgorithm)
	row.CreatedTime = cmp.Or(row.CreatedTime, now())
	if row.ExpireInYears <= 0 {
		row.ExpireInYears = 20
	}
	private, block, err := generateKey(row)
	if err != nil {
		return fmt.Errorf("cert %s: %w", row.Name, err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{Organization: []string{row.Owner}, CommonName: row.Name},
		NotBefore:    time.Now().Add(-time.Hour), // the clocks of those who verify may be late
		NotAfter:     time.Now().AddDate(row.ExpireInYears, 0, 0),

		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return fmt.Errorf("cert %s: %w", row.Name, err)
	}
	row.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	row.PrivateKey = string(pem.EncodeToMemory(block))
	return nil
}

func generateKey(row *sdk.Cert) (crypto.Signer, *pem.Block, error) {
	if curve, ok := curves()[row.CryptoAlgorithm]; ok {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		der, err := x509.MarshalECPrivateKey(private)
		return private, &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}, err
	}
	if row.CryptoAlgorithm != "RS256" && row.CryptoAlgorithm != "RS512" {
		return nil, nil, fmt.Errorf("cryptoAlgorithm %q: want RS256, RS512, ES256, ES384 or ES512", row.CryptoAlgorithm)
	}
	switch row.BitSize {
	case 0:
		row.BitSize = 2048
	case 2048, 3072, maxRSABits:
	default:
		return nil, nil, fmt.Errorf("bitSize %d: want 2048, 3072 or 4096", row.BitSize)
	}
	private, err := rsa.GenerateKey(rand.Reader, row.BitSize)
	if err != nil {
		return nil, nil, err
	}
	return private, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}, nil
}
