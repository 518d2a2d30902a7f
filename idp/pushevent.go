package idp

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minidoor/minidoor/provider"
)

const (
	maxEventName = 64
	maxRevoked   = 64
)

// WeChat's numbers of what a user can withdraw, as far as they are parts of a profile. The last two are what the user
// took over into our own form from the nickname keyboard and the avatar button.
const (
	revokedProfile  = 6
	revokedPhone    = 8
	revokedEmail    = 16
	revokedNickname = 19
	revokedAvatar   = 20
)

// pushMessage is a pushed message, or the envelope of one. WeChat spells the AppID in two ways, which XML tells apart.
type pushMessage struct {
	XMLName xml.Name `json:"-" xml:"xml"`
	Encrypt string   `json:"Encrypt" xml:"Encrypt"`

	From       string  `json:"FromUserName" xml:"FromUserName"`
	CreateTime number  `json:"CreateTime" xml:"CreateTime"`
	Type       string  `json:"MsgType" xml:"MsgType"`
	ID         anyText `json:"MsgId" xml:"MsgId"`
	Event      string  `json:"Event" xml:"Event"`

	OpenID     string  `json:"OpenID" xml:"OpenID"`
	UnionID    string  `json:"UnionID" xml:"UnionID"`
	AppID      string  `json:"AppID" xml:"AppID"`
	RevokeInfo anyText `json:"RevokeInfo" xml:"RevokeInfo"`

	CheckAppID string    `json:"appid" xml:"appid"`
	TraceID    string    `json:"trace_id" xml:"trace_id"`
	Code       number    `json:"errcode" xml:"errcode"`
	Result     judgement `json:"result" xml:"result"`
}

// anyText is a string, or the JSON of anything else.
type anyText string

// UnmarshalJSON reads any JSON.
func (a *anyText) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) != nil {
		s = string(text)
	}
	*a = anyText(s)
	return nil
}

func (m *pushMessage) readJSON(text []byte) bool { return json.Unmarshal(text, m) == nil }

// readXML needs no guard against entities: encoding/xml knows the five of XML alone and fetches nothing.
func (m *pushMessage) readXML(text []byte) bool { return xml.Unmarshal(text, m) == nil }

// pushEvent checks what a message says and returns it in the terms of package provider.
func (w *WeChat) pushEvent(m *pushMessage) (provider.PushEvent, error) {
	e := provider.PushEvent{
		Name:    m.name(),
		OpenID:  strings.TrimSpace(m.OpenID),
		UnionID: strings.TrimSpace(m.UnionID),
		AppID:   strings.TrimSpace(m.AppID + m.CheckAppID),
		Key:     m.key(),
	}
	switch {
	case e.Name == "" || e.OpenID != "" && !isID(e.OpenID) || e.UnionID != "" && !isID(e.UnionID):
		return provider.PushEvent{}, invalidPush(opOpenPush, errPushShape)
	case e.AppID != "" && e.AppID != w.appID:
		return provider.PushEvent{}, invalidPush(opOpenPush, errPushApp)
	}
	if m.CreateTime > 0 {
		e.CreateTime = time.Unix(int64(m.CreateTime), 0)
	}
	switch e.Name {
	case provider.PushRevoked:
		e.Revoked = numbersIn(string(m.RevokeInfo))
		e.Withdrawn = withdrawn(e.Revoked)
	case provider.PushProfileCleaned:
		e.Withdrawn = withdrawn([]int{revokedProfile})
	case provider.PushMediaChecked:
		if !isTraceID(m.TraceID) || m.TraceID == "" {
			return provider.PushEvent{}, invalidPush(opOpenPush, errPushShape)
		}
		e.Code = int(m.Code)
		e.Verdict = provider.Verdict{TraceID: m.TraceID}
		if e.Code == 0 {
			e.Verdict = m.Result.verdict(m.TraceID)
		}
	}
	return e, nil
}

// name returns the event, or the type of a message that is none. WeChat writes "event" in two ways.
func (m *pushMessage) name() string {
	name := m.Event
	if !strings.EqualFold(m.Type, "event") {
		name = m.Type
	}
	return truncate(redactor{}.clean(strings.TrimSpace(name)), maxEventName)
}

// key tells messages apart by the id or, as events have none, by what they say: WeChat's own rule, sender and second,
// is not enough where the sender is the platform itself.
func (m *pushMessage) key() string {
	parts := []string{
		string(m.ID), m.From, strconv.Itoa(int(m.CreateTime)), m.Type, m.Event,
		m.OpenID, string(m.RevokeInfo), m.TraceID,
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// numbersIn returns the numbers in text: it is not documented how several are separated.
func numbersIn(text string) []int {
	var numbers []int
	for _, digits := range strings.FieldsFunc(text, func(c rune) bool { return c < '0' || c > '9' }) {
		if n, err := strconv.Atoi(digits); err == nil && len(numbers) < maxRevoked {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func withdrawn(revoked []int) provider.Withdrawn {
	has := func(n int) bool { return slices.Contains(revoked, n) }
	return provider.Withdrawn{
		Nickname: has(revokedProfile) || has(revokedNickname),
		Avatar:   has(revokedProfile) || has(revokedAvatar),
		Phone:    has(revokedPhone),
		Email:    has(revokedEmail),
	}
}
