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

// encrypted is what wx.getUserInfo gives, as the mini program sends it.
func encrypted(e fakewechat.Encrypted) map[string]string {
	return map[string]string{
		"encryptedData": e.Data, "iv": e.IV, "rawData": e.RawData, "signature": e.Signature,
	}
}

func TestDecrypt(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oMe").AccessToken
	s.SignIn(t, "oOther")
	decrypt := func(body any) harness.Reply { return s.Call(t, "POST", harness.PathDecrypt, token, body) }

	profile := s.Fake.Encrypt("oMe", map[string]any{"openId": "oMe", "nickName": "小明 🐼"})
	reply := decrypt(encrypted(profile))
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	data := reply.Map(t)["data"].(map[string]any)
	assert.Equal(t, "小明 🐼", data["nickName"])
	assert.Equal(t, harness.AppID, data["watermark"].(map[string]any)["appid"])
	assert.Equal(t, "no-store", reply.Header.Get("Cache-Control"))
	unsigned := encrypted(profile)
	delete(unsigned, "rawData")
	delete(unsigned, "signature")
	assert.Equal(t, http.StatusOK, decrypt(unsigned).Status, "rawData comes with a profile only")

	const stale = "the session_key is stale, or the data is not this user's: call wx.login, sign in again and get new data"
	for name, change := range map[string]func(map[string]string){
		"another user's key": func(b map[string]string) {
			b["encryptedData"] = s.Fake.Encrypt("oOther", map[string]any{}).Data
		},
		"another user's data": func(b map[string]string) {
			e := s.Fake.Encrypt("oMe", map[string]any{"openId": "oOther"})
			b["encryptedData"], b["iv"], b["rawData"], b["signature"] = e.Data, e.IV, "", ""
		},
		"another iv":        func(b map[string]string) { b["iv"] = s.Fake.Encrypt("oMe", nil).IV },
		"another signature": func(b map[string]string) { b["signature"] = strings.Repeat("0", 40) },
		"other rawData":     func(b map[string]string) { b["rawData"] += " " },
		"no base64":         func(b map[string]string) { b["encryptedData"] = "***" },
		"cut":               func(b map[string]string) { b["encryptedData"] = b["encryptedData"][:24] },
		"long":              func(b map[string]string) { b["encryptedData"] = strings.Repeat("A", 100<<10) },
	} {
		body := encrypted(profile)
		change(body)
		reply := decrypt(body)
		assert.Equal(t, http.StatusBadRequest, reply.Status, name)
		assert.Equal(t, stale, reply.Map(t)["msg"], "one error for all: %s", name)
	}
	assert.Equal(t, http.StatusBadRequest, decrypt(map[string]string{"iv": profile.IV}).Status)
	assert.Equal(t, http.StatusUnauthorized, s.Call(t, "POST", harness.PathDecrypt, "", encrypted(profile)).Status)

	s.SignIn(t, "oMe") // brings a new key
	assert.Equal(t, stale, decrypt(encrypted(profile)).Map(t)["msg"])
	assert.Equal(t, http.StatusOK, decrypt(encrypted(s.Fake.Encrypt("oMe", map[string]any{"steps": 1}))).Status)
}

func TestSession(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := harness.Start(t, harness.Options{Now: clock.Now})
	token := s.SignIn(t, "oMe").AccessToken
	signedIn := clock.Now().UTC().Format(time.RFC3339)
	session := func() map[string]any {
		reply := s.Call(t, "GET", harness.PathSession, token, nil)
		require.Equal(t, http.StatusOK, reply.Status, reply.Body)
		return reply.Map(t)["data"].(map[string]any)
	}
	want := map[string]any{
		"valid": true, "appId": harness.AppID, "updatedTime": signedIn, "checkedTime": signedIn,
	}
	assert.Equal(t, want, session())

	s.Fake.Inject(fakewechat.PathCheckSession, fakewechat.Errcode(87009), -1)
	clock.Advance(59 * time.Second)
	assert.Equal(t, want, session(), "remembered for a minute")
	assert.Equal(t, 1, s.Fake.Calls(fakewechat.PathCheckSession))
	clock.Advance(2 * time.Second)
	assert.Equal(t, false, session()["valid"])
	s.Fake.Heal(fakewechat.PathCheckSession)
	s.SignIn(t, "oMe")
	assert.Equal(t, true, session()["valid"], "the new key is another one")

	clock.Advance(2 * time.Minute)
	for name, c := range map[string]struct {
		fault  fakewechat.Fault
		status int
	}{
		"down": {fakewechat.Status(502), 503}, "minute": {fakewechat.Errcode(45011), 429},
		"set-up": {fakewechat.Errcode(48001), 503},
	} {
		s.Fake.Inject(fakewechat.PathCheckSession, c.fault, 1)
		reply := s.Call(t, "GET", harness.PathSession, token, nil)
		assert.Equal(t, c.status, reply.Status, name)
	}
	assert.Equal(t, true, session()["valid"], "a failure is not remembered")
	assert.Equal(t, http.StatusUnauthorized, s.Call(t, "GET", harness.PathSession, "", nil).Status)
	assert.Equal(t, http.StatusBadRequest, s.Call(t, "GET", harness.PathSession+"?app_id=wxOther", token, nil).Status)
}
