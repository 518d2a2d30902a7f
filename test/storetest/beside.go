package storetest

import (
	"database/sql"
	"maps"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/testclock"
	"github.com/minidoor/minidoor/test/testdb"
)

// Casdoor is a kind of Casdoor's database.
type Casdoor int

// The kinds.
const (
	Captured Casdoor = iota // of v3.158, as it was dumped
	V141                    // the same, with the columns of v1.41 only
	FromSDK                 // made from the structs of casdoor-go-sdk
)

// RunBeside runs the suite of a store in a Casdoor's own tables. Each call of casdoor must return another database of
// that kind, with the organization shop.
func RunBeside(t *testing.T, kind Casdoor, casdoor func(t testing.TB) object.StoreConfig) {
	t.Helper()
	s := &besideSuite{kind: kind, casdoor: casdoor}
	tests := map[string]func(*testing.T){
		"SchemaIsUntouched": s.testSchemaUntouched,
		"SignIn":            s.testSignIn,
		"Conflicts":         s.testConflicts,
		"Sweep":             s.testSweepBeside,
	}
	if kind == Captured {
		maps.Copy(tests, map[string]func(*testing.T){
			"SettingsAreSeen":     s.testSettings,
			"RolesAndPermissions": s.testRights,
			"Groups":              s.testGroups,
			"NoAdminsAreMade":     s.testNoAdminsAreMade,
			"WechatColumnIsNoKey": s.testColumnIsNoKey,
			"Decisions":           s.testDecisions,
			"DecisionsStay":       s.testDecisionsStay,
			"OddUsers":            s.testOddUsers,
			"NarrowColumns":       s.testNarrowColumns,
			"DoubtLasts":          s.testDoubtLasts,
			"AdoptionGoesOn":      s.testAdoptionGoesOn,
			"AdoptionsAtOnce":     s.testAdoptionsAtOnce,
			"CoreColumns":         s.testCoreColumns,
			"RenamedOrganization": s.testRenamedOrganization,
			"ClaimOnOwner":        s.testClaimOnOneWhoSignsIn,
			"TwoUsersOfOneID":     s.testTwoUsersOfOneID,
		})
	}
	inParallel(t, tests)
}

// testSignIn holds what can share a database.
func (s *besideSuite) testSignIn(t *testing.T) {
	b := s.start(t)
	if s.kind != FromSDK { // which has no record of Casdoor's to compare with
		t.Run("RecordIsAsCasdoors", func(t *testing.T) { s.testRecordRow(t, b) })
	}
	for name, test := range map[string]func(*testing.T, *beside){
		"AdoptedUsersGoOn":      s.testAdopted,
		"NewUserIsAsCasdoors":   s.testNewRow,
		"TokensAreAsCasdoors":   s.testTokenRow,
		"CasdoorsTokenIsTaken":  s.testCasdoorsToken,
		"TokenWithoutAnID":      s.testTokenWithoutID,
		"ProfileIsUpdated":      s.testUpdate,
		"ForbiddenIsSeenAtOnce": s.testForbidden,
		"InitDataStaysOut":      s.testInitDataBeside,
		"AccountIsTheUsers":     s.testMemberBeside,
		"CasdoorsPasswords":     s.testPasswordBeside,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

type besideSuite struct {
	kind    Casdoor
	casdoor func(t testing.TB) object.StoreConfig
}

// Names and keys in the captured databases.
const (
	shop       = "shop"
	shopClient = "shopclient0000000000"
	shopAppID  = "wx1234567890abcdef"
)

// beside is one Casdoor's database, and after open a store in it.
type beside struct{ *tenant }

// attach connects to a Casdoor's database, as that Casdoor left it.
func (s *besideSuite) attach(t *testing.T) *beside {
	t.Helper()
	cfg := s.casdoor(t)
	cfg.Beside = true
	return &beside{&tenant{
		suite: &suite{cfg: cfg, db: testdb.Connect(t, cfg), sealer: newSealer(t, 1)}, clock: testclock.At(time.Now()),
		wechat: &wechat{}, name: shop, clientID: shopClient, setup: setup{refreshJWT: true},
	}}
}

// open starts on the database, as a server does.
func (b *beside) open(t *testing.T) {
	t.Helper()
	var err error
	var first *object.FirstStart
	b.store, first, err = object.Open(t.Context(), b.cfg)
	require.NoError(t, err)
	t.Cleanup(b.store.Close)
	require.Nil(t, first, "there is nothing to make for the first start")
	require.True(t, b.store.Beside())
	_, err = b.store.Adopt(t.Context(), nil)
	require.NoError(t, err)
	b.service = b.newService(t, b.sealer)
}

func (s *besideSuite) start(t *testing.T) *beside {
	t.Helper()
	b := s.attach(t)
	b.open(t)
	return b
}

// refused is the answer to a sign-in that must not succeed.
func (b *beside) refused(t *testing.T, code string) error {
	t.Helper()
	token, err := b.service.SignIn(t.Context(), b.request(t, code))
	require.Nil(t, token)
	return err
}

// addUser adds a row as Casdoor would have.
func (b *beside) addUser(t *testing.T, name, wechat, properties string) (id string) {
	t.Helper()
	id = "id-of-" + name
	b.exec(t, 1, `INSERT INTO "user" (owner, name, id, type, wechat, properties, is_forbidden, is_deleted, is_admin, `+
		`created_time) VALUES (?, ?, ?, 'normal-user', ?, ?, ?, ?, ?, '2026-01-01T00:00:00Z')`,
		shop, name, id, wechat, properties, false, false, false)
	return id
}

func openIDProperty(openID string) string {
	return `{"wechatOpenId":"` + openID + `","wechatUnionId":""}`
}

func (s *besideSuite) testAdopted(t *testing.T, b *beside) {
	before := b.row(t, `SELECT id, name FROM "user" WHERE wechat=?`, "oShopper1")
	for range 2 { // the first sign-in tells the AppID, the second finds by it
		token := b.signIn(t, "oShopper1 uShopper1")
		assert.False(t, token.NewUser)
		p := b.principal(t, token)
		assert.Equal(t, before["id"], p.User.Id)
		assert.Equal(t, before["name"], p.User.Name)
	}
	identity := b.row(t, `SELECT * FROM mini_program_identity WHERE open_id=?`, "oShopper1")
	assert.Equal(t, shopAppID, identity["app_id"])
	assert.Equal(t, before["id"], identity["user_id"])
	assert.Equal(t, "uShopper1", identity["union_id"])
	other := b.row(t, `SELECT * FROM mini_program_identity WHERE open_id=?`, "oShopper2")
	assert.Empty(t, other["app_id"], "nobody has told it yet")

	concurrently(8, func(int) {
		token, err := b.service.SignIn(t.Context(), b.request(t, "oShopper2"))
		if assert.NoError(t, err) {
			assert.False(t, token.NewUser)
		}
	})
	assert.Equal(t, shopAppID, b.row(t, `SELECT * FROM mini_program_identity WHERE open_id=?`, "oShopper2")["app_id"])
	assert.Len(t, b.rows(t, `SELECT name FROM "user" WHERE wechat LIKE 'oShopper%'`), 2)
}

func (s *besideSuite) testCasdoorsToken(t *testing.T, b *beside) {
	ours := b.signIn(t, "oTaken")
	if s.kind != V141 {
		// Casdoor writes the token itself too, and a SessionKey.
		b.exec(t, 1, `UPDATE "token" SET access_token=?, refresh_token=?, code=? WHERE "user"=?`,
			ours.AccessToken, ours.RefreshToken, "c2Vzc2lvbktleQ==", "wechat-oTaken")
	}
	assert.Equal(t, "wechat-oTaken", b.principal(t, ours).User.Name)
	fresh, err := b.service.Refresh(t.Context(), b.client(t), ours.RefreshToken, issuer)
	require.NoError(t, err)
	b.principal(t, fresh)
	_, err = b.service.Authenticate(t.Context(), ours.AccessToken)
	assertRefused(t, err, object.InvalidToken)
}

// Before v1.86.1 Casdoor's tokens have no jti.
func (s *besideSuite) testTokenWithoutID(t *testing.T, b *beside) {
	claims := jwt.MapClaims{}
	ours, _, err := jwt.NewParser().ParseUnverified(b.signIn(t, "oNoID").AccessToken, claims)
	require.NoError(t, err)
	pem := b.row(t, `SELECT private_key FROM "cert" WHERE name=?`, ours.Header["kid"])["private_key"]
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(pem))
	require.NoError(t, err)
	delete(claims, "tokenType")
	claims["jti"] = ""
	theirs := jwt.NewWithClaims(ours.Method, claims)
	theirs.Header["kid"] = ours.Header["kid"]
	token, err := theirs.SignedString(key)
	require.NoError(t, err)
	_, err = b.service.Authenticate(t.Context(), token)
	assertRefused(t, err, object.InvalidToken)
	set, value := "access_token", token
	if s.kind != V141 {
		set, value = "access_token_hash", hashOf(token)
	}
	b.exec(t, 1, `UPDATE "token" SET `+set+`=? WHERE "user"=?`, value, "wechat-oNoID")
	p, err := b.service.Authenticate(t.Context(), token)
	require.NoError(t, err)
	assert.Equal(t, "wechat-oNoID", p.User.Name)
}

func (s *besideSuite) testUpdate(t *testing.T, b *beside) {
	p := b.principal(t, b.signIn(t, "oUser"))
	changed, err := b.service.UpdateProfile(t.Context(), p, []object.Change{
		{Field: "displayName", Value: "小明 🐼"}, {Field: "avatar", Value: "https://example.com/a.png"},
	})
	require.NoError(t, err)
	assert.True(t, changed)
	row := b.row(t, `SELECT display_name, avatar, score FROM "user" WHERE name=?`, "wechat-oUser")
	assert.Equal(t, "小明 🐼", row["display_name"])
	assert.Equal(t, "https://example.com/a.png", row["avatar"])
}

func (s *besideSuite) testForbidden(t *testing.T, b *beside) {
	token := b.signIn(t, "oUser")
	b.exec(t, 1, `UPDATE "user" SET is_forbidden=? WHERE name=?`, true, "wechat-oUser")
	_, err := b.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.AccessDenied)
	assertRefused(t, b.refused(t, "oUser"), object.AccessDenied)
	b.exec(t, 1, `UPDATE "user" SET is_forbidden=? WHERE name=?`, false, "wechat-oUser")
	b.principal(t, token)
}

func (s *besideSuite) testSettings(t *testing.T) {
	b := s.start(t)
	b.signIn(t, "oFirst")
	const within = 5 * time.Second
	b.exec(t, 1, `UPDATE "application" SET enable_sign_up=? WHERE name=?`, false, "app-shop")
	b.clock.Advance(within)
	assertRefused(t, b.refused(t, "oSecond"), object.AccessDenied, "sign up")
	b.exec(t, 1, `UPDATE "application" SET enable_sign_up=?, cert=? WHERE name=?`, true, "gone", "app-shop")
	b.clock.Advance(within)
	assert.ErrorContains(t, b.refused(t, "oFirst"), `cert "gone" does not exist`)
}

// testRenamedOrganization gives an organization another name, as Casdoor's pages can: its users are who they were, also
// those who sign in for the first time since they were adopted, and where nobody may sign up. A name alone proves
// nothing: it may be another user's.
func (s *besideSuite) testRenamedOrganization(t *testing.T) {
	b := s.start(t)
	b.signIn(t, "oLeft")
	b.signIn(t, "oThief")
	old := map[string]string{
		"oKnown":    b.principal(t, b.signIn(t, "oKnown")).User.Id,
		"oShopper1": b.row(t, `SELECT id FROM "user" WHERE wechat=?`, "oShopper1")["id"],
	}
	b.exec(t, 1, `UPDATE "organization" SET name=? WHERE name=?`, "store", shop)
	b.exec(t, 1, `UPDATE "application" SET organization=?, enable_sign_up=? WHERE organization=?`, "store", false, shop)
	_, err := b.db.ExecContext(t.Context(), b.statement(`UPDATE "user" SET owner='store' WHERE owner='`+shop+`'`))
	require.NoError(t, err)
	b.clock.Advance(5 * time.Second)
	for range 2 {
		for openID, id := range old {
			p := b.principal(t, b.signIn(t, openID))
			assert.Equal(t, id, p.User.Id, openID)
			assert.Equal(t, "store", p.User.Owner)
		}
	}
	assertRefused(t, b.refused(t, "oStranger"), object.AccessDenied, "sign up")
	b.exec(t, 1, `UPDATE "user" SET name='left' WHERE name='wechat-oLeft'`)
	b.exec(t, 1, `UPDATE "user" SET name='wechat-oLeft' WHERE name='wechat-oThief'`)
	assertRefused(t, b.refused(t, "oLeft"), object.AccessDenied, "sign up")
	p := b.principal(t, b.signIn(t, "oKnown"))
	require.NoError(t, b.service.Delete(t.Context(), p, "", "oKnown"))
	assert.Empty(t, b.rows(t, `SELECT open_id FROM mini_program_identity WHERE open_id='oKnown'`))
}

// testTwoUsersOfOneID has a user take another one's id, as a Casdoor lets users do where the organization has no account
// item for it: nobody is signed in as the one who did so, whoever of them came first.
func (s *besideSuite) testTwoUsersOfOneID(t *testing.T) {
	b := s.start(t)
	b.apply(t, row{"miniProgramProviders": []row{{"owner": "admin", "name": "wxmp", "shareUnionId": true}}})
	for _, victim := range []string{"oFirst", "oLast"} {
		kept := b.principal(t, b.signIn(t, victim+" u"+victim)).User.Id
		thief := b.principal(t, b.signIn(t, "oMiddle")).User.Id
		b.exec(t, 1, `UPDATE "user" SET id=? WHERE name='wechat-oMiddle'`, kept)
		for _, code := range []string{victim, victim + "Elsewhere u" + victim} {
			assertRefused(t, b.refused(t, code), object.AccessDenied, "contact the administrator")
		}
		b.exec(t, 1, `UPDATE "user" SET id=? WHERE name='wechat-oMiddle'`, thief)
		assert.Equal(t, kept, b.principal(t, b.signIn(t, victim)).User.Id)
	}
}

func (s *besideSuite) testCoreColumns(t *testing.T) {
	b := s.attach(t)
	for _, column := range []string{`"user" DROP COLUMN properties`, `"provider" DROP COLUMN client_secret`} {
		_, err := b.db.ExecContext(t.Context(), b.statement("ALTER TABLE "+column))
		require.NoError(t, err)
	}
	_, _, err := object.Open(t.Context(), b.cfg)
	assert.ErrorContains(t, err, "its tables lack provider.client_secret, user.properties")
	assert.Empty(t, b.ownTables(t), "a start that is refused leaves nothing behind")
}

func (s *besideSuite) testInitDataBeside(t *testing.T, b *beside) {
	before := b.row(t, `SELECT display_name FROM "organization" WHERE name=?`, shop)
	b.apply(t, row{
		"organizations":        []row{{"owner": "admin", "name": shop, "displayName": "Changed"}},
		"miniProgramProviders": []row{{"owner": "admin", "name": "wxmp", "shareUnionId": true}},
	})
	assert.Equal(t, before, b.row(t, `SELECT display_name FROM "organization" WHERE name=?`, shop))
	assert.Len(t, b.rows(t, `SELECT name FROM mini_program_provider WHERE name='wxmp'`), 1)
}

// ownTables returns the names of our tables in the database.
func (b *beside) ownTables(t *testing.T) (names []string) {
	t.Helper()
	for _, name := range tableNames(t, b.db, b.cfg.DriverName) {
		if isOurs(name) {
			names = append(names, name)
		}
	}
	return names
}

func tableNames(t *testing.T, db *sql.DB, driver string) (names []string) {
	t.Helper()
	query := map[string]string{
		"sqlite":   "SELECT name FROM sqlite_master WHERE type='table'",
		"mysql":    "SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE()",
		"postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema='public'",
	}[driver]
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}
