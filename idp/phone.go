package idp

import (
	"context"
	"net/http"
	"strings"

	"github.com/minidoor/minidoor/provider"
)

const opPhone = "getPhoneNumber"

const maxDigits = 20 // of a phone number or a calling code; E.164 has 15

// Phone implements provider.PhoneFetcher. As with Exchange, a code that WeChat cannot have issued is never sent, one
// that may have been looked at is not sent again, and simultaneous calls for one user and code share one request.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber
func (w *WeChat) Phone(ctx context.Context, openID, code string) (provider.Phone, error) {
	switch {
	case !isID(openID):
		return provider.Phone{}, &provider.Error{Op: opPhone, Kind: provider.KindRefused}
	case !isCode(code):
		return provider.Phone{}, &provider.Error{Op: opPhone, Kind: provider.KindInvalidPhoneCode}
	}
	return shared(ctx, w, opPhone, "phone:"+openID+":"+code, func(ctx context.Context) (provider.Phone, error) {
		return w.fetchPhone(ctx, openID, code)
	})
}

// fetchPhone sends the OpenID too, so that WeChat refuses the code of another user. A code that comes with an access
// token which WeChat refuses is not looked at, so that callWithToken may send it again.
func (w *WeChat) fetchPhone(ctx context.Context, openID, code string) (provider.Phone, error) {
	r := request{
		op:      opPhone,
		method:  http.MethodPost,
		path:    "/wxa/business/getuserphonenumber",
		body:    map[string]string{"code": code, "openid": openID},
		secrets: redactor{code},
	}
	reply := phoneReply{appID: w.appID}
	if err := w.callWithToken(ctx, r, &reply); err != nil {
		return provider.Phone{}, err
	}
	return provider.Phone{CountryCode: reply.Info.CountryCode, Number: reply.Info.Number}, nil
}

// phoneReply is WeChat's answer to a phone code.
type phoneReply struct {
	appID string
	Info  struct {
		Number      string    `json:"purePhoneNumber"`
		CountryCode string    `json:"countryCode"`
		Watermark   watermark `json:"watermark"`
	} `json:"phone_info"`
}

// watermark says for which mini program, and when, WeChat gave data out.
type watermark struct {
	AppID     string `json:"appid"`
	Timestamp number `json:"timestamp"` // seconds since 1970
}

// valid implements validator.
func (p *phoneReply) valid() bool {
	return isDigits(p.Info.Number) && isDigits(p.Info.CountryCode) && p.Info.Watermark.AppID == p.appID
}

func isDigits(text string) bool {
	return text != "" && len(text) <= maxDigits && !strings.ContainsFunc(text, func(c rune) bool {
		return c < '0' || c > '9'
	})
}
