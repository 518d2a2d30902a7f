package fakewechat

import (
	"net/http"
	"time"
)

// Phone is a user's phone number.
type Phone struct {
	CountryCode string // such as "86"
	Number      string // without the country code
}

// phoneCode is one that was given out.
type phoneCode struct {
	openID  string
	phone   Phone
	expires time.Time
	spent   bool
}

// phoneCodes are never forgotten: only tests and the demo ask for some.
type phoneCodes map[string]*phoneCode

// NewPhoneCode returns what the phone button would give to a user who agrees: 64 characters that give the number once,
// within 5 minutes.
func (s *Server) NewPhoneCode(openID string, p Phone) string {
	text := randomHex(32)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phones[text] = &phoneCode{openID: openID, phone: p, expires: s.options.Now().Add(codeLife)}
	s.keep(text)
	return text
}

type phoneReply struct {
	status
	Info phoneInfo `json:"phone_info"`
}

type phoneInfo struct {
	Number      string    `json:"phoneNumber"` // with the country code, unless that is China's
	Pure        string    `json:"purePhoneNumber"`
	CountryCode string    `json:"countryCode"`
	Watermark   watermark `json:"watermark"`
}

type watermark struct {
	Timestamp int64  `json:"timestamp"`
	AppID     string `json:"appid"`
}

// phone serves POST /wxa/business/getuserphonenumber.
func (s *Server) phone(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Code   string `json:"code"`
		OpenID string `json:"openid"`
	}
	errcode := s.readCall(r, &in)
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	p, errcode := s.spendPhone(in.Code, in.OpenID)
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	info := phoneInfo{Number: p.Number, Pure: p.Number, CountryCode: p.CountryCode, Watermark: s.watermark()}
	if p.CountryCode != "86" {
		info.Number = "+" + p.CountryCode + p.Number
	}
	reply(w, phoneReply{status{0, "ok"}, info})
}

// spendPhone returns the number of a code. A code that another user shows is not spent by it; which errcode WeChat has
// for that is not documented.
func (s *Server) spendPhone(code, openID string) (Phone, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, found := s.phones[code]
	switch {
	case !found || c.spent || !s.options.Now().Before(c.expires):
		return Phone{}, 40029
	case openID != "" && openID != c.openID:
		return Phone{}, 40003
	}
	c.spent = true
	return c.phone, 0
}

func (s *Server) watermark() watermark { return watermark{s.options.Now().Unix(), s.options.AppID} }
