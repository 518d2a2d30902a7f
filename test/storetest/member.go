package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

func (s *suite) testPhone(t *testing.T) {
	n := s.tenant(t, setup{})
	alice := n.principal(t, n.signIn(t, "oAlice"))
	bob := n.principal(t, n.signIn(t, "oBob"))
	for code, region := range map[string]string{
		"1-6135550123": "CA", "7-7011234567": "KZ", "852-51234567": "HK", "999-123": "", "1-2025550123": "US",
	} {
		require.NoError(t, n.service.StorePhone(t.Context(), alice, "", code))
		assert.Equal(t, region, n.stored(t, alice)["country_code"], code)
	}
	for _, p := range []*object.Principal{alice, bob} {
		require.NoError(t, n.service.StorePhone(t.Context(), p, "", "86-13800000000"), "another account's binds nothing")
		user := n.find(t, p.User.Name)
		assert.Equal(t, []string{"13800000000", "CN"}, []string{user.Phone, user.CountryCode})
		assert.Equal(t, "+8613800000000", user.Properties["wechatPhoneVerified"])
		assert.Equal(t, p.User.WeChat, user.Properties["wechatOpenId"], "the other properties stay")
	}
	before := n.stored(t, alice)
	n.clock.Advance(time.Minute)
	require.NoError(t, n.service.StorePhone(t.Context(), alice, "wx"+n.name, "86-13800000000"))
	assert.Equal(t, before, n.stored(t, alice), "the same once more")
	assert.Equal(t, provider.KindInvalidPhoneCode, provider.KindOf(n.service.StorePhone(t.Context(), alice, "", "no")))
	n.wechat.taken()
	assertRefused(t, n.service.StorePhone(t.Context(), alice, "wxOther", "86-1"), object.InvalidRequest)
	assert.Empty(t, n.wechat.taken(), "the code is not spent")

	t.Run("properties that are set meanwhile", func(t *testing.T) {
		defer func() { n.wechat.whilePhoning = nil }()
		n.wechat.whilePhoning = func() { n.setProperties(t, bob, `{"wechatOpenId":"oBob","tier":"gold"}`) }
		require.NoError(t, n.service.StorePhone(t.Context(), bob, "", "86-13900000000"))
		want := map[string]string{"wechatOpenId": "oBob", "tier": "gold", "wechatPhoneVerified": "+8613900000000"}
		assert.Equal(t, want, n.find(t, bob.User.Name).Properties)
		assert.Equal(t, want, bob.User.Properties, "the principal is up to date")
	})
	t.Run("modify rule", func(t *testing.T) {
		n := s.tenant(t, setup{organization: row{"accountItems": []row{{"name": "Phone", "modifyRule": "Admin"}}}})
		p := n.principal(t, n.signIn(t, "oAlice"))
		assertRefused(t, n.service.StorePhone(t.Context(), p, "", "86-1"), object.AccessDenied, "phone")
		assert.Empty(t, n.wechat.taken(), "the code is not spent")
	})
	t.Run("who came by no mini program", func(t *testing.T) {
		n.exec(t, 1, `DELETE FROM "mini_program_identity" WHERE organization=? AND open_id=?`, n.name, "oBob")
		assertRefused(t, n.service.StorePhone(t.Context(), bob, "", "86-1"), object.InvalidRequest)
	})
}

func (n *tenant) setProperties(t *testing.T, p *object.Principal, properties string) {
	t.Helper()
	n.exec(t, 1, `UPDATE "user" SET properties=? WHERE owner=? AND name=?`, properties, n.name, p.User.Name)
}

// testNickname judges nicknames in profile updates and sign-ins, with each setting.
func (s *suite) testNickname(t *testing.T) {
	for _, c := range []struct {
		name, options string
		accepted      map[string]string // nickname → reason of its mark
		refused       []string
	}{
		{"refuse", `{"checkNickname":true}`, map[string]string{"fine": ""},
			[]string{"risky", "review", "broken", "down", "away"}},
		{"accept", `{"checkNickname":true,"onReview":"accept","onUnchecked":"accept"}`,
			map[string]string{"review": "review", "down": "unavailable", "away": "inactive", "fine": ""},
			[]string{"risky", "broken"}},
		{"off", `{}`, map[string]string{"risky": ""}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var options row
			require.NoError(t, json.Unmarshal([]byte(c.options), &options))
			n := s.tenant(t, setup{options: options})
			n.wechat.whileChecking = func() { // a transaction that were open would keep this one waiting
				n.exec(t, 1, `UPDATE "organization" SET display_name=? WHERE name=?`, time.Now().String(), n.name)
			}
			update := n.principal(t, n.signIn(t, "oUpdate"))
			for nickname, reason := range c.accepted {
				_, err := n.update(t, update, row{"displayName": nickname})
				require.NoError(t, err, nickname)
				assert.Equal(t, nickname, n.stored(t, update)["display_name"])
				assert.Equal(t, reason, n.reason(t, update), nickname)
				n.testSentNickname(t, nickname, nickname, reason)
			}
			before := n.stored(t, update)
			for _, nickname := range c.refused {
				_, err := n.update(t, update, row{"displayName": nickname, "bio": "new"})
				if provider.KindOf(err) == 0 || nickname == "broken" {
					assertRefused(t, err, object.InvalidRequest, "displayName")
				}
				assert.Equal(t, before, n.stored(t, update), nickname)
				n.testSentNickname(t, nickname, "", "")
			}
			n.wechat.taken()
			_, err := n.update(t, update, row{"displayName": before["display_name"], "bio": "again"})
			require.NoError(t, err)
			assert.Empty(t, n.wechat.taken(), "what has not changed is not judged again")
		})
	}
}

// testSentNickname signs somebody new in with a nickname, twice.
func (n *tenant) testSentNickname(t *testing.T, nickname, stored, reason string) {
	t.Helper()
	req := n.request(t, "oNew"+nickname)
	req.Nickname = nickname
	for range 2 {
		token := n.send(t, req)
		assert.Equal(t, stored, n.find(t, token.UserName).DisplayName)
		assert.Equal(t, reason, n.reason(t, n.principal(t, token)), nickname)
	}
	req.Nickname = "fine"
	assert.Empty(t, n.reason(t, n.principal(t, n.send(t, req))), "the mark goes with the nickname")
}

// reason is that of the mark that a user's nickname has.
func (n *tenant) reason(t *testing.T, p *object.Principal) string {
	t.Helper()
	export, err := n.service.Export(t.Context(), p)
	require.NoError(t, err)
	if len(export.Unchecked) == 0 {
		return ""
	}
	assert.Equal(t, "displayName", export.Unchecked[0].Field)
	return export.Unchecked[0].Reason
}

func (s *suite) testSession(t *testing.T) {
	n := s.tenant(t, setup{})
	first := n.principal(t, n.signIn(t, "oAlice"))
	check := func(appID string) object.SessionState {
		state, err := n.service.CheckSession(t.Context(), first, appID)
		require.NoError(t, err)
		return state
	}
	stamp := n.clock.Now().UTC().Format(time.RFC3339)
	assert.Equal(t, object.SessionState{Valid: true, AppID: "wx" + n.name, UpdatedTime: stamp, CheckedTime: stamp}, check(""))
	n.wechat.stale = true
	n.clock.Advance(59 * time.Second)
	assert.True(t, check("wx"+n.name).Valid, "remembered")
	n.clock.Advance(2 * time.Second)
	assert.False(t, check("").Valid)
	n.wechat.stale = false
	n.signIn(t, "oAlice")
	assert.True(t, check("").Valid, "a new sign-in brings a new key, of which nothing is remembered")

	data := provider.EncryptedData{Data: sessionKey("oAlice").Reveal() + `{"openId":"oAlice","x":1}`}
	plain, err := n.service.Decrypt(t.Context(), first, "", data)
	require.NoError(t, err)
	assert.JSONEq(t, `{"openId":"oAlice","x":1}`, string(plain))
	for name, text := range map[string]string{
		"another key": sessionKey("oBob").Reveal() + `{}`, "another user": sessionKey("oAlice").Reveal() + `{"openId":"oBob"}`,
		"no object": sessionKey("oAlice").Reveal() + `[]`, "nothing": "",
	} {
		_, err := n.service.Decrypt(t.Context(), first, "", provider.EncryptedData{Data: text})
		assertRefused(t, err, object.InvalidGrant, "session_key is stale")
		assert.NotContains(t, err.Error(), "SESSION-KEY", name)
	}
	n.exec(t, 1, `DELETE FROM "mini_program_session" WHERE organization=?`, n.name)
	_, err = n.service.Decrypt(t.Context(), first, "", data)
	assertRefused(t, err, object.InvalidGrant, "session_key is stale")
	assert.False(t, check("").Valid)
}

// testReseal signs in with an old key, and turns to a new one.
func (s *suite) testReseal(t *testing.T) {
	b := &suite{cfg: s.empty(t), empty: s.empty}
	*b = *open(t, b.cfg)
	n := b.tenant(t, setup{})
	p := n.principal(t, n.signIn(t, "oAlice"))
	n.signIn(t, "oBob")
	other := b.tenant(t, setup{})
	other.signIn(t, "oAlice")
	n.exec(t, 1, `UPDATE "mini_program_session" SET key_id='gone' WHERE organization=? AND open_id=?`, n.name, "oBob")
	damaged := b.tenant(t, setup{})
	damaged.signIn(t, "oEve")
	n.exec(t, 1, `UPDATE "mini_program_session" SET sealed_key='AAAA' WHERE organization=?`, damaged.name)

	both, err := object.NewSealer([][]byte{key(2), key(1)})
	require.NoError(t, err)
	next, err := object.NewSealer([][]byte{key(2)})
	require.NoError(t, err)
	var progress []int
	r, err := b.store.Reseal(t.Context(), both, func(r object.Resealing) { progress = append(progress, r.Seen) })
	require.NoError(t, err)
	assert.Equal(t, object.Resealing{Seen: 4, Resealed: 2, Damaged: 1, Unknown: map[string]int{"gone": 1}}, r)
	assert.Len(t, progress, 3)
	n.service = n.newService(t, next)
	_, err = n.service.Decrypt(t.Context(), p, "", provider.EncryptedData{Data: sessionKey("oAlice").Reveal() + `{}`})
	require.NoError(t, err)
	r, err = b.store.Reseal(t.Context(), both, nil)
	require.NoError(t, err)
	assert.Zero(t, r.Resealed, "once is enough")
}
