package idp

import (
	"context"
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/minidoor/minidoor/provider"
)

const opCheckText = "msgSecCheck"

const maxText = 2500 // characters

var errText = errors.New("text is empty, over 2500 characters, or not UTF-8")

// CheckText implements provider.TextChecker: the scene is the user's profile, and text is the nickname too. Text that
// is empty, over 2500 characters or not UTF-8 is of KindInvalidContent and never sent.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/sec-center/sec-check/api_msgseccheck
func (w *WeChat) CheckText(ctx context.Context, openID, text string) (provider.Verdict, error) {
	switch {
	case !isID(openID):
		return provider.Verdict{}, &provider.Error{Op: opCheckText, Kind: provider.KindRefused}
	case text == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxText:
		return provider.Verdict{}, invalidContent(opCheckText, errText)
	}
	return shared(ctx, w, opCheckText, "text:"+openID+":"+text, func(ctx context.Context) (provider.Verdict, error) {
		return w.checkText(ctx, openID, text)
	})
}

func (w *WeChat) checkText(ctx context.Context, openID, text string) (provider.Verdict, error) {
	r := request{
		op:     opCheckText,
		method: http.MethodPost,
		path:   "/wxa/msg_sec_check",
		body: map[string]any{
			"content": text, "nickname": text, "version": contentVersion, "scene": sceneProfile, "openid": openID,
		},
	}
	var reply textReply
	err := w.callWithToken(ctx, r, &reply)
	return orRisky(reply.Result.verdict(reply.TraceID), err)
}

// textReply is WeChat's answer to a text.
type textReply struct {
	TraceID string    `json:"trace_id"`
	Result  judgement `json:"result"`
}

// valid implements validator.
func (t *textReply) valid() bool { return t.Result.Suggest != "" && isTraceID(t.TraceID) }
