package fakewechat

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	pushBlock  = 32
	pushSender = "gh_fakewechat0" // who sends events of the platform itself
	pushTarget = "gh_miniprogram0"
)

// PushMode is how messages are sent.
type PushMode int

// The modes of WeChat's console.
const (
	PushPlain PushMode = iota
	PushCompatible
	PushSafe
)

// PushSettings are those of message push in WeChat's console.
type PushSettings struct {
	Token          string
	EncodingAESKey string // 43 characters; for PushPlain not needed
	Mode           PushMode
	XML            bool // instead of JSON
}

// Event is the content of a push message; a value is a string, a number, another Event or a list of them.
type Event map[string]any

// Push is one request of WeChat to the mini program's server.
type Push struct {
	Query       url.Values
	ContentType string
	Body        []byte
}

// NewEvent returns an event about a user, to be completed, such as with "RevokeInfo".
func (s *Server) NewEvent(name, openID string) Event {
	e := s.newEvent(name)
	e["OpenID"], e["AppID"] = openID, s.options.AppID
	return e
}

// NewMediaEvent returns the event with the verdict on a picture.
func (s *Server) NewMediaEvent(m MediaCheck) Event {
	e := s.newEvent("wxa_media_check")
	maps.Copy(e, Event{
		"appid": s.options.AppID, "trace_id": m.TraceID, "version": 2, "errcode": 0, "errmsg": "ok",
		"result": Event{"suggest": m.Verdict.Suggest, "label": m.Verdict.Label},
		"detail": []Event{{
			"strategy": "content_model", "errcode": 0, "suggest": m.Verdict.Suggest, "label": m.Verdict.Label,
		}},
	})
	return e
}

func (s *Server) newEvent(name string) Event {
	return Event{
		"ToUserName": pushTarget, "FromUserName": pushSender, "CreateTime": s.options.Now().Unix(),
		"MsgType": "event", "Event": name,
	}
}

// NewPush returns the request that delivers e now.
func (s *Server) NewPush(settings PushSettings, e Event) Push {
	query := s.signedQuery(settings.Token)
	p := Push{Query: query, ContentType: "application/json"}
	if settings.XML {
		p.ContentType = "text/xml"
	}
	if settings.Mode != PushPlain {
		e = s.encryptEvent(settings, query, e)
	}
	p.Body = e.encode(settings.XML)
	return p
}

// NewVerification returns the query with which WeChat asks whether the address is the mini program's.
func (s *Server) NewVerification(token string) url.Values {
	query := s.signedQuery(token)
	query.Set("echostr", strconv.FormatUint(binary.BigEndian.Uint64(randomBytes(8)), 10))
	return query
}

func (s *Server) signedQuery(token string) url.Values {
	timestamp := strconv.FormatInt(s.options.Now().Unix(), 10)
	nonce := strconv.FormatUint(uint64(binary.BigEndian.Uint32(randomBytes(4))), 10)
	return url.Values{
		"timestamp": {timestamp}, "nonce": {nonce}, "signature": {signPush(token, timestamp, nonce)},
	}
}

// encryptEvent adds what the safe and the compatible mode add to the query, and returns what takes e's place.
func (s *Server) encryptEvent(settings PushSettings, query url.Values, e Event) Event {
	text := e.encode(settings.XML)
	plain := bytes.Join([][]byte{
		randomBytes(16), binary.BigEndian.AppendUint32(nil, uint32(len(text))), text, []byte(s.options.AppID),
	}, nil)
	key := decodeKey(settings.EncodingAESKey + "=")
	encrypted := base64.StdEncoding.EncodeToString(seal(key, key[:16], plain, pushBlock))
	query.Set("encrypt_type", "aes")
	if openID, ok := e["OpenID"].(string); ok {
		query.Set("openid", openID)
	}
	query.Set("msg_signature", signPush(settings.Token, query.Get("timestamp"), query.Get("nonce"), encrypted))
	out := Event{"ToUserName": e["ToUserName"]}
	if settings.Mode == PushCompatible {
		out = maps.Clone(e)
	}
	out["Encrypt"] = encrypted
	return out
}

func signPush(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

func (e Event) encode(asXML bool) []byte {
	if !asXML {
		return marshal(e)
	}
	var b bytes.Buffer
	e.writeXML(&b, "xml")
	return b.Bytes()
}

func (e Event) writeXML(b *bytes.Buffer, name string) {
	fmt.Fprintf(b, "<%s>", name)
	for _, key := range slices.Sorted(maps.Keys(e)) {
		switch v := e[key].(type) {
		case Event:
			v.writeXML(b, key)
		case []Event:
			for _, one := range v {
				one.writeXML(b, key)
			}
		case string:
			fmt.Fprintf(b, "<%s><![CDATA[%s]]></%s>", key, v, key)
		default:
			fmt.Fprintf(b, "<%s>", key)
			xml.EscapeText(b, []byte(fmt.Sprint(v))) //nolint:errcheck // a Buffer takes everything
			fmt.Fprintf(b, "</%s>", key)
		}
	}
	fmt.Fprintf(b, "</%s>", name)
}
