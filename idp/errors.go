package idp

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/minidoor/minidoor/provider"
)

const (
	codeBusy         = -1
	codeStaleToken   = 40001 // or a wrong AppSecret, where a token is fetched
	codeInvalidToken = 40014
	codeExpiredToken = 42001
	codeRisky        = 87014
)

// Where to look depends on the language and age of WeChat's console, so hints name the page by its Chinese title too.
const (
	settings        = " (mp.weixin.qq.com, Development settings / 开发设置)"
	hintNoAppID     = "enter the mini program's AppID as the provider's client id" + settings
	hintNoSecret    = "enter the mini program's AppSecret as the provider's client secret" + settings
	hintWrongAppID  = "the provider's client id is not the AppID of a mini program: copy it anew" + settings
	hintWrongSecret = "the provider's client secret is not the mini program's AppSecret: " +
		"enter the current one, or reset it" + settings
	hintFrozenSecret = "the AppSecret is frozen: unfreeze it, or reset it and enter the new one" + settings
	outgoing         = "this server's outgoing address"
	hintAllowIP      = "add " + outgoing + " to the IP allow list" + settings
	hintConfirmIP    = "the mini program's admin must confirm this server's address in WeChat's message to them"
	hintRefusedIP    = "the mini program's admin refused this server's address: agree with them, " +
		"and have the next request confirmed"
	hintNoTokens    = "WeChat forbids this mini program to fetch access tokens: look for a notice in its console"
	hintNoPushToken = "enter the Token of the mini program's message push (消息推送) as that of the provider" + settings
	hintPushKey     = "enter the EncodingAESKey of the mini program's message push (消息推送), all 43 characters, " +
		"or use its plain mode" + settings
	hintNotAllowed = "this mini program may not use this API: it must be verified and no personal one, " +
		"and some APIs must be enabled" + settings
	hintFrozenAccount = "the mini program's account is frozen: look for a notice in its console"
)

const (
	maxMessage   = 200
	maxRequestID = 64
	mask         = "***"
	busyRetry    = 5 * time.Second
)

// meaning is what an errcode says.
type meaning struct {
	kind       provider.Kind
	retryAfter time.Duration
	advice     advice
}

// advice is what an admin must mend, in one word and in a sentence.
type advice struct {
	fault provider.Fault
	hint  string
}

// meaningOf is the table of WeChat's errcodes. It holds for every call; op tells apart what depends on it.
func meaningOf(op string, code int) meaning {
	if kind := kindOf(op, code); kind != 0 {
		return meaning{kind: kind}
	}
	switch code {
	case 40029, 40163, 41008:
		return meaning{kind: provider.KindInvalidCode}
	case 40226:
		return meaning{kind: provider.KindRefused}
	case 45011, 44991, 87020: // calls a minute; the last: of the same content
		return meaning{kind: provider.KindThrottled, retryAfter: time.Minute}
	case 45009: // calls a day
		return meaning{kind: provider.KindThrottled, retryAfter: time.Hour}
	case 87007, 87009:
		return meaning{kind: provider.KindInvalidSession}
	case 89506:
		return meaning{provider.KindMisconfigured, 24 * time.Hour, refusedIP()}
	case 89507:
		return meaning{provider.KindMisconfigured, time.Hour, refusedIP()}
	}
	if a := adviceOf(op, code); a.hint != "" {
		return meaning{kind: provider.KindMisconfigured, advice: a}
	}
	return meaning{kind: provider.KindUnavailable, retryAfter: busyRetry}
}

// kindOf is the part of the table that depends on the call, or returns 0.
func kindOf(op string, code int) provider.Kind {
	switch op {
	case opPhone:
		switch code {
		// 40013 is a code of another mini program. For one of another user no errcode is documented: 40003 and 40097
		// are what the words of WeChat's general list come near to.
		case 40003, 40013, 40029, 40097, 40163, 41008, 43104:
			return provider.KindInvalidPhoneCode
		}
	case opCheckText, opCheckImage, opCheckMedia:
		switch code {
		case 40003, 43104: // the OpenID is not one of this mini program
			return provider.KindRefused
		case 61010:
			return provider.KindInactive
		case 40004, 40005, 40006, 41005, 44002, 47001, codeRisky:
			return provider.KindInvalidContent
		}
	}
	return 0
}

// adviceOf tells the admin what to mend, or returns none when it is not for them.
func adviceOf(op string, code int) advice {
	switch code {
	case 40013:
		return advice{provider.FaultAppID, hintWrongAppID}
	case 40125:
		return advice{provider.FaultAppSecret, hintWrongSecret}
	case 40164:
		return advice{provider.FaultAddress, hintAllowIP}
	case 40243:
		return advice{provider.FaultFrozenSecret, hintFrozenSecret}
	case 41002:
		return advice{provider.FaultAppID, hintNoAppID}
	case 41004:
		return advice{provider.FaultAppSecret, hintNoSecret}
	case 48001:
		return advice{provider.FaultNotAllowed, hintNotAllowed}
	case 50004:
		return advice{provider.FaultTokensForbidden, hintNoTokens}
	case 50007:
		return advice{provider.FaultFrozenAccount, hintFrozenAccount}
	case 89503:
		return advice{provider.FaultAddressPending, hintConfirmIP}
	case codeStaleToken:
		if op == opStableToken {
			return advice{provider.FaultAppSecret, hintWrongSecret}
		}
	}
	return advice{}
}

func refusedIP() advice { return advice{provider.FaultAddressRefused, hintRefusedIP} }

// platformError is an answer of WeChat that holds an errcode.
func platformError(r request, code int, errmsg string) *provider.Error {
	m := meaningOf(r.op, code)
	message, rid := splitMessage(r.secrets.clean(errmsg))
	address := ""
	if code == 40164 {
		address = addressIn(message)
		m.advice.hint = strings.Replace(m.advice.hint, outgoing, strings.TrimSpace(outgoing+" "+address), 1)
	}
	return &provider.Error{
		Op:         r.op,
		Kind:       m.kind,
		Code:       code,
		Message:    truncate(message, maxMessage),
		RequestID:  truncate(rid, maxRequestID),
		RetryAfter: m.retryAfter,
		Hint:       m.advice.hint,
		Fault:      m.advice.fault,
		Address:    address,
	}
}

// unusable is a provider whose settings can never work.
func unusable(a advice) *provider.Error {
	return &provider.Error{Op: "newProvider", Kind: provider.KindMisconfigured, Hint: a.hint, Fault: a.fault}
}

// unavailable is a call without a usable answer.
func unavailable(r request, cause error) *provider.Error {
	return &provider.Error{
		Op:         r.op,
		Kind:       provider.KindUnavailable,
		RetryAfter: busyRetry,
		Err:        r.secrets.cleanError(cause),
	}
}

// splitMessage takes WeChat's id of the call off an errmsg: ", rid: <id>", once ", hints: [ req_id: <id> ]".
func splitMessage(errmsg string) (message, rid string) {
	for _, mark := range []string{" rid:", ",rid:", " hints:"} {
		i := strings.LastIndex(errmsg, mark)
		if i < 0 {
			continue
		}
		tail := strings.TrimLeft(errmsg[i+len(mark):], " [")
		tail = strings.TrimPrefix(tail, "req_id:")
		return strings.TrimRight(errmsg[:i], " ,"), strings.Trim(tail, " ]")
	}
	return strings.TrimSpace(errmsg), ""
}

// addressIn returns the address in "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist", or nothing.
func addressIn(message string) string {
	_, rest, _ := strings.Cut(message, "invalid ip ")
	text, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	address, err := netip.ParseAddr(strings.TrimRight(text, ","))
	if err != nil {
		return ""
	}
	return address.String()
}

func truncate(text string, runes int) string {
	for i := range text {
		if runes == 0 {
			return text[:i]
		}
		runes--
	}
	return text
}

// redactor lists what must not appear in a text.
type redactor []string

// clean removes the secrets of r, the query of any URL, and what is not printable.
func (r redactor) clean(text string) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, text)
	for _, secret := range r {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, mask)
			text = strings.ReplaceAll(text, url.QueryEscape(secret), mask)
		}
	}
	return cutQueries(text)
}

func cutQueries(text string) string {
	var b strings.Builder
	for {
		head, tail, found := strings.Cut(text, "?")
		b.WriteString(head)
		if !found {
			return b.String()
		}
		b.WriteByte('?')
		text = strings.TrimLeftFunc(tail, func(c rune) bool { return !strings.ContainsRune(" \"'", c) })
	}
}

// cleanError returns what is under every *url.Error of err, which prints the URL and so the AppSecret. A cause that
// shows a secret all the same is replaced by a clean copy of its text.
func (r redactor) cleanError(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	if clean := r.clean(err.Error()); clean != err.Error() {
		return errors.New(clean)
	}
	return err
}
