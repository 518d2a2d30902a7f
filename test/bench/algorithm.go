package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"time"
)

// algorithm is a way to sign tokens. The server has an application for each.
type algorithm struct {
	flag  string // its name in -alg, and in floor's
	label string
	cert  map[string]any
	key   func() (crypto.Signer, error)
}

func algorithms() map[string]algorithm {
	cert := func(cryptoAlgorithm string, bits int) map[string]any {
		return map[string]any{"cryptoAlgorithm": cryptoAlgorithm, "bitSize": bits}
	}
	rsaKey := func(bits int) func() (crypto.Signer, error) {
		return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
	}
	return map[string]algorithm{
		"RS256":  {"RS256", rs2048, cert("RS256", 2048), rsaKey(2048)},
		"RS4096": {"RS4096", rs4096, cert("RS256", 4096), rsaKey(4096)},
		"ES256": {"ES256", es256, cert("ES256", 0), func() (crypto.Signer, error) {
			return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}},
	}
}

// The labels of the algorithms.
const (
	rs2048 = "RS256-2048"
	rs4096 = "RS256-4096"
	es256  = "ES256"
)

func (a algorithm) clientID() string { return "bench-" + a.flag }

// cost returns how long a signature takes while the machine does nothing else: the median of some.
func (a algorithm) cost() (time.Duration, error) {
	key, err := a.key()
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte(a.label))
	took := make([]time.Duration, 31)
	for i := range took {
		start := time.Now()
		if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			return 0, err
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
