package idp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/minidoor/minidoor/provider"
)

const opCheckSession = "checkSessionKey"

// CheckSession implements provider.SessionChecker. An empty openID or key is of KindInvalidSession and never sent.
func (w *WeChat) CheckSession(ctx context.Context, openID string, key provider.Secret) error {
	if openID == "" || key == "" {
		return &provider.Error{Op: opCheckSession, Kind: provider.KindInvalidSession}
	}
	signature := sign(key)
	_, err := shared(ctx, w, opCheckSession, "check:"+signature+openID, func(ctx context.Context) (struct{}, error) {
		r := request{
			op:      opCheckSession,
			method:  http.MethodGet,
			path:    "/wxa/checksession",
			query:   map[string]string{"openid": openID, "signature": signature, "sig_method": "hmac_sha256"},
			secrets: redactor{key.Reveal(), signature},
		}
		return struct{}{}, w.callWithToken(ctx, r, &statusReply{})
	})
	return err
}

// sign returns WeChat's signature of a request without a body. Its key is the text of the SessionKey, not its bytes.
func sign(key provider.Secret) string {
	return hex.EncodeToString(hmac.New(sha256.New, []byte(key.Reveal())).Sum(nil))
}

// statusReply is an answer that says no more than how it went.
type statusReply struct {
	Code *number `json:"errcode"`
}

// valid implements validator: an answer without errcode is none.
func (s *statusReply) valid() bool { return s.Code != nil }
