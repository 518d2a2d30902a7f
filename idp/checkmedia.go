package idp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/minidoor/minidoor/provider"
)

const opCheckMedia = "mediaCheckAsync"

const (
	mediaImage  = 2
	maxMediaURL = 2048
	maxTraceID  = 128
)

var errMediaURL = errors.New("no absolute http or https URL of at most 2048 bytes")

// SubmitImage implements provider.MediaChecker. WeChat takes JPEG, PNG, BMP and GIF up to 10 MB, pushes its verdict
// within 30 minutes, and refuses to look at one picture too often, which is of KindThrottled.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/sec-center/sec-check/api_mediacheckasync
func (w *WeChat) SubmitImage(ctx context.Context, openID, mediaURL string) (string, error) {
	switch {
	case !isID(openID):
		return "", &provider.Error{Op: opCheckMedia, Kind: provider.KindRefused}
	case !isWebURL(mediaURL):
		return "", invalidContent(opCheckMedia, errMediaURL)
	}
	return shared(ctx, w, opCheckMedia, "media:"+openID+":"+mediaURL, func(ctx context.Context) (string, error) {
		r := request{
			op:     opCheckMedia,
			method: http.MethodPost,
			path:   "/wxa/media_check_async",
			body: map[string]any{
				"media_url": mediaURL, "media_type": mediaImage,
				"version": contentVersion, "scene": sceneProfile, "openid": openID,
			},
			secrets: redactor{mediaURL}, // a picture that nobody may see yet
		}
		var reply mediaReply
		err := w.callWithToken(ctx, r, &reply)
		return reply.TraceID, err
	})
}

// mediaReply is WeChat's answer to a URL.
type mediaReply struct {
	TraceID string `json:"trace_id"`
}

// valid implements validator: without an id the verdict could not be told.
func (m *mediaReply) valid() bool { return m.TraceID != "" && isTraceID(m.TraceID) }

// isTraceID reports whether id can be one; it may be empty.
func isTraceID(id string) bool { return id == "" || isCode(id) && len(id) <= maxTraceID }

func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && len(text) <= maxMediaURL && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") &&
		!strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })
}
