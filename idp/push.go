package idp

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minidoor/minidoor/provider"
)

const (
	opVerifyPush = "verifyPush"
	opOpenPush   = "openPush"
)

const (
	// pushWindow is how far a message's timestamp may be from now. WeChat delivers a message up to three times within
	// half a minute, and it is not known whether it signs each time anew.
	pushWindow = 10 * time.Minute

	maxPush          = 64 << 10
	pushBlock        = 32 // of the padding; that of AES has 16 bytes
	pushRandomBytes  = 16
	pushLengthBytes  = 4
	encodingKeyChars = 43
)

var (
	errPushSignature = errors.New("signature does not match: forged, or the Token is another one than at WeChat")
	errPushTime      = errors.New("timestamp is missing, or over 10 minutes from this server's clock")
	errPushPlain     = errors.New("message is not encrypted, though there is an EncodingAESKey")
	errPushCipher    = errors.New("message does not decrypt: the EncodingAESKey is another one than at WeChat")
	errPushApp       = errors.New("message is for another mini program")
	errPushShape     = errors.New("message is no JSON or XML of the documented shape, or over 64 KiB")
)

// VerifyPush implements provider.PushReceiver for the GET request that WeChat sends when the settings are saved.
//
// https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
func (w *WeChat) VerifyPush(c provider.PushConfig, query url.Values) (string, error) {
	if err := w.checkPush(opVerifyPush, c, query, query.Get("signature")); err != nil {
		return "", err
	}
	echo := query.Get("echostr")
	if !isCode(echo) {
		return "", invalidPush(opVerifyPush, errPushShape)
	}
	return echo, nil
}

// OpenPush implements provider.PushReceiver. The form of a message, JSON or XML, and its mode are seen from its
// content; in the compatible mode, where it holds both, only what is encrypted counts. In the plain mode nothing signs
// the body: who sees one request can make up others for 10 minutes, so that an EncodingAESKey is better.
func (w *WeChat) OpenPush(c provider.PushConfig, query url.Values, body []byte) (provider.PushEvent, error) {
	var none provider.PushEvent
	m, err := parsePush(body)
	if err != nil {
		return none, err
	}
	switch {
	case m.Encrypt != "":
		m, err = w.openEncrypted(c, query, m.Encrypt)
	case c.EncodingAESKey != "":
		err = invalidPush(opOpenPush, errPushPlain)
	default:
		err = w.checkPush(opOpenPush, c, query, query.Get("signature"))
	}
	if err != nil {
		return none, err
	}
	return w.pushEvent(m)
}

// checkPush checks the signature of the Token, the query's timestamp and nonce and, maybe, a text, and the timestamp.
func (w *WeChat) checkPush(op string, c provider.PushConfig, query url.Values, signature string, text ...string) error {
	if c.Token == "" {
		return &provider.Error{Op: op, Kind: provider.KindMisconfigured, Hint: hintNoPushToken}
	}
	timestamp := query.Get("timestamp")
	parts := append([]string{c.Token.Reveal(), timestamp, query.Get("nonce")}, text...)
	if !sameText(signPush(parts), signature) {
		return invalidPush(op, errPushSignature)
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || !isDigits(timestamp) || w.now().Sub(time.Unix(seconds, 0)).Abs() > pushWindow {
		return invalidPush(op, errPushTime)
	}
	return nil
}

// signPush returns WeChat's signature of parts.
func signPush(parts []string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// openEncrypted returns the message in an Encrypt field, of which msg_signature is the signature; WeChat's other one
// does not cover it.
func (w *WeChat) openEncrypted(c provider.PushConfig, query url.Values, sealed string) (*pushMessage, error) {
	// Not in strict mode: the last of the 43 characters may hold any bits.
	key, err := base64.StdEncoding.DecodeString(c.EncodingAESKey.Reveal() + "=")
	if len(c.EncodingAESKey) != encodingKeyChars || err != nil {
		return nil, &provider.Error{Op: opOpenPush, Kind: provider.KindMisconfigured, Hint: hintPushKey}
	}
	if err := w.checkPush(opOpenPush, c, query, query.Get("msg_signature"), sealed); err != nil {
		return nil, err
	}
	text, appID, ok := decryptPush(key, sealed)
	switch {
	case !ok:
		return nil, invalidPush(opOpenPush, errPushCipher)
	case !sameText(appID, w.appID):
		return nil, invalidPush(opOpenPush, errPushApp)
	}
	return parsePush(text)
}

// decryptPush takes 16 random bytes, a length, a text of that length and an AppID apart. The IV is not documented: it
// is the first 16 bytes of the key.
func decryptPush(key []byte, sealed string) (text []byte, appID string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, "", false
	}
	plain, ok := decryptCBC(key, key[:16], b, pushBlock)
	if !ok || len(plain) < pushRandomBytes+pushLengthBytes {
		return nil, "", false
	}
	length := binary.BigEndian.Uint32(plain[pushRandomBytes:])
	rest := plain[pushRandomBytes+pushLengthBytes:]
	if uint64(length) > uint64(len(rest)) {
		return nil, "", false
	}
	return rest[:length], string(rest[length:]), true
}

// parsePush reads JSON or XML, by the first character.
func parsePush(body []byte) (*pushMessage, error) {
	var m pushMessage
	text := bytes.TrimSpace(body)
	ok := len(text) > 0 && len(body) <= maxPush
	switch {
	case ok && text[0] == '{':
		ok = m.readJSON(text)
	case ok && text[0] == '<':
		ok = m.readXML(text)
	default:
		ok = false
	}
	if !ok {
		return nil, invalidPush(opOpenPush, errPushShape)
	}
	return &m, nil
}

func invalidPush(op string, cause error) *provider.Error {
	return &provider.Error{Op: op, Kind: provider.KindInvalidPush, Err: cause}
}
