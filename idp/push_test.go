package idp

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

// WeChat's vectors of message push.
const (
	pushToken = "AAAAA"
	pushAppID = "wxba5fad812f8e6fb9"

	verifyTime = 1714036504
	plainTime  = 1714037059
	plainQuery = "signature=899cf89e464efb63f54ddac96b0a0a235f53aa78&timestamp=1714037059&nonce=486452656"
	plainBody  = `{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY",` +
		`"CreateTime":1714037059,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`
	safeTime  = 1714112445
	safeQuery = "signature=6c5c811b55cc85e0e1b54100749188c20beb3f5d&timestamp=1714112445&nonce=415670741&" +
		"openid=o9AgO5Kd5ggOC-bXrbNODIiE3bGY&encrypt_type=aes&msg_signature=046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"
	safeSealed = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzD" +
		"pVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwK" +
		"SqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
	safeText = `{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY",` +
		`"CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`
)

var (
	pushPlain = provider.PushConfig{Token: pushToken}
	pushSafe  = provider.PushConfig{Token: pushToken, EncodingAESKey: provider.Secret(strings.Repeat("A", 43))}
)

func query(t testing.TB, text string) url.Values {
	t.Helper()
	q, err := url.ParseQuery(text)
	require.NoError(t, err)
	return q
}

func safeBody(t testing.TB) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]string{"ToUserName": "gh_97417a04a28d", "Encrypt": safeSealed})
	require.NoError(t, err)
	return body
}

func TestVerifyPushVector(t *testing.T) {
	t.Parallel()
	w := newApp(t, pushAppID, verifyTime)
	const text = "signature=f464b24fc39322e44b38aa78f5edd27bd1441696&timestamp=1714036504&nonce=1514711492&echostr="
	for _, c := range []provider.PushConfig{pushPlain, pushSafe} {
		echo, err := w.VerifyPush(c, query(t, text+"4375120948345356249"))
		require.NoError(t, err)
		assert.Equal(t, "4375120948345356249", echo)
	}
	for name, bad := range map[string]string{
		"no echo":   text,
		"long echo": text + strings.Repeat("1", 257),
		"forged":    strings.Replace(text, "f464", "0464", 1) + "1",
		"no nonce":  strings.Replace(text, "nonce", "n", 1) + "1",
		"nothing":   "",
	} {
		echo, err := w.VerifyPush(pushPlain, query(t, bad))
		assert.Equal(t, provider.KindInvalidPush, provider.KindOf(err), name)
		assert.Empty(t, echo)
	}
}

func TestOpenPushVectors(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		config  provider.PushConfig
		query   string
		body    string
		seconds int64
	}{
		"plain": {pushPlain, plainQuery, plainBody, plainTime},
		"safe":  {pushSafe, safeQuery, string(safeBody(t)), safeTime},
		"safe in XML": {
			pushSafe, safeQuery,
			"<xml>\n<ToUserName>x</ToUserName><Encrypt><![CDATA[" + safeSealed + "]]></Encrypt></xml>", safeTime,
		},
		"compatible": {pushSafe, safeQuery, `{"Event":"forged","MsgType":"event","Encrypt":"` + safeSealed + `"}`, safeTime},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := newApp(t, pushAppID, c.seconds).OpenPush(c.config, query(t, c.query), []byte(c.body))
			require.NoError(t, err)
			assert.Equal(t, "debug_demo", e.Name)
			assert.Equal(t, time.Unix(c.seconds, 0), e.CreateTime)
			assert.Len(t, e.Key, 64)
		})
	}
	text, appID, ok := decryptPush(make([]byte, 32), safeSealed)
	assert.True(t, ok)
	assert.Equal(t, safeText, string(text))
	assert.Equal(t, pushAppID, appID)
}

func TestPushWindow(t *testing.T) {
	t.Parallel()
	for late, ok := range map[int64]bool{600: true, 601: false, -600: true, -601: false} {
		_, err := newApp(t, pushAppID, plainTime+late).OpenPush(pushPlain, query(t, plainQuery), []byte(plainBody))
		assert.Equal(t, ok, err == nil, late)
		_, err = newApp(t, pushAppID, safeTime+late).OpenPush(pushSafe, query(t, safeQuery), safeBody(t))
		assert.Equal(t, ok, err == nil, late)
	}
}

func TestOpenPushRefuses(t *testing.T) {
	t.Parallel()
	body := string(safeBody(t))
	w := newApp(t, pushAppID, safeTime)
	cases := map[string]struct {
		config      provider.PushConfig
		query, body string
		want        error
	}{
		"clear in spite of the key": {pushSafe, signed("1"), plainBody, errPushPlain},
		"signature for another":     {pushSafe, strings.Replace(safeQuery, "msg_signature", "x", 1), body, errPushSignature},
		"changed cipher":            {pushSafe, safeQuery, strings.Replace(body, "+qdx", "+qdy", 1), errPushSignature},
		"wrong token": {
			provider.PushConfig{Token: "B", EncodingAESKey: pushSafe.EncodingAESKey}, safeQuery, body, errPushSignature,
		},
		"wrong key": {
			provider.PushConfig{Token: pushToken, EncodingAESKey: provider.Secret(strings.Repeat("B", 43))},
			safeQuery, body, errPushCipher,
		},
		"no signature":   {pushPlain, "timestamp=1714112445&nonce=1", plainBody, errPushSignature},
		"empty":          {pushPlain, signed("1"), "", errPushShape},
		"no object":      {pushPlain, signed("1"), "[]", errPushShape},
		"probe":          {pushPlain, signed("1"), `{"action":"CheckContainerPath"}`, errPushShape},
		"wrong types":    {pushPlain, signed("1"), `{"MsgType":"event","Event":"a","CreateTime":{}}`, errPushShape},
		"truncated":      {pushPlain, signed("1"), plainBody[:60], errPushShape},
		"truncated XML":  {pushPlain, signed("1"), "<xml><MsgType>event</MsgType><Event>a</Event>", errPushShape},
		"another root":   {pushPlain, signed("1"), "<x><MsgType>event</MsgType><Event>a</Event></x>", errPushShape},
		"long":           {pushPlain, signed("1"), plainBody + strings.Repeat(" ", 64<<10), errPushShape},
		"bad OpenID":     {pushPlain, signed("1"), `{"MsgType":"event","Event":"a","OpenID":"o:1"}`, errPushShape},
		"bad UnionID":    {pushPlain, signed("1"), `{"MsgType":"event","Event":"a","UnionID":"o 1"}`, errPushShape},
		"another app":    {pushPlain, signed("1"), `{"MsgType":"event","Event":"a","AppID":"wx1"}`, errPushApp},
		"another's app":  {pushPlain, signed("1"), `{"MsgType":"event","Event":"wxa_media_check","appid":"wx1"}`, errPushApp},
		"verdict on air": {pushPlain, signed("1"), `{"MsgType":"event","Event":"wxa_media_check"}`, errPushShape},
		"entity": {
			pushPlain, signed("1"),
			`<!DOCTYPE x [<!ENTITY a "b">]><xml><MsgType>event</MsgType><Event>&a;</Event></xml>`, errPushShape,
		},
		"signed time": {pushPlain, signedAt("+1714112445", "1"), plainBody, errPushTime},
		"no time":     {pushPlain, signedAt("", "1"), plainBody, errPushTime},
	}
	for name, c := range cases {
		e, err := w.OpenPush(c.config, query(t, c.query), []byte(c.body))
		assert.Equal(t, &provider.Error{Op: "openPush", Kind: provider.KindInvalidPush, Err: c.want}, err, name)
		assert.Zero(t, e, name)
	}
}

// signed is the query of a message in clear.
func signed(nonce string) string { return signedAt(strconv.Itoa(safeTime), nonce) }

func signedAt(timestamp, nonce string) string {
	signature := signPush([]string{pushToken, timestamp, nonce})
	return url.Values{"signature": {signature}, "timestamp": {timestamp}, "nonce": {nonce}}.Encode()
}

func TestPushMisconfigured(t *testing.T) {
	t.Parallel()
	w := newApp(t, pushAppID, safeTime)
	for name, c := range map[string]provider.PushConfig{
		"no token": {EncodingAESKey: pushSafe.EncodingAESKey}, "no key": {Token: pushToken},
		"short key": {Token: pushToken, EncodingAESKey: provider.Secret(strings.Repeat("A", 39))},
		"bad key":   {Token: pushToken, EncodingAESKey: provider.Secret(strings.Repeat("!", 43))},
	} {
		_, err := w.OpenPush(c, query(t, safeQuery), safeBody(t))
		var e *provider.Error
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, provider.KindMisconfigured, e.Kind, name)
		assert.Contains(t, e.Hint, "message push", name)
	}
	_, err := w.OpenPush(provider.PushConfig{}, query(t, signed("1")), []byte(plainBody))
	assert.Equal(t, provider.KindMisconfigured, provider.KindOf(err), "an empty token signs nothing")
}

// TestDecryptPush seals what only the holder of the key could.
func TestDecryptPush(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef0123456789abcdef")
	seal := func(random int, length uint32, rest string) string {
		plain := strings.Repeat("r", random) + string(binary.BigEndian.AppendUint32(nil, length)) + rest
		return sealText(key, key[:16], pad(plain, 32))
	}
	text, appID, ok := decryptPush(key, seal(16, 2, "{}wx1"))
	assert.True(t, ok)
	assert.Equal(t, "{}", string(text))
	assert.Equal(t, "wx1", appID)
	for name, sealed := range map[string]string{
		"long length": seal(16, 6, "{}wx1"), "endless length": seal(16, 1<<32-1, "{}wx1"), "no length": seal(8, 0, ""),
		"nothing": "", "no base64": "!", "half a block": "AAAA",
		"padding of 33": sealText(key, key[:16], strings.Repeat("\x21", 48)),
	} {
		_, _, ok := decryptPush(key, sealed)
		assert.False(t, ok, name)
	}
}

func TestPushOfAnotherAppWithTheSameKeys(t *testing.T) {
	t.Parallel()
	_, err := newApp(t, testAppID, safeTime).OpenPush(pushSafe, query(t, safeQuery), safeBody(t))
	require.ErrorIs(t, err, errPushApp)
}

func TestPushEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	revoked := func(info any) fakewechat.Event {
		e := f.fake.NewEvent("user_authorization_revoke", testOpenID)
		e["RevokeInfo"] = info
		return e
	}
	spaced := f.fake.NewEvent("user_authorization_cancellation", " "+testOpenID)
	spaced["MsgType"], spaced["UnionID"] = "Event", "u1"
	message := f.fake.NewEvent("", testOpenID)
	message["MsgType"], message["MsgId"] = "text", 7348374837483748374
	unread := f.fake.NewMediaEvent(fakewechat.MediaCheck{TraceID: "t1"})
	unread["errcode"] = -1008
	risky := fakewechat.MediaCheck{TraceID: "t1", Verdict: fakewechat.Verdict{Suggest: "risky", Label: 20002}}

	base := provider.PushEvent{OpenID: testOpenID, AppID: testAppID, Name: "user_authorization_revoke"}
	with := func(change func(*provider.PushEvent)) provider.PushEvent {
		e := base
		change(&e)
		return e
	}
	all := provider.Withdrawn{Nickname: true, Avatar: true, Phone: true, Email: true}
	cases := map[string]struct {
		event fakewechat.Event
		want  provider.PushEvent
	}{
		"nickname": {revoked("19"), with(func(e *provider.PushEvent) {
			e.Revoked, e.Withdrawn = []int{19}, provider.Withdrawn{Nickname: true}
		})},
		"avatar as a number": {revoked(20), with(func(e *provider.PushEvent) {
			e.Revoked, e.Withdrawn = []int{20}, provider.Withdrawn{Avatar: true}
		})},
		"several": {revoked("6, 8;16"), with(func(e *provider.PushEvent) { e.Revoked, e.Withdrawn = []int{6, 8, 16}, all })},
		"other":   {revoked("13"), with(func(e *provider.PushEvent) { e.Revoked = []int{13} })},
		"none":    {revoked(""), base},
		"cleaned": {f.fake.NewEvent("user_info_modified", testOpenID), with(func(e *provider.PushEvent) {
			e.Name, e.Withdrawn = "user_info_modified", provider.Withdrawn{Nickname: true, Avatar: true}
		})},
		"closed": {spaced, with(func(e *provider.PushEvent) {
			e.Name, e.UnionID = "user_authorization_cancellation", "u1"
		})},
		"message": {message, with(func(e *provider.PushEvent) { e.Name = "text" })},
		"unknown": {f.fake.NewEvent("new_event", testOpenID), with(func(e *provider.PushEvent) { e.Name = "new_event" })},
		"verdict": {f.fake.NewMediaEvent(risky), provider.PushEvent{
			Name: "wxa_media_check", AppID: testAppID,
			Verdict: provider.Verdict{Suggestion: provider.SuggestRisky, Label: 20002, TraceID: "t1"},
		}},
		"unreadable": {unread, provider.PushEvent{
			Name: "wxa_media_check", AppID: testAppID, Code: -1008, Verdict: provider.Verdict{TraceID: "t1"},
		}},
	}
	for name, c := range cases {
		keys := map[string]bool{}
		for _, mode := range []fakewechat.PushMode{fakewechat.PushPlain, fakewechat.PushCompatible, fakewechat.PushSafe} {
			for _, xml := range []bool{false, true} {
				got := f.push(t, mode, xml, c.event)
				assert.Len(t, got.Key, 64)
				keys[got.Key] = true
				want := c.want
				want.Key, want.CreateTime = got.Key, time.Unix(f.clock.Now().Unix(), 0)
				assert.Equal(t, want, got, "%s, mode %d, XML %t", name, mode, xml)
			}
		}
		assert.Len(t, keys, 1, "the key depends on what is said, not how")
	}
}

// push delivers e and returns what arrives.
func (f *fixture) push(t *testing.T, mode fakewechat.PushMode, xml bool, e fakewechat.Event) provider.PushEvent {
	t.Helper()
	const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	p := f.fake.NewPush(fakewechat.PushSettings{Token: pushToken, EncodingAESKey: key, Mode: mode, XML: xml}, e)
	config := provider.PushConfig{Token: pushToken}
	if mode != fakewechat.PushPlain {
		config.EncodingAESKey = key
	}
	got, err := f.wechat.OpenPush(config, p.Query, p.Body)
	require.NoError(t, err)
	return got
}

func TestPushKeysDiffer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	keys := map[string]bool{}
	for _, change := range []fakewechat.Event{
		{}, {"OpenID": "o2"}, {"Event": "b"}, {"RevokeInfo": "8"}, {"CreateTime": 1}, {"MsgId": "1"}, {"MsgId": "2"},
	} {
		e := f.fake.NewEvent("user_authorization_revoke", testOpenID)
		for k, v := range change {
			e[k] = v
		}
		keys[f.push(t, fakewechat.PushPlain, false, e).Key] = true
	}
	assert.Len(t, keys, 7)
}

func TestVerifyPushOfTheFake(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	q := f.fake.NewVerification(pushToken)
	echo, err := f.wechat.VerifyPush(pushPlain, q)
	require.NoError(t, err)
	assert.Equal(t, q.Get("echostr"), echo)
}

func TestNumbersIn(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []int{6, 19, 20}, numbersIn(`["6",19, 020]`))
	assert.Empty(t, numbersIn("99999999999999999999 none"))
	assert.Len(t, numbersIn(strings.Repeat("1,", 1000)), 64)
}

func FuzzOpenPush(f *testing.F) {
	f.Add(safeQuery, safeBody(f), true)
	f.Add(safeQuery, []byte(safeText), false)
	f.Add(plainQuery, []byte(plainBody), false)
	f.Add("", []byte("<xml><MsgType>event</MsgType><Event>user_authorization_revoke</Event>"+
		"<RevokeInfo>6</RevokeInfo></xml>"), false)
	f.Add("", []byte(`{"MsgType":"event","Event":"wxa_media_check","trace_id":"t",`+
		`"result":{"suggest":"pass","label":"100"}}`), true)
	f.Add("", []byte("<xml><Encrypt>"+safeSealed+"</Encrypt></xml>"), true)
	w := newApp(f, pushAppID, safeTime)
	key := make([]byte, 32)
	f.Fuzz(func(t *testing.T, text string, body []byte, encrypted bool) {
		// As it comes, which hardly any input survives the signature of; then with a right one.
		if q, err := url.ParseQuery(text); err == nil {
			_, err := w.OpenPush(pushSafe, q, body)
			assertPushError(t, err)
		}
		config := pushPlain
		q := query(t, signed("1"))
		if encrypted && len(body) < maxPush/2 {
			config = pushSafe
			length := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
			plain := strings.Repeat("r", 16) + string(length) + string(body) + pushAppID
			sealed := sealText(key, key[:16], pad(plain, 32))
			q.Set("msg_signature", signPush([]string{pushToken, q.Get("timestamp"), q.Get("nonce"), sealed}))
			body = []byte(fmt.Sprintf(`{"Encrypt":%q}`, sealed))
		}
		e, err := w.OpenPush(config, q, body)
		if assertPushError(t, err) {
			assert.NotEmpty(t, e.Name)
			assert.Len(t, e.Key, 64)
			assert.True(t, e.OpenID == "" || isID(e.OpenID))
			assert.Contains(t, []string{"", pushAppID}, e.AppID)
		}
	})
}

// assertPushError reports whether there is no error.
func assertPushError(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return true
	}
	kinds := []provider.Kind{provider.KindInvalidPush, provider.KindMisconfigured}
	assert.Contains(t, kinds, provider.KindOf(err))
	return false
}
