package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/dbserver"
)

// Rows that other programs have written, in ways that Casdoor would not: one of them must not be the others'
// misfortune.

func (s *suite) testOddRows(t *testing.T) {
	inParallel(t, map[string]func(*testing.T){
		"DamagedApplicationIsListed":  s.testDamagedIsListed,
		"DamagedProviderSignsIn":      s.testDamagedProvider,
		"DamagedUserIsAlone":          s.testDamagedUser,
		"TokenOfNoApplication":        s.testTokenOfNoApplication,
		"ClientIDLooksShared":         s.testClientIDLooksShared,
		"ErrcodeOfAnySize":            s.testErrcodeOfAnySize,
		"SessionOfManyHours":          s.testSessionOfManyHours,
		"DiagnoseDamagedApplications": s.testDiagnoseDamaged,
		"DatabaseOfAnyName":           s.testDatabaseOfAnyName,
	})
}

// cutOff is JSON as a database leaves it that shortens what is too long.
const cutOff = `["https://example.com/a","https://exam`

func (s *suite) testDamagedIsListed(t *testing.T) {
	n := s.tenant(t, setup{})
	n.addApplication(t)
	n.exec(t, 1, `UPDATE application SET redirect_uris=? WHERE name=?`, cutOff, "second-"+n.name)
	for _, q := range []object.ListQuery{{Organization: n.name}, {Organization: n.name, Page: 1, PageSize: 10}} {
		page, err := n.service.Applications().List(t.Context(), &object.Caller{Role: object.Global}, q)
		require.NoError(t, err)
		assert.Len(t, page.Rows, 2)
		for _, app := range page.Rows {
			assert.Empty(t, app.RedirectUris)
			assert.Len(t, app.Providers, 1, "what can be read is there")
		}
	}
}

func (s *suite) testDamagedProvider(t *testing.T) {
	n := s.tenant(t, setup{})
	n.exec(t, 1, `UPDATE provider SET user_mapping=?, http_headers=? WHERE name=?`, "{", "x", "wx-"+n.name)
	n.signIn(t, "oAlice")
}

func (s *suite) testDamagedUser(t *testing.T) {
	n := s.tenant(t, setup{})
	n.signIn(t, "oDamaged")
	n.signIn(t, "oWell")
	n.exec(t, 1, `UPDATE "user" SET properties=? WHERE owner=? AND name=?`, `{"a":1}`, n.name, "wechat-oDamaged")
	concurrently(16, func(i int) {
		if i%2 == 0 {
			_, err := n.service.SignIn(t.Context(), n.request(t, "oDamaged"))
			assert.ErrorContains(t, err, "properties")
			return
		}
		_, err := n.service.SignIn(t.Context(), n.request(t, "oWell"))
		assert.NoError(t, err)
	})
	page, err := n.service.Users().List(t.Context(), n.app(), object.ListQuery{Owner: n.name})
	require.NoError(t, err)
	assert.Len(t, page.Rows, 2)
}

func (s *suite) testTokenOfNoApplication(t *testing.T) {
	n := s.tenant(t, setup{})
	n.signIn(t, "oAlice")
	n.exec(t, 1, `INSERT INTO token (owner, name, created_time, organization, "user", expires_in) VALUES (?, ?, ?, ?, ?, ?)`,
		"admin", "odd-"+n.name, n.clock.Now().UTC().Format(time.RFC3339), n.name, "wechat-oAlice", 3600)
	page, err := n.service.Sessions(t.Context(), n.app(), object.ListQuery{})
	require.NoError(t, err)
	assert.Len(t, page.Rows, 2)
}

func (s *suite) testClientIDLooksShared(t *testing.T) {
	n := s.tenant(t, setup{})
	odd := "app-" + n.name + "-org-mini" // the beginning of which is another application's
	n.addApplication(t)
	n.exec(t, 1, `UPDATE application SET client_id=? WHERE name=?`, odd, "second-"+n.name)
	n.clock.Advance(settingsAge)
	assert.Equal(t, "second-"+n.name, n.clientOf(t, odd).Application.Name)
	assert.Equal(t, odd, n.clientOf(t, odd).ID())
	_, err := n.service.Client(t.Context(), "app-"+n.name+"-org-"+n.name)
	assertRefused(t, err, object.InvalidClient)
	n.exec(t, 1, `UPDATE application SET is_shared=? WHERE name=?`, true, "app-"+n.name)
	n.clock.Advance(settingsAge)
	assert.Equal(t, "app-"+n.name, n.clientOf(t, "app-"+n.name+"-org-"+n.name).Application.Name)
	_, err = n.service.Client(t.Context(), odd)
	assertRefused(t, err, object.InvalidClient) // nobody takes a name that is a shared application's to give
}

func (s *suite) testErrcodeOfAnySize(t *testing.T) {
	n := s.tenant(t, setup{})
	odd := n.at(time.Minute, "temporarily_unavailable", "")
	odd.Errcode = math.MaxInt
	n.watch(t, odd, n.at(time.Minute, "ok", "wechat-oAlice"))
	entries, _, err := n.service.SignIns(t.Context(), n.adminOf(), object.LogQuery{})
	require.NoError(t, err)
	assert.Len(t, entries, 2)
}

func (s *suite) testSessionOfManyHours(t *testing.T) {
	n := s.tenant(t, setup{application: row{"cookieExpireInHours": 3_000_000, "enablePassword": true}})
	n.admin(t, "boss")
	token, _, err := n.service.SignInByPassword(t.Context(), object.PasswordSignIn{
		Application: "app-" + n.name, Organization: n.name, Username: "boss", Password: password,
	})
	require.NoError(t, err)
	_, code := n.sessionOf(t, token)
	assert.Empty(t, code)
}

func (s *suite) testDiagnoseDamaged(t *testing.T) {
	n := s.tenant(t, setup{application: row{"tokenSigningMethod": "RS512"}})
	n.addApplication(t)
	n.exec(t, 1, `UPDATE application SET redirect_uris=? WHERE name=?`, cutOff, "second-"+n.name)
	all, err := s.store.DiagnoseApplications(t.Context())
	require.NoError(t, err)
	name := "-" + n.name + ": "
	for _, text := range []string{
		"application admin/app" + name + "cert " + fastCert + " cannot sign RS512",
		"application admin/second" + name + "it cannot be used: what cannot be read is redirect_uris",
	} {
		assert.Contains(t, all, object.Finding{Severity: object.Problem, Text: text})
	}
}

func (s *suite) testDatabaseOfAnyName(t *testing.T) {
	if s.cfg.DriverName == "sqlite" {
		t.Skip("a file has no such name")
	}
	name := s.cfg.DBName + " 小 %"
	cfg := dbserver.MySQL(name)
	if s.cfg.DriverName == "postgres" {
		cfg = dbserver.Postgres(name)
	}
	t.Cleanup(func() {
		_, err := s.db.ExecContext(context.Background(), s.statement(`DROP DATABASE "`+name+`"`))
		assert.NoError(t, err)
	})
	for range 2 {
		store, _, err := object.Open(t.Context(), cfg)
		require.NoError(t, err)
		store.Close()
	}
}

// testSweepOdd sweeps past rows without what Casdoor writes, and past a time that a wrong clock has left behind.
func testSweepOdd(t *testing.T, s *suite) {
	n := s.tenant(t, setup{})
	n.signIn(t, "o1")
	s.exec(t, 1, `INSERT INTO token (owner, name) VALUES (?, ?)`, "admin", "00000000-0000-7000-8000-000000000000")
	s.exec(t, 1, `INSERT INTO application (owner, name, redirect_uris) VALUES (?, ?, ?)`, "admin", "damaged", cutOff)
	ahead := newBroom(s.store, time.Now().AddDate(10, 0, 0))
	assert.Equal(t, map[string]int64{"token": 1}, ahead.sweep(t))

	n.signIn(t, "o1")
	b := newBroom(s.store, n.clock.Now().Add(26*time.Hour))
	assert.Equal(t, map[string]int64{"token": 1}, b.sweep(t))
	assert.Equal(t, nothing, b.sweep(t))
}

// testOddUsers adopts Casdoor's users although some of them have written into their properties what no column of ours
// takes.
func (s *besideSuite) testOddUsers(t *testing.T) {
	b := s.attach(t)
	long := strings.Repeat("o", 200)
	b.addUser(t, "long", "uLong", `{"wechatOpenId":"`+long+`","wechatUnionId":"uLong"}`)
	b.addUser(t, "doubted", "oDoubted", openIDProperty(strings.Repeat("x", 60_000)))
	b.addUser(t, "nul", "uNul", `{"wechatOpenId":"o\u0000","wechatUnionId":"uNul"}`)
	b.addUser(t, "nul-doubted", "oNulDoubted", openIDProperty(`o\u0000`))
	union := b.addUser(t, "union", "oUnion", `{"wechatOpenId":"oUnion","wechatUnionId":"`+long+`"}`)
	nulUnion := b.addUser(t, "nul-union", "oNulUnion", `{"wechatOpenId":"oNulUnion","wechatUnionId":"u\u0000"}`)
	emoji := b.addUser(t, "小明🐼", "o🐼", openIDProperty("o🐼"))
	for i := range 700 { // whose names take more than a text of MySQL
		b.addUser(t, fmt.Sprintf("%s-%d", strings.Repeat("n", 80), i), "undefined", openIDProperty("undefined"))
	}
	b.open(t)
	state, err := b.store.AdoptionState(t.Context())
	require.NoError(t, err)
	assert.True(t, state.Done)
	for openID, id := range map[string]string{"oUnion": union, "oNulUnion": nulUnion} {
		assert.Equal(t, id, b.principal(t, b.signIn(t, openID)).User.Id)
	}
	assert.NotEmpty(t, emoji)
	conflicts, err := b.store.Conflicts(t.Context())
	require.NoError(t, err)
	reasons := map[string]string{}
	for _, c := range conflicts {
		reasons[c.OpenID] = c.Reason
	}
	assert.Contains(t, reasons["oDoubted"], `user shop/doubted: wechat is "oDoubted", properties.wechatOpenId is "xxx`)
	assert.True(t, strings.HasSuffix(reasons["undefined"], " claims it too; and others"), "%.100q", reasons["undefined"])
	assert.Less(t, len(reasons["undefined"]), 5000)
	assertRefused(t, b.refused(t, "undefined"), object.AccessDenied, "contact the administrator")
}

// testNarrowColumns signs in where the database takes no such nickname or avatar: they keep nobody out.
func (s *besideSuite) testNarrowColumns(t *testing.T) {
	b := s.attach(t)
	narrow := map[string]string{
		"postgres": `ALTER TABLE "user" ALTER COLUMN avatar TYPE varchar(100)`,
		"mysql":    `ALTER TABLE "user" MODIFY display_name varchar(100) CHARACTER SET latin1`,
	}[b.cfg.DriverName]
	if narrow == "" {
		t.Skip("SQLite's columns take everything")
	}
	_, err := b.db.ExecContext(t.Context(), b.statement(narrow))
	require.NoError(t, err)
	b.open(t)
	texts, err := b.store.DiagnoseTexts(t.Context())
	require.NoError(t, err)
	if b.cfg.DriverName == "mysql" && assert.Len(t, texts, 1) {
		assert.Contains(t, texts[0].Text, "the column takes latin1: ALTER TABLE `user` MODIFY display_name")
	}
	for _, openID := range []string{"oNew", "oNew", "oShopper1"} {
		req := b.request(t, openID)
		req.Nickname, req.Avatar = "小明🐼", "https://example.com/"+strings.Repeat("a", 200)
		_, err := b.service.SignIn(t.Context(), req)
		require.NoError(t, err)
	}
	user := b.row(t, `SELECT display_name, avatar FROM "user" WHERE name=?`, "wechat-oNew")
	assert.NotContains(t, user["display_name"]+user["avatar"], "小明")
	assert.NotContains(t, user["avatar"], "example.com")
}
