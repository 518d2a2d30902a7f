package storetest

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"sync"

	"github.com/minidoor/minidoor/provider"
)

// wechat is a platform that knows everybody. It answers a code "OpenID" or "OpenID UnionID".
type wechat struct {
	whileChecking func() // runs while a text is judged; may be nil
	whilePhoning  func() // runs while a phone number is asked for; may be nil

	stale bool // all SessionKeys are

	mu    sync.Mutex
	calls []string // of the capabilities
}

// Type implements provider.Provider.
func (*wechat) Type() string { return "WeChatMiniProgram" }

// Exchange implements provider.Provider.
func (*wechat) Exchange(_ context.Context, code string) (provider.Session, error) {
	openID, unionID, _ := strings.Cut(code, " ")
	return provider.Session{OpenID: openID, UnionID: unionID, SessionKey: sessionKey(openID)}, nil
}

func sessionKey(openID string) provider.Secret { return provider.Secret("SESSION-KEY-OF-" + openID) }

func (w *wechat) called(call string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, call)
}

// taken returns the calls since the last time.
func (w *wechat) taken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls
}

// CheckText implements provider.TextChecker: the text itself says how it is judged.
func (w *wechat) CheckText(_ context.Context, openID, text string) (provider.Verdict, error) {
	w.called("text " + openID + " " + text)
	if w.whileChecking != nil {
		w.whileChecking()
	}
	switch {
	case strings.Contains(text, "down"):
		return provider.Verdict{}, &provider.Error{Op: "checkText", Kind: provider.KindUnavailable}
	case strings.Contains(text, "away"):
		return provider.Verdict{}, &provider.Error{Op: "checkText", Kind: provider.KindInactive}
	case strings.Contains(text, "broken"):
		return provider.Verdict{}, &provider.Error{Op: "checkText", Kind: provider.KindInvalidContent}
	case strings.Contains(text, "risky"):
		return provider.Verdict{Suggestion: provider.SuggestRisky}, nil
	case strings.Contains(text, "review"):
		return provider.Verdict{Suggestion: provider.SuggestReview}, nil
	}
	return provider.Verdict{Suggestion: provider.SuggestPass}, nil
}

// Phone implements provider.PhoneFetcher: the code is the calling code and the number.
func (w *wechat) Phone(_ context.Context, openID, code string) (provider.Phone, error) {
	w.called("phone " + openID)
	if w.whilePhoning != nil {
		w.whilePhoning()
	}
	calling, number, ok := strings.Cut(code, "-")
	if !ok {
		return provider.Phone{}, &provider.Error{Op: "phone", Kind: provider.KindInvalidPhoneCode}
	}
	return provider.Phone{CountryCode: calling, Number: number}, nil
}

// SubmitImage implements provider.MediaChecker: everybody knows the TraceID. See traceOf.
func (*wechat) SubmitImage(_ context.Context, openID, _ string) (traceID string, err error) {
	return traceOf(openID), nil
}

func traceOf(openID string) string { return "trace-" + openID }

// CheckSession implements provider.SessionChecker.
func (w *wechat) CheckSession(_ context.Context, openID string, key provider.Secret) error {
	w.called("session " + openID)
	if w.stale || key != sessionKey(openID) {
		return &provider.Error{Op: "checkSession", Kind: provider.KindInvalidSession}
	}
	return nil
}

// Decrypt implements provider.Decrypter: data is encrypted by putting the key before it.
func (w *wechat) Decrypt(key provider.Secret, data provider.EncryptedData) (json.RawMessage, error) {
	plain, ok := strings.CutPrefix(data.Data, key.Reveal())
	if !ok {
		return nil, &provider.Error{Op: "decrypt", Kind: provider.KindInvalidSession}
	}
	return json.RawMessage(plain), nil
}

// VerifyPush implements provider.PushReceiver: the token in clear is the signature.
func (*wechat) VerifyPush(c provider.PushConfig, query url.Values) (string, error) {
	if query.Get("token") != c.Token.Reveal() {
		return "", &provider.Error{Op: "verifyPush", Kind: provider.KindInvalidPush}
	}
	return query.Get("echostr"), nil
}

// OpenPush implements provider.PushReceiver: a message is the event as JSON.
func (w *wechat) OpenPush(c provider.PushConfig, query url.Values, body []byte) (e provider.PushEvent, err error) {
	if _, err := w.VerifyPush(c, query); err != nil {
		return e, err
	}
	return e, json.Unmarshal(body, &e)
}
