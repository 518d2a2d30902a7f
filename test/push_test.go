package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

const (
	pushToken  = "PushToken1"
	pushAESKey = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
)

// startPushed starts a server to which messages are pushed, with the settings that WeChat has too.
func startPushed(t *testing.T, settings fakewechat.PushSettings) *harness.Server {
	t.Helper()
	return harness.Start(t, harness.Options{Push: settings})
}

// fill gives the account of an OpenID a profile and a phone number.
func fill(t *testing.T, s *harness.Server, openID string) (token string) {
	t.Helper()
	token = s.SignIn(t, openID).AccessToken
	reply := s.Call(t, "POST", harness.PathProfile, token, map[string]string{
		"nickName": "小明", "avatarUrl": "https://example.com/a.png",
	})
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	code := s.Fake.NewPhoneCode(openID, chinese("13800000000"))
	require.Equal(t, http.StatusOK, s.Call(t, "POST", harness.PathPhone, token, fieldsOf{"code": code}).Status)
	reply = s.Call(t, "POST", harness.PathUpdateUser, token, fieldsOf{"email": openID + "@example.com"})
	require.Equal(t, "ok", reply.Map(t)["status"])
	return token
}

// deliver delivers a message as WeChat does: what the server could not do in the time that it has is sent again.
func deliver(t *testing.T, s *harness.Server, push fakewechat.Push) {
	t.Helper()
	const times, hurry = 4, 500 * time.Millisecond
	for n := 1; ; n++ {
		start := time.Now()
		reply := s.Deliver(t, push)
		if reply.Status == http.StatusServiceUnavailable && time.Since(start) > hurry && n < times {
			continue // the machine is busy
		}
		assertSuccess(t, reply)
		return
	}
}

func assertSuccess(t *testing.T, reply harness.Reply) {
	t.Helper()
	assert.Equal(t, http.StatusOK, reply.Status, reply.Body)
	assert.Equal(t, "success", reply.Body)
	assert.Equal(t, "text/plain; charset=utf-8", reply.Header.Get("Content-Type"))
}

// Each mode and form of WeChat's console, with each part of a profile that can be withdrawn.
func TestPushWithdrawal(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]fakewechat.PushSettings{
		"plain JSON":      {Token: pushToken},
		"plain XML":       {Token: pushToken, XML: true},
		"compatible JSON": {Token: pushToken, EncodingAESKey: pushAESKey, Mode: fakewechat.PushCompatible},
		"safe JSON":       {Token: pushToken, EncodingAESKey: pushAESKey, Mode: fakewechat.PushSafe},
		"safe XML":        {Token: pushToken, EncodingAESKey: pushAESKey, Mode: fakewechat.PushSafe, XML: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startPushed(t, settings)
			query := s.Fake.NewVerification(pushToken)
			reply := s.Call(t, "GET", harness.PathPush+"?"+query.Encode(), "", nil)
			assert.Equal(t, http.StatusOK, reply.Status)
			assert.Equal(t, query.Get("echostr"), reply.Body)

			token, other := fill(t, s, "oMe"), fill(t, s, "oOther")
			untouched, want := s.Account(t, other), s.Account(t, token)
			for _, c := range []struct {
				event, info string
				gone        []string
			}{
				{"user_authorization_revoke", "2", nil}, // the address, which is not stored from WeChat
				{"user_authorization_revoke", "8", []string{"phone", "countryCode"}},
				{"user_authorization_revoke", "16", []string{"email"}},
				{"user_authorization_revoke", "19", []string{"displayName"}},
				{"user_authorization_revoke", "20", []string{"avatar"}},
			} {
				event := s.Fake.NewEvent(c.event, "oMe")
				event["RevokeInfo"] = c.info
				deliver(t, s, s.Fake.NewPush(settings, event))
				account := s.Account(t, token)
				for _, field := range c.gone {
					assert.NotEmpty(t, want[field])
					want[field] = ""
				}
				if c.info == "8" {
					delete(want["properties"].(map[string]any), "wechatPhoneVerified")
				}
				want["updatedTime"] = account["updatedTime"]
				assert.Equal(t, want, account, c.info)
			}
			fill(t, s, "oMe")
			deliver(t, s, s.Fake.NewPush(settings, s.Fake.NewEvent("user_info_modified", "oMe")))
			account := s.Account(t, token)
			assert.Empty(t, account["displayName"])
			assert.Empty(t, account["avatar"])
			assert.NotEmpty(t, account["phone"])
			assert.Equal(t, untouched, s.Account(t, other))
		})
	}
}

func TestPushCancellation(t *testing.T) {
	t.Parallel()
	settings := fakewechat.PushSettings{Token: pushToken, EncodingAESKey: pushAESKey, Mode: fakewechat.PushSafe}
	s := startPushed(t, settings)
	token, other := fill(t, s, "oMe"), fill(t, s, "oOther")
	tokens := s.SignIn(t, "oMe")
	event := s.Fake.NewPush(settings, s.Fake.NewEvent("user_authorization_cancellation", "oMe"))
	deliver(t, s, event)

	for _, dead := range []string{token, tokens.AccessToken} {
		assert.Equal(t, "error", s.Call(t, "GET", harness.PathAccount, dead, nil).Map(t)["status"])
	}
	assert.Equal(t, http.StatusBadRequest, s.Call(t, "POST", harness.PathRefresh, "", refreshForm(tokens.RefreshToken)).Status)
	reply := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oMe")))
	assert.Equal(t, "access_denied", reply.Map(t)["error"])
	assert.Equal(t, "1|||||", s.Value(t, "SELECT is_forbidden||'|'||display_name||'|'||avatar||'|'||phone||'|'||email||'|'||"+
		"created_ip FROM user WHERE name='wechat-oMe'"))
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM mini_program_session WHERE open_id='oMe'"))
	require.Eventually(t, func() bool {
		return s.Value(t, "SELECT COUNT(*) FROM token WHERE user='wechat-oMe'") == "0"
	}, 30*time.Second, 10*time.Millisecond, "the rows of dead tokens go")
	assert.NotEmpty(t, s.Account(t, other)["displayName"])
	deliver(t, s, event)
}

// What is no message of WeChat's changes nothing.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	settings := fakewechat.PushSettings{Token: pushToken, EncodingAESKey: pushAESKey, Mode: fakewechat.PushSafe}
	s := startPushed(t, settings)
	token := fill(t, s, "oMe")
	before := s.Account(t, token)
	newPush := func(settings fakewechat.PushSettings) fakewechat.Push {
		return s.Fake.NewPush(settings, s.Fake.NewEvent("user_authorization_cancellation", "oMe"))
	}
	for name, c := range map[string]struct {
		push   fakewechat.Push
		status int
	}{
		"another token": {newPush(fakewechat.PushSettings{
			Token: "Another1", EncodingAESKey: pushAESKey, Mode: fakewechat.PushSafe}), 403},
		"another key": {newPush(fakewechat.PushSettings{
			Token: pushToken, EncodingAESKey: strings.Repeat("A", 43), Mode: fakewechat.PushSafe}), 403},
		"in clear":  {newPush(fakewechat.PushSettings{Token: pushToken}), 403},
		"no query":  {fakewechat.Push{ContentType: "application/json", Body: newPush(settings).Body}, 403},
		"no body":   {fakewechat.Push{Query: newPush(settings).Query}, 403},
		"no JSON":   {fakewechat.Push{Query: newPush(settings).Query, Body: []byte("{")}, 403},
		"too large": {fakewechat.Push{Query: newPush(settings).Query, Body: make([]byte, 64<<10+1)}, 413},
	} {
		reply := s.Deliver(t, c.push)
		assert.Equal(t, c.status, reply.Status, name)
		assert.Equal(t, "error", reply.Map(t)["status"], name)
	}
	forged := s.Fake.NewVerification("Another1").Encode()
	assert.Equal(t, http.StatusForbidden, s.Call(t, "GET", harness.PathPush+"?"+forged, "", nil).Status)
	for _, path := range []string{"/api/mini-program/push/nobody", "/api/mini-program/push/", harness.PathPush + "/x"} {
		push := newPush(settings)
		body := harness.Text{ContentType: push.ContentType, Body: string(push.Body)}
		assert.Equal(t, http.StatusNotFound, s.Call(t, "POST", path+"?"+push.Query.Encode(), "", body).Status, path)
		assert.Equal(t, http.StatusNotFound, s.Call(t, "GET", path+"?"+forged, "", nil).Status, path)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, s.Call(t, "PUT", harness.PathPush, "", nil).Status)
	assert.Equal(t, before, s.Account(t, token))

	none := harness.Start(t, harness.Options{})
	assert.Equal(t, http.StatusNotFound, none.Deliver(t, newPush(settings)).Status, "where no Token is set")
}

// An answer that WeChat has not got is asked for again.
func TestPushRedelivery(t *testing.T) {
	t.Parallel()
	settings := fakewechat.PushSettings{Token: pushToken}
	s := startPushed(t, settings)
	token := fill(t, s, "oMe")
	push := s.Fake.NewPush(settings, s.Fake.NewEvent("user_info_modified", "oMe"))
	s.Exec(t, "ALTER TABLE mini_program_event RENAME TO elsewhere")
	reply := s.Deliver(t, push)
	assert.Equal(t, http.StatusServiceUnavailable, reply.Status)
	assert.NotContains(t, reply.Body, "mini_program_event")
	assert.NotEmpty(t, s.Account(t, token)["displayName"])
	s.Exec(t, "ALTER TABLE elsewhere RENAME TO mini_program_event")
	deliver(t, s, push)
	assert.Empty(t, s.Account(t, token)["displayName"])
	fill(t, s, "oMe")
	deliver(t, s, push)
	assert.NotEmpty(t, s.Account(t, token)["displayName"], "once is enough")

	deliver(t, s, s.Fake.NewPush(settings, s.Fake.NewEvent("wxa_punish_event", "")))
	assert.Len(t, s.Log.Lines("wxa_punish_event", "means nothing here"), 1)
	media := s.Fake.NewMediaEvent(fakewechat.MediaCheck{TraceID: "trace-1", Verdict: fakewechat.Verdict{Suggest: "risky"}})
	deliver(t, s, s.Fake.NewPush(settings, media))
	assert.Equal(t, "risky", s.Value(t, "SELECT suggestion FROM mini_program_media WHERE trace_id='trace-1'"))
}

// WeChat's own examples.
// https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
func TestPushVectors(t *testing.T) {
	t.Parallel()
	const (
		event = `{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY",` +
			`"CreateTime":1714037059,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`
		encrypted = `{"ToUserName":"gh_97417a04a28d","Encrypt":"` +
			"+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsX" +
			"UnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajA" +
			"sjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=" + `"}`
	)
	for name, c := range map[string]struct {
		now         int64
		aesKey      string
		query, body string
		reply       string
	}{
		"address": {1714036504, "", "signature=f464b24fc39322e44b38aa78f5edd27bd1441696&timestamp=1714036504" +
			"&nonce=1514711492&echostr=4375120948345356249", "", "4375120948345356249"},
		"plain": {1714037059, "", "signature=899cf89e464efb63f54ddac96b0a0a235f53aa78&timestamp=1714037059" +
			"&nonce=486452656", event, "success"},
		"safe": {1714112445, strings.Repeat("A", 43), "signature=6c5c811b55cc85e0e1b54100749188c20beb3f5d" +
			"&timestamp=1714112445&nonce=415670741&openid=o9AgO5Kd5ggOC-bXrbNODIiE3bGY&encrypt_type=aes" +
			"&msg_signature=046e02f8204d34f8ba5fa3b1db94908f3df2e9b3", encrypted, "success"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{
				Now:      func() time.Time { return time.Unix(c.now, 0) },
				Provider: harness.Row{"clientId": "wxba5fad812f8e6fb9"},
				Push:     fakewechat.PushSettings{Token: "AAAAA", EncodingAESKey: c.aesKey},
			})
			method, body := "GET", any(nil)
			if c.body != "" {
				method, body = "POST", harness.Text{ContentType: "application/json", Body: c.body}
			}
			reply := s.Call(t, method, harness.PathPush+"?"+c.query, "", body)
			assert.Equal(t, http.StatusOK, reply.Status)
			assert.Equal(t, c.reply, reply.Body)
			if method == "POST" {
				assert.NotEmpty(t, s.Log.Lines(`"event":"debug_demo"`))
			}
		})
	}
}
