package fakewechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
)

// Encrypted is what the client of a mini program gets in place of data that only its server may trust.
type Encrypted struct {
	Data      string
	IV        string
	RawData   string // the same without watermark, in clear
	Signature string // of RawData
}

// Encrypt returns data as wx would give it to the user's client now: watermarked, and encrypted with the current
// SessionKey. It is zero for one who has not signed in.
func (s *Server) Encrypt(openID string, data map[string]any) Encrypted {
	key := s.SessionKey(openID)
	if key == "" {
		return Encrypted{}
	}
	raw := marshal(data)
	marked := maps.Clone(data)
	if marked == nil {
		marked = map[string]any{}
	}
	marked["watermark"] = s.watermark()
	iv := randomBytes(aes.BlockSize)
	signature := sha1.Sum(append(bytes.Clone(raw), key...))
	return Encrypted{
		Data:      base64.StdEncoding.EncodeToString(seal(decodeKey(key), iv, marshal(marked), aes.BlockSize)),
		IV:        base64.StdEncoding.EncodeToString(iv),
		RawData:   string(raw),
		Signature: hex.EncodeToString(signature[:]),
	}
}

// seal pads plain to whole blocks of that many bytes, as PKCS#7 has it, and encrypts it with AES in CBC mode.
func seal(key, iv, plain []byte, block int) []byte {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // keys are of the right length
	}
	n := block - len(plain)%block
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(out, out)
	return out
}

func decodeKey(text string) []byte {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err) // a key of this package's, or a caller's mistake
	}
	return key
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a caller's mistake
	}
	return text
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
