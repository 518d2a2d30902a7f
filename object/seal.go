package object

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/minidoor/minidoor/provider"
)

// Sealer seals SessionKeys with AES-256-GCM and authenticates the tokens of refreshes and of browsers. The first of its
// keys is used for what is new, all of them for what is there.
type Sealer struct {
	keys []sealKey
}

type sealKey struct {
	id      string
	aead    cipher.AEAD
	refresh []byte // the HMAC key of tokens
}

// NewSealer takes one or more keys of 32 bytes each.
func NewSealer(keys [][]byte) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal key: none given")
	}
	s := &Sealer{}
	for i, k := range keys {
		if len(k) != 32 {
			return nil, fmt.Errorf("seal key %d: %d bytes: want 32", i+1, len(k))
		}
		block, err := aes.NewCipher(k)
		if err != nil {
			return nil, fmt.Errorf("seal key %d: %w", i+1, err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("seal key %d: %w", i+1, err)
		}
		refresh, err := hkdf.Key(sha256.New, k, nil, "minidoor refresh token", sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("seal key %d: %w", i+1, err)
		}
		id := sha256.Sum256(k)
		s.keys = append(s.keys, sealKey{hex.EncodeToString(id[:4]), aead, refresh})
	}
	return s, nil
}

// seal encrypts a SessionKey for the identity that it belongs to, and names the key that it did it with.
func (s *Sealer) seal(id Identity, sessionKey provider.Secret) (sealed, keyID string) {
	k := s.keys[0]
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	box := k.aead.Seal(nonce, nonce, []byte(sessionKey.Reveal()), sealedFor(id))
	return base64.StdEncoding.EncodeToString(box), k.id
}

// knows reports whether the key with that id is one of the keys.
func (s *Sealer) knows(keyID string) bool {
	return slices.ContainsFunc(s.keys, func(k sealKey) bool { return k.id == keyID })
}

// errUnsealable means that a sealed SessionKey is damaged, another identity's, or sealed with a key that is gone.
var errUnsealable = errors.New("the sealed session key does not open")

// open decrypts what seal returned.
func (s *Sealer) open(id Identity, sealed, keyID string) (provider.Secret, error) {
	box, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return "", errUnsealable
	}
	for _, k := range s.keys {
		size := k.aead.NonceSize()
		if k.id != keyID || len(box) < size {
			continue
		}
		if text, err := k.aead.Open(nil, box[:size], box[size:], sealedFor(id)); err == nil {
			return provider.Secret(text), nil
		}
	}
	return "", errUnsealable
}

// sealedFor ties a sealed key to its row: moved to another one it does not open.
func sealedFor(id Identity) []byte {
	return fmt.Appendf(nil, "%s\x00%s\x00%s", id.Organization, id.AppID, id.OpenID)
}

// authenticate returns the code of message under the first key.
func (s *Sealer) authenticate(message []byte) []byte { return s.keys[0].code(message) }

// authentic reports whether code is the code of message under one of the keys.
func (s *Sealer) authentic(message, code []byte) bool {
	for _, k := range s.keys {
		if hmac.Equal(k.code(message), code) {
			return true
		}
	}
	return false
}

func (k sealKey) code(message []byte) []byte {
	mac := hmac.New(sha256.New, k.refresh)
	mac.Write(message)
	return mac.Sum(nil)
}
