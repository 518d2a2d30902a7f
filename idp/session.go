package idp

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/minidoor/minidoor/provider"
)

const opCode2Session = "code2Session"

const (
	maxCode          = 256 // WeChat's have 32 characters
	maxOpenID        = 128 // WeChat's have 28
	sessionKeyBytes  = 16
	sessionKeyLength = 24 // of the base64 text
)

// Exchange implements provider.Provider. A code that WeChat cannot have issued (empty, over 256 bytes, not printable
// ASCII) is of KindInvalidCode and never sent. Once a request may have reached WeChat there is no second one, so after
// an error of KindUnavailable the client does best to get a new code.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session
func (w *WeChat) Exchange(ctx context.Context, code string) (provider.Session, error) {
	if !isCode(code) {
		return provider.Session{}, &provider.Error{Op: opCode2Session, Kind: provider.KindInvalidCode}
	}
	return shared(ctx, w, opCode2Session, "code:"+code, func(ctx context.Context) (provider.Session, error) {
		return w.code2Session(ctx, code)
	})
}

func (w *WeChat) code2Session(ctx context.Context, code string) (provider.Session, error) {
	r := request{
		op:     opCode2Session,
		method: http.MethodGet, // WeChat reads no body here
		path:   "/sns/jscode2session",
		query: map[string]string{
			"appid":      w.appID,
			"secret":     w.secret.Reveal(),
			"js_code":    code,
			"grant_type": "authorization_code",
		},
		secrets: redactor{code},
	}
	var s sessionReply
	if err := w.call(ctx, r, &s); err != nil {
		return provider.Session{}, err
	}
	return provider.Session{OpenID: s.OpenID, UnionID: s.UnionID, SessionKey: provider.Secret(s.SessionKey)}, nil
}

// sessionReply is WeChat's answer to a code.
type sessionReply struct {
	OpenID     string `json:"openid"`
	UnionID    string `json:"unionid"`
	SessionKey string `json:"session_key"`
}

// valid implements validator.
func (s *sessionReply) valid() bool {
	return isID(s.OpenID) && (s.UnionID == "" || isID(s.UnionID)) && isSessionKey(s.SessionKey)
}

func isCode(code string) bool {
	return code != "" && len(code) <= maxCode && !strings.ContainsFunc(code, func(c rune) bool {
		return c < ' ' || c > '~'
	})
}

// isID reports whether id can be an OpenID or a UnionID. They end up in user names, so nothing else may pass.
func isID(id string) bool {
	return id != "" && len(id) <= maxOpenID && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	})
}

func isSessionKey(text string) bool {
	key, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(key) == sessionKeyBytes && len(text) == sessionKeyLength
}
