package idp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/minidoor/minidoor/provider"
)

const opDecrypt = "decrypt"

const (
	maxEncrypted = 64 << 10 // of base64 text; a profile takes 500 bytes, a month of steps 2 KB
	maxRawData   = 64 << 10

	// The client may have been without a network, so data is good for a day, and the clocks may differ a little. Data
	// that is older could be what the user took back or changed since.
	maxDataAge  = 24 * time.Hour
	maxDataLead = 5 * time.Minute
)

// Decrypt implements provider.Decrypter: AES-128-CBC, the signature of RawData, and the watermark, by which data is of
// this mini program and at most a day old. CBC has no checksum, and so that nobody learns from the answers how far a
// forged text came there is one error for all.
//
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature.html
func (w *WeChat) Decrypt(key provider.Secret, data provider.EncryptedData) (json.RawMessage, error) {
	plain, ok := openData(key, data)
	if !ok || !w.isOurs(plain) {
		return nil, &provider.Error{Op: opDecrypt, Kind: provider.KindInvalidSession}
	}
	return plain, nil
}

func openData(key provider.Secret, data provider.EncryptedData) ([]byte, bool) {
	if !isSessionKey(key.Reveal()) || len(data.Data) > maxEncrypted || !isRawDataSigned(key, data) {
		return nil, false
	}
	iv, err := base64.StdEncoding.DecodeString(data.IV)
	if err != nil || len(iv) != aes.BlockSize {
		return nil, false
	}
	sealed, err := base64.StdEncoding.DecodeString(data.Data)
	if err != nil {
		return nil, false
	}
	return decryptCBC(decodeBase64(key.Reveal()), iv, sealed, aes.BlockSize)
}

// isRawDataSigned reports whether the signature is that of the raw data, or both are missing. It is made with the text
// of the SessionKey, not its bytes.
func isRawDataSigned(key provider.Secret, data provider.EncryptedData) bool {
	if data.RawData == "" && data.Signature == "" {
		return true
	}
	if len(data.RawData) > maxRawData {
		return false
	}
	sum := sha1.Sum([]byte(data.RawData + key.Reveal()))
	return sameText(hex.EncodeToString(sum[:]), data.Signature)
}

// isOurs reports whether plain is a JSON object whose watermark is this mini program's and fresh.
func (w *WeChat) isOurs(plain []byte) bool {
	var data struct {
		Watermark watermark `json:"watermark"`
	}
	if json.Unmarshal(plain, &data) != nil || !sameText(w.appID, data.Watermark.AppID) {
		return false
	}
	age := w.now().Sub(time.Unix(int64(data.Watermark.Timestamp), 0))
	return age <= maxDataAge && age >= -maxDataLead
}

// decryptCBC opens what AES in CBC mode sealed, and takes the padding off: PKCS#7 for blocks of that many bytes.
func decryptCBC(key, iv, sealed []byte, block int) ([]byte, bool) {
	c, err := aes.NewCipher(key)
	if err != nil || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, false
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(c, iv).CryptBlocks(plain, sealed)
	n := int(plain[len(plain)-1])
	if n == 0 || n > block || n > len(plain) {
		return nil, false
	}
	text, padding := plain[:len(plain)-n], plain[len(plain)-n:]
	for _, b := range padding {
		if int(b) != n {
			return nil, false
		}
	}
	return text, true
}

// decodeBase64 decodes what was checked before.
func decodeBase64(text string) []byte {
	b, _ := base64.StdEncoding.DecodeString(text)
	return b
}

// sameText compares in a time that does not depend on where the texts differ.
func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
