package storetest

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testPrivacy(t *testing.T) {
	shared := setup{options: row{"shareUnionId": true, "checkNickname": true, "onUnchecked": "accept"}}
	soft := shared
	soft.organization = row{"enableSoftDeletion": true}
	for name, c := range map[string]struct {
		setup setup
		test  func(*testing.T, *tenant)
	}{
		"Export": {shared, testExport}, "HardDeletion": {shared, testHardDeletion}, "SoftDeletion": {soft, testSoftDeletion},
		"Proof": {shared, testProof}, "Renamed": {shared, testRenamedTraces}, "LateUpdate": {soft, testLateUpdate},
		"Namesakes": {shared, testExportAmongNamesakes}, "ManyTokens": {shared, testManyTokens},
		"LateLines": {shared, testLateLines},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.test(t, s.tenant(t, c.setup))
		})
	}
}

func testExport(t *testing.T, n *tenant) {
	p := n.fill(t, "oAlice uAlice")
	n.fill(t, "oBob uBob")
	_, err := n.update(t, p, row{"displayName": "down", "password": "correct horse"})
	require.NoError(t, err)
	last := n.signIn(t, "oAlice uAlice")
	p = n.principal(t, last)
	export, err := n.service.Export(t.Context(), p)
	require.NoError(t, err)
	assert.Equal(t, p.User.Id, export.User.Id)
	assert.Equal(t, "***", export.User.Password)
	stamp := p.User.CreatedTime
	assert.Equal(t, []object.ExportIdentity{{
		AppID: "wx" + n.name, OpenID: "oAlice", UnionID: "uAlice", CreatedTime: stamp, UpdatedTime: stamp, SessionTime: stamp,
	}}, export.Identities)
	require.Len(t, export.Tokens, 2)
	for _, token := range export.Tokens {
		assert.Equal(t, "app-"+n.name, token.Application)
		assert.Equal(t, 3600, token.ExpiresIn)
	}
	require.Len(t, export.Unchecked, 1)
	assert.Equal(t, "unavailable", export.Unchecked[0].Reason)
	text, err := json.Marshal(export)
	require.NoError(t, err)
	for what, secret := range map[string]string{
		"session key": sessionKey("oAlice").Reveal(), "access token": last.AccessToken, "refresh token": last.RefreshToken,
		"password": n.stored(t, p)["password"],
		"sealed key": n.row(t, "SELECT sealed_key FROM mini_program_session WHERE organization=? AND open_id='oAlice'",
			n.name)["sealed_key"],
		"hash of the access token": n.row(t, `SELECT access_token_hash FROM "token" WHERE "user"=? AND organization=? LIMIT 1`,
			p.User.Name, n.name)["access_token_hash"],
	} {
		require.NotEmpty(t, secret, what)
		assert.NotContains(t, string(text), secret, what)
	}
}

// testExportAmongNamesakes has an application, and a user of another organization, go by a user's name: what they are
// signed in by is not the user's, and does not end with it.
func testExportAmongNamesakes(t *testing.T, n *tenant) {
	user := n.principal(t, n.signIn(t, "oNamesake"))
	other := n.suite.tenant(t, setup{provider: row{"clientId": "wx" + n.name}})
	theirs := other.signIn(t, "oNamesake")
	n.apply(t, row{"applications": []row{n.application("app-", "wx-", setup{application: row{
		"name": user.User.Name, "clientId": "namesake-" + n.name,
	}})}})
	other.watch(t, other.at(time.Minute, "ok", theirs.UserName))
	application := n.clientToken(t, n.clientOf(t, "namesake-"+n.name))
	export, err := n.service.Export(t.Context(), user)
	require.NoError(t, err)
	require.Len(t, export.Tokens, 1)
	assert.Equal(t, "app-"+n.name, export.Tokens[0].Application)
	ended, err := n.service.EndUserSessions(t.Context(), n.app(), n.name, user.User.Name)
	require.NoError(t, err)
	assert.Equal(t, 1, ended)
	n.assertManages(t, application, user.User.Name)
	require.NoError(t, n.service.Delete(t.Context(), user, "", "oNamesake"))
	n.assertManages(t, application, user.User.Name)
	other.principal(t, theirs)
	for _, table := range []string{"log", "session", "identity"} {
		assert.Len(t, n.rows(t, "SELECT * FROM mini_program_"+table+" WHERE organization=?", other.name), 1, table)
	}
}

// testManyTokens has one user sign in more often than one statement takes rows: all tokens follow a new name, and end.
func testManyTokens(t *testing.T, n *tenant) {
	const often = 230
	alice := n.principal(t, n.signIn(t, "oOften"))
	for range often - 1 {
		n.signIn(t, "oOften")
	}
	bob := n.signIn(t, "oSeldom")
	_, err := n.service.Users().Update(t.Context(), n.app(), n.name, alice.User.Name, []string{"name"},
		jsonOf(t, row{"name": "often"}))
	require.NoError(t, err)
	assert.Len(t, n.rows(t, `SELECT name FROM "token" WHERE organization=? AND "user"='often'`, n.name), often)
	ended, err := n.service.EndUserSessions(t.Context(), n.app(), n.name, "often")
	require.NoError(t, err)
	assert.Equal(t, often, ended)
	assert.Len(t, n.tokenRows(t), 1)
	n.principal(t, bob)
}

// testRenamedTraces has the log of sign-ins follow a user's new name, so that it is exported and deleted with the user.
func testRenamedTraces(t *testing.T, n *tenant) {
	alice := n.fill(t, "oAlice")
	bob := n.fill(t, "oBob")
	n.watch(t, n.at(time.Hour, "ok", alice.User.Name), n.at(time.Minute, "access_denied", alice.User.Name),
		n.at(time.Minute, "ok", bob.User.Name))
	changed, err := n.service.Users().Update(t.Context(), n.app(), n.name, alice.User.Name, []string{"name"},
		jsonOf(t, row{"name": "alice"}))
	require.NoError(t, err)
	require.True(t, changed)
	alice = n.principal(t, n.signIn(t, "oAlice"))

	export, err := n.service.Export(t.Context(), alice)
	require.NoError(t, err)
	require.Len(t, export.SignIns, 2)
	assert.Equal(t, object.ExportSignIn{
		Time: n.at(time.Minute, "", "").Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Application: "app",
		Provider: "wx", Outcome: "access_denied", ClientIP: "192.0.2.7",
	}, export.SignIns[0], "the newest is the first")
	require.NoError(t, n.service.Delete(t.Context(), alice, "", "oAlice"))
	left := n.rows(t, "SELECT user_name FROM mini_program_log WHERE organization=?", n.name)
	assert.Equal(t, []map[string]string{{"user_name": bob.User.Name}}, left)
}

// traces are the rows of a tenant's users, by table.
func (n *tenant) traces(t *testing.T) map[string]int {
	t.Helper()
	return map[string]int{
		"user":     n.users(t),
		"token":    len(n.tokenRows(t)),
		"identity": len(n.rows(t, "SELECT * FROM mini_program_identity WHERE organization=?", n.name)),
		"session":  len(n.rows(t, "SELECT * FROM mini_program_session WHERE organization=?", n.name)),
		"union":    len(n.rows(t, "SELECT * FROM mini_program_union WHERE organization=?", n.name)),
	}
}

func testHardDeletion(t *testing.T, n *tenant) {
	alice := n.fill(t, "oAlice uAlice")
	_, err := n.update(t, alice, row{"displayName": "down"})
	require.NoError(t, err)
	token := n.signIn(t, "oAlice uAlice")
	req := n.request(t, "oAlice2 uAlice")
	req.Client = n.clientOf(t, n.addApplication(t))
	require.False(t, n.send(t, req).NewUser, "the same person in the other mini program")
	bob := n.fill(t, "oBob uBob")
	assert.Equal(t, map[string]int{"user": 2, "token": 4, "identity": 3, "session": 3, "union": 2}, n.traces(t))
	for _, p := range []*object.Principal{alice, bob} {
		n.leaveMore(t, p.User.Id)
	}

	require.NoError(t, n.service.Delete(t.Context(), alice, "", "oAlice uAlice"))
	assert.Equal(t, map[string]int{"user": 1, "token": 1, "identity": 1, "session": 1, "union": 1}, n.traces(t))
	assert.Empty(t, n.rows(t, "SELECT * FROM mini_program_mark WHERE user_id=?", alice.User.Id))
	for _, table := range []string{"admin_session", "conflict", "upload"} {
		left := n.rows(t, "SELECT * FROM mini_program_"+table+" WHERE organization=?", n.name)
		left = slices.DeleteFunc(left, func(r map[string]string) bool { return r["state"] == "dropped" })
		require.Len(t, left, 1, table)
		assert.Equal(t, bob.User.Id, left[0]["user_id"], table)
	}
	for _, service := range []*object.Authority{n.service, n.newService(t, n.sealer)} {
		_, err := service.Authenticate(t.Context(), token.AccessToken)
		assertRefused(t, err, object.InvalidToken)
		_, err = service.Refresh(t.Context(), n.client(t), token.RefreshToken, issuer)
		assertRefused(t, err, object.InvalidGrant)
	}
	again := n.signIn(t, "oAlice uAlice")
	assert.True(t, again.NewUser)
	assert.NotEqual(t, alice.User.Id, n.principal(t, again).User.Id)
}

// leaveMore leaves what only some users have: a browser that is signed in, a picture that an admin keeps, and an OpenID
// that an admin has given to them.
func (n *tenant) leaveMore(t *testing.T, id string) {
	t.Helper()
	n.exec(t, 1, `INSERT INTO mini_program_admin_session (token_hash, session_id, organization, user_id, password_mark, `+
		`created_time, expires_time, seen_time) VALUES (?, ?, ?, ?, '', '', '2999', '')`, "hash of "+id[:30], id, n.name, id)
	n.exec(t, 1, `INSERT INTO mini_program_upload (file_key, organization, user_id, state, due, trace_id) `+
		`VALUES (?, ?, ?, 'kept', '', '')`, id, n.name, id)
	n.exec(t, 1, `INSERT INTO mini_program_conflict (organization, open_id, user_id) VALUES (?, ?, ?)`, n.name, "o"+id, id)
}

func testSoftDeletion(t *testing.T, n *tenant) {
	alice := n.fill(t, "oAlice uAlice")
	n.exec(t, 1, `UPDATE "user" SET id_card='1234', real_name='Alice A.', github='alice', totp_secret='TOTP', balance=5, `+
		`properties=? WHERE owner=?`, `{"wechatOpenId":"oAlice","wechatUnionId":"uAlice","oauth_GitHub_email":"a@x"}`, n.name)
	token := n.signIn(t, "oAlice uAlice")
	require.NoError(t, n.service.Delete(t.Context(), alice, "wx"+n.name, "oAlice uAlice"))
	assert.Equal(t, map[string]int{"user": 1, "token": 0, "identity": 1, "session": 0, "union": 1}, n.traces(t))
	user := n.find(t, alice.User.Name)
	assert.True(t, user.IsDeleted)
	assert.NotEmpty(t, user.DeletedTime)
	assert.Equal(t, make([]string, 7), profile(user))
	stored := n.stored(t, alice)
	for _, personal := range []string{
		"id_card", "real_name", "github", "totp_secret", "created_ip", "last_signin_ip", "last_signin_time", "password",
	} {
		assert.Empty(t, stored[personal], personal)
	}
	assert.Equal(t, map[string]string{"wechatOpenId": "oAlice", "wechatUnionId": "uAlice"}, user.Properties)
	assert.Equal(t, "oAlice", user.WeChat)
	assert.Equal(t, "5", stored["balance"], "the books stay")
	_, err := n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.InvalidToken)
	_, err = n.service.SignIn(t.Context(), n.request(t, "oAlice uAlice"))
	assertRefused(t, err, object.AccessDenied)
}

// testLateUpdate deletes an account while the platform is asked for what an update of it is to bring.
func testLateUpdate(t *testing.T, n *tenant) {
	for name, update := range map[string]func(*object.Principal) error{
		"nickname": func(p *object.Principal) error {
			_, err := n.update(t, p, row{"displayName": "小明", "bio": "me"})
			return err
		},
		"sign-in": func(*object.Principal) error {
			req := n.request(t, "osign-in")
			req.Nickname = "小明"
			_, err := n.service.SignIn(t.Context(), req)
			return err
		},
		"phone": func(p *object.Principal) error { return n.service.StorePhone(t.Context(), p, "", "86-13900000000") },
	} {
		t.Run(name, func(t *testing.T) {
			p := n.fill(t, "o"+name)
			leave := func() { require.NoError(t, n.service.Delete(t.Context(), p, "", "o"+name)) }
			n.wechat.whileChecking, n.wechat.whilePhoning = leave, leave
			defer func() { n.wechat.whileChecking, n.wechat.whilePhoning = nil, nil }()
			if err := update(p); name != "sign-in" { // whose token is dead already
				assertRefused(t, err, object.AccessDenied, "deleted")
			}
			assert.Equal(t, make([]string, 7), profile(n.find(t, p.User.Name)))
			assert.NotContains(t, n.find(t, p.User.Name).Properties, "wechatPhoneVerified")
		})
	}
}

// testLateLines has lines of sign-ins before a deletion arrive behind it, as they do for a second.
func testLateLines(t *testing.T, n *tenant) {
	for range 2 {
		alice := n.fill(t, "oAlice")
		before, others := n.at(0, "ok", alice.User.Name), n.at(0, "ok", "wechat-oBob")
		require.NoError(t, n.service.Delete(t.Context(), alice, "", "oAlice"))
		n.clock.Advance(2 * time.Minute)
		again := n.at(0, "ok", alice.User.Name)
		n.watch(t, before, others, again)
		require.NoError(t, n.service.DoChores(t.Context()))
		require.NoError(t, n.service.DoChores(t.Context()))
		left := n.suite.rows(t, `SELECT user_name FROM mini_program_log WHERE organization=? ORDER BY time DESC`, n.name)
		assert.Equal(t, alice.User.Name, left[0]["user_name"], "who has signed up anew")
		assert.Equal(t, "wechat-oBob", left[1]["user_name"])
		assert.Len(t, left, 2)
		n.exec(t, 2, "DELETE FROM mini_program_log WHERE organization=?", n.name)
	}
}

// testProof tries to delete without being asked by the owner.
func testProof(t *testing.T, n *tenant) {
	alice := n.fill(t, "oAlice")
	n.fill(t, "oBob")
	before := n.traces(t)
	assertRefused(t, n.service.Delete(t.Context(), alice, "", "oBob"), object.AccessDenied, "another user's")
	assertRefused(t, n.service.Delete(t.Context(), alice, "wxOther", "oAlice"), object.InvalidRequest)
	alice.User.IsAdmin = true
	assertRefused(t, n.service.Delete(t.Context(), alice, "", "oAlice"), object.AccessDenied, "administrator")
	assert.Equal(t, before, n.traces(t))
}
