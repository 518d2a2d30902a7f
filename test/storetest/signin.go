package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testSignIn(t *testing.T) {
	n := s.tenant(t, setup{})
	first := n.signIn(t, "oAlice")
	assert.True(t, first.NewUser)
	assert.NotEmpty(t, first.AccessToken)
	assert.NotEmpty(t, first.RefreshToken)
	assert.Equal(t, time.Hour, first.ExpiresIn)
	assert.Equal(t, "app-"+n.name, first.Application)
	n.clock.Advance(time.Minute)
	second := n.signIn(t, "oAlice")
	assert.False(t, second.NewUser)
	assert.NotEqual(t, first.AccessToken, second.AccessToken)
	assert.Equal(t, n.principal(t, first).User.Id, n.principal(t, second).User.Id, "both tokens are the user's")
	assert.Equal(t, 1, n.users(t))

	t.Run("other OpenID is another user", func(t *testing.T) {
		assert.NotEqual(t, n.principal(t, first).User.Id, n.principal(t, n.signIn(t, "oBob")).User.Id)
	})
	t.Run("OpenIDs differ in case", func(t *testing.T) {
		upper, lower := n.principal(t, n.signIn(t, "oCASE")).User, n.principal(t, n.signIn(t, "ocase")).User
		assert.NotEqual(t, upper.Id, lower.Id)
		assert.Equal(t, "oCASE", upper.WeChat)
		assert.Equal(t, "ocase", lower.WeChat)
		assert.Equal(t, upper.Id, n.principal(t, n.signIn(t, "oCASE")).User.Id)
		assert.Equal(t, lower.Id, n.principal(t, n.signIn(t, "ocase")).User.Id)
	})
	t.Run("another mini program is another user", func(t *testing.T) {
		req := n.request(t, "oAlice")
		req.Client = n.clientOf(t, n.addApplication(t))
		assert.True(t, n.send(t, req).NewUser)
		assert.False(t, n.send(t, req).NewUser)
	})
	t.Run("another organization is another user", func(t *testing.T) {
		assert.True(t, s.tenant(t, setup{provider: row{"clientId": "wx" + n.name}}).signIn(t, "oAlice").NewUser)
	})
	t.Run("two applications of one mini program share it", func(t *testing.T) {
		n.apply(t, row{"applications": []row{n.application("third-", "wx-", setup{})}})
		req := n.request(t, "oAlice")
		req.Client = n.clientOf(t, "third-"+n.name)
		assert.False(t, n.send(t, req).NewUser)
	})
}

func (s *suite) testNewUser(t *testing.T) {
	n := s.tenant(t, setup{
		organization: row{"initScore": 7, "defaultAvatar": "https://example.com/default.png"},
		application:  row{"defaultGroup": "group-app", "defaultTag": "newcomer"},
	})
	signedIn := n.clock.Now().UTC().Format(time.RFC3339)
	user := n.user(t, "oAlice uAlice")
	assert.Equal(t, n.name, user.Owner)
	assert.Equal(t, "wechat-oAlice", user.Name)
	assert.NoError(t, uuid.Validate(user.Id))
	assert.Equal(t, "oAlice", user.WeChat)
	assert.Equal(t, map[string]string{"wechatOpenId": "oAlice", "wechatUnionId": "uAlice"}, user.Properties)
	assert.Equal(t, "normal-user", user.Type)
	assert.Equal(t, "app-"+n.name, user.SignupApplication)
	assert.Equal(t, 7, user.Score)
	assert.Equal(t, "https://example.com/default.png", user.Avatar)
	assert.Equal(t, []string{"group-app"}, user.Groups)
	assert.Equal(t, "newcomer", user.Tag)
	assert.Empty(t, user.DisplayName)
	assert.Empty(t, user.Password)
	assert.False(t, user.IsAdmin)
	assert.Equal(t, "203.0.113.7", user.CreatedIp)
	for _, stamp := range []string{user.CreatedTime, user.UpdatedTime, user.LastSigninTime} {
		assert.Equal(t, signedIn, stamp)
	}

	t.Run("group of the provider item", func(t *testing.T) {
		n := s.tenant(t, setup{application: row{"defaultGroup": "group-app"}, item: row{"signupGroup": "group-wx"}})
		assert.Equal(t, []string{"group-wx"}, n.user(t, "oAlice").Groups)
	})
	t.Run("no defaults", func(t *testing.T) {
		user := s.tenant(t, setup{}).user(t, "oAlice")
		assert.Empty(t, user.Groups)
		assert.Empty(t, user.Avatar)
		assert.Zero(t, user.Score)
	})
	t.Run("profile sent along", func(t *testing.T) { testProfileSentAlong(t, n) })
}

func testProfileSentAlong(t *testing.T, n *tenant) {
	const avatar = "https://example.com/panda.png"
	req := n.request(t, "oProfile")
	req.Nickname, req.Avatar = "  小明 👨‍👩‍👧‍👦🐼 ", avatar
	user := n.find(t, n.send(t, req).UserName)
	assert.Equal(t, "wechat-oProfile", user.Name, "the nickname is no name")
	assert.Equal(t, "小明 👨‍👩‍👧‍👦🐼", user.DisplayName)
	assert.Equal(t, avatar, user.Avatar)

	for name, unfit := range map[string][2]string{
		"placeholders":   {"微信用户", "https://thirdwx.qlogo.cn/grey"},
		"nothing":        {"", ""},
		"temporary file": {"\u202eevil", "http://tmp/x.png"},
		"too long":       {strings.Repeat("长", 101), "https://example.com/" + strings.Repeat("x", 1000)},
		"no UTF-8":       {"\xff\xfe", "javascript:alert(1)"},
	} {
		req.Nickname, req.Avatar = unfit[0], unfit[1]
		token, err := n.service.SignIn(t.Context(), req)
		require.NoError(t, err, "%s must not fail the sign-in", name)
		user := n.find(t, token.UserName)
		assert.Equal(t, "小明 👨‍👩‍👧‍👦🐼", user.DisplayName, name)
		assert.Equal(t, avatar, user.Avatar, name)
	}

	n.exec(t, 1, `INSERT INTO mini_program_upload (file_key, organization, user_id, url, state, due, trace_id) `+
		`VALUES (?, ?, ?, ?, 'used', '', '')`, n.name, n.name, user.Id, avatar)
	req.Avatar = "https://example.com/other.png"
	n.clock.Advance(time.Minute)
	n.send(t, req)
	assert.Greater(t, n.find(t, user.Name).UpdatedTime, user.UpdatedTime)
	former := n.row(t, "SELECT state FROM mini_program_upload WHERE user_id=?", user.Id)
	assert.Equal(t, "dropped", former["state"], "the files of a former avatar go")
}

// testNoBinding signs in beside accounts that an attacker, or an admin, has made to look like the one who signs in.
func (s *suite) testNoBinding(t *testing.T) {
	for name, account := range map[string]row{
		"same name":          {"name": "wechat-oAlice"},
		"same wechat column": {"name": "mallory", "wechat": "oAlice"},
		"same properties": {
			"name": "mallory", "properties": row{"wechatOpenId": "oAlice", "wechatUnionId": "uAlice"},
		},
		"same nickname, phone and e-mail": {
			"name": "小明", "displayName": "小明", "phone": "13800000000", "email": "alice@example.com",
		},
		"id is the OpenID": {"name": "mallory", "id": "oAlice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := s.tenant(t, setup{options: row{"shareUnionId": true}})
			n.apply(t, row{"users": []row{fields{"owner": n.name}.with(account)}})
			const victim = `SELECT * FROM "user" WHERE owner=? AND name=?`
			before := n.row(t, victim, n.name, account["name"])
			req := n.request(t, "oAlice uAlice")
			req.Nickname = "小明"
			token := n.send(t, req)
			assert.True(t, token.NewUser)
			assert.NotEqual(t, before["id"], n.principal(t, token).User.Id)
			assert.Equal(t, before, n.row(t, victim, n.name, account["name"]), "the other account is untouched")
			if account["name"] == "wechat-oAlice" {
				assert.Regexp(t, "^wechat-oAlice-[a-z0-9]{8}$", token.UserName)
			} else {
				assert.Equal(t, "wechat-oAlice", token.UserName)
			}
			assert.Equal(t, token.UserName, n.signIn(t, "oAlice uAlice").UserName)
		})
	}
}

// testOldUser is about users whose row an admin has changed since they signed in.
func (s *suite) testOldUser(t *testing.T) {
	for _, column := range []string{"is_forbidden", "is_deleted"} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			n := s.tenant(t, setup{})
			token := n.signIn(t, "oAlice")
			n.exec(t, 1, `UPDATE "user" SET `+column+`=? WHERE owner=?`, true, n.name)
			before := n.tokenRows(t)
			_, err := n.service.SignIn(t.Context(), n.request(t, "oAlice"))
			assertRefused(t, err, object.AccessDenied)
			_, err = n.service.Authenticate(t.Context(), token.AccessToken)
			assertRefused(t, err, object.AccessDenied)
			_, err = n.service.Refresh(t.Context(), n.client(t), token.RefreshToken, issuer)
			assertRefused(t, err, object.AccessDenied)
			assert.Equal(t, before, n.tokenRows(t), "no token was stored")
			assert.Equal(t, 1, n.users(t))
		})
	}
	for _, share := range []bool{false, true} {
		t.Run("row deleted", func(t *testing.T) {
			t.Parallel()
			n := s.tenant(t, setup{options: row{"shareUnionId": share}})
			old := n.principal(t, n.signIn(t, "oAlice uAlice")).User
			n.exec(t, 1, `DELETE FROM "user" WHERE owner=?`, n.name)
			token := n.signIn(t, "oAlice uAlice")
			assert.True(t, token.NewUser)
			assert.NotEqual(t, old.Id, n.principal(t, token).User.Id, "who was deleted does not come back")
			assert.False(t, n.signIn(t, "oAlice uAlice").NewUser)
			assert.Equal(t, 1, n.users(t))
		})
	}
	t.Run("renamed", func(t *testing.T) {
		t.Parallel()
		n := s.tenant(t, setup{})
		old := n.principal(t, n.signIn(t, "oAlice")).User
		n.exec(t, 1, `UPDATE "user" SET name=? WHERE owner=?`, "alice", n.name)
		token := n.signIn(t, "oAlice")
		assert.Equal(t, "alice", token.UserName)
		assert.Equal(t, old.Id, n.principal(t, token).User.Id)
	})
	t.Run("wechat column edited", func(t *testing.T) {
		t.Parallel()
		n := s.tenant(t, setup{})
		alice, bob := n.user(t, "oAlice"), n.user(t, "oBob")
		n.exec(t, 1, `UPDATE "user" SET wechat=? WHERE owner=? AND name=?`, "oBob", n.name, alice.Name)
		assert.Equal(t, bob.Id, n.user(t, "oBob").Id)
		assert.Equal(t, alice.Id, n.user(t, "oAlice").Id)
	})
}
