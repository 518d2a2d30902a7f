package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
	"xorm.io/xorm"
	"xorm.io/xorm/names"
	"xorm.io/xorm/schemas"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/testdb"
)

func (s *suite) testSchema(t *testing.T) {
	inParallel(t, map[string]func(*testing.T){
		"FirstStart":           s.testFirstStart,
		"StartsAtOnce":         s.testStartsAtOnce,
		"ColumnsAreCasdoors":   s.testColumns,
		"Upgrade":              s.testUpgrade,
		"AsItIs":               s.testAsItIs,
		"Prefix":               s.testPrefix,
		"UnknownDriver":        s.testUnknownDriver,
		"ClosedStoreSaysSo":    s.testClosed,
		"CaseOfKeysIsObserved": s.testKeysObserveCase,
		"RoomInPages":          s.testRoomInPages,
	})
}

func (s *suite) testFirstStart(t *testing.T) {
	cfg := s.empty(t)
	store, first, err := object.Open(t.Context(), cfg)
	require.NoError(t, err)
	store.Close()
	require.NotNil(t, first)
	look := &suite{cfg: cfg, db: testdb.Connect(t, cfg)}

	assert.Equal(t, "built-in/admin", first.AdminName)
	assert.GreaterOrEqual(t, len(first.AdminPassword), 20)
	admin := look.row(t, `SELECT * FROM "user"`)
	assert.Equal(t, "built-in", admin["owner"])
	assert.Equal(t, "admin", admin["name"])
	assert.Equal(t, "bcrypt", admin["password_type"])
	assert.NoError(t, bcrypt.CompareHashAndPassword([]byte(admin["password"]), []byte(first.AdminPassword)))
	assert.Equal(t, "built-in", look.row(t, `SELECT * FROM "organization"`)["name"])
	app := look.row(t, `SELECT * FROM "application"`)
	assert.Equal(t, "app-built-in", app["name"])
	assert.Equal(t, "cert-built-in", app["cert"])
	assert.NotEmpty(t, app["client_secret"])
	cert := look.row(t, `SELECT * FROM "cert"`)
	assert.Equal(t, []string{"cert-built-in", "RS256", "2048"},
		[]string{cert["name"], cert["crypto_algorithm"], cert["bit_size"]})

	store, first, err = object.Open(t.Context(), cfg)
	require.NoError(t, err)
	store.Close()
	assert.Nil(t, first, "the second start is no first start")
	assert.Equal(t, admin, look.row(t, `SELECT * FROM "user"`))
}

func (s *suite) testStartsAtOnce(t *testing.T) {
	cfg := s.empty(t)
	const instances = 8
	firsts, errs := make([]*object.FirstStart, instances), make([]error, instances)
	concurrently(instances, func(i int) {
		var store *object.Store
		if store, firsts[i], errs[i] = object.Open(t.Context(), cfg); errs[i] == nil {
			store.Close()
		}
	})
	made := 0
	for i := range instances {
		require.NoError(t, errs[i])
		if firsts[i] != nil {
			made++
		}
	}
	assert.Equal(t, 1, made)
	look := &suite{cfg: cfg, db: testdb.Connect(t, cfg)}
	for _, table := range []string{"organization", "application", "cert", "user"} {
		assert.Len(t, look.rows(t, `SELECT * FROM "`+table+`"`), 1, table)
	}
}

// casdoorTables are the structs that describe Casdoor's tables.
func casdoorTables() map[string]any {
	return map[string]any{
		"organization": new(sdk.Organization), "application": new(sdk.Application), "provider": new(sdk.Provider),
		"cert": new(sdk.Cert), "user": new(sdk.User), "token": new(sdk.Token),
	}
}

// testColumns compares the tables with those that xorm itself makes of the structs, beside them.
func (s *suite) testColumns(t *testing.T) {
	driver, name := testdb.DataSource(t, s.cfg)
	engine, err := xorm.NewEngine(driver, name)
	require.NoError(t, err)
	defer func() { _ = engine.Close() }()
	const reference = "reference_"
	engine.SetTableMapper(names.NewPrefixMapper(names.SnakeMapper{}, reference))
	var tables []any
	for _, row := range casdoorTables() {
		tables = append(tables, row)
	}
	require.NoError(t, engine.Sync(tables...))
	known, err := engine.DBMetas()
	require.NoError(t, err)
	for table := range casdoorTables() {
		assert.Equal(t, describe(t, known, reference+table), describe(t, known, table), table)
	}
	for _, table := range []string{"identity", "session", "union", "provider", "upload"} {
		assert.NotEmpty(t, describe(t, known, "mini_program_"+table))
	}
}

type column struct {
	name, kind    string
	length        int64
	null, primary bool
}

func describe(t *testing.T, tables []*schemas.Table, name string) []column {
	t.Helper()
	i := slices.IndexFunc(tables, func(table *schemas.Table) bool { return table.Name == name })
	require.GreaterOrEqual(t, i, 0, "no table %s", name)
	var columns []column
	for _, c := range tables[i].Columns() {
		columns = append(columns, column{c.Name, c.SQLType.Name, c.Length, c.Nullable, c.IsPrimaryKey})
	}
	slices.SortFunc(columns, func(a, b column) int { return cmp.Compare(a.name, b.name) })
	return columns
}

// testUpgrade starts on tables that an older release has made, and filled.
func (s *suite) testUpgrade(t *testing.T) {
	old := open(t, s.empty(t))
	n := old.tenant(t, setup{})
	n.signIn(t, "oOld")
	before := n.rows(t, `SELECT name, score FROM "user" ORDER BY name`)
	for _, missing := range []string{`"user" DROP COLUMN bio`, `"token" DROP COLUMN scope`} {
		_, err := old.db.ExecContext(t.Context(), old.statement("ALTER TABLE "+missing))
		require.NoError(t, err)
	}
	old.store.Close()

	s = open(t, old.cfg)
	assert.Equal(t, before, s.rows(t, `SELECT name, score FROM "user" ORDER BY name`))
	assert.Len(t, s.rows(t, `SELECT bio FROM "user" WHERE bio IS NOT NULL`), 0)
	n.suite = s
	n.service = n.newService(t, s.sealer)
	p := n.principal(t, n.signIn(t, "oOld"))
	_, err := n.service.UpdateProfile(t.Context(), p, []object.Change{{Field: "bio", Value: "back"}})
	require.NoError(t, err)
	assert.Equal(t, "back", n.find(t, p.User.Name).Bio)
}

// testAsItIs looks at a database before the first start, and at one that an earlier version has left.
func (s *suite) testAsItIs(t *testing.T) {
	cfg := s.empty(t)
	for range 2 { // the first has made nothing that the second would find
		_, err := object.OpenAsItIs(t.Context(), cfg)
		var missing object.NotMadeError
		require.ErrorAs(t, err, &missing)
		assert.Regexp(t, "^(file|database) .+ is made at the first start$", missing.Error())
	}
	beside := cfg
	beside.Beside = true
	_, err := object.OpenAsItIs(t.Context(), beside)
	require.ErrorIs(t, err, object.ErrNoCasdoor)

	old := open(t, cfg)
	old.store.Close()
	for _, change := range []string{
		`DROP TABLE mini_program_stat`, `DROP TABLE mini_program_mark`, `DROP TABLE record`,
		`ALTER TABLE "application" DROP COLUMN tags`, `ALTER TABLE mini_program_provider DROP COLUMN on_review`,
		`ALTER TABLE mini_program_session DROP COLUMN updated_time`,
	} {
		_, err := old.db.ExecContext(t.Context(), old.statement(change))
		require.NoError(t, err)
	}
	tables := tableNames(t, old.db, cfg.DriverName)
	registry, err := provider.NewRegistry()
	require.NoError(t, err)
	look, err := object.OpenAsItIs(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(look.Close)
	applications, err := look.DiagnoseApplications(t.Context())
	require.NoError(t, err)
	assert.Contains(t, applications, object.Finding{Severity: object.Fine, Text: "application admin/app-built-in"})
	assert.Equal(t, []object.Finding{{
		Severity: object.Fine,
		Text: "database: an earlier version has made it, and the first start of this one adds " +
			"mini_program_session.updated_time, mini_program_provider.on_review, mini_program_mark, mini_program_stat, " +
			"application.tags, record",
	}}, look.DiagnoseSchema())
	for _, diagnose := range []func() ([]object.Finding, error){
		func() ([]object.Finding, error) { return look.DiagnoseWriting(t.Context()) },
		func() ([]object.Finding, error) { return look.DiagnoseProviders(t.Context(), registry) },
	} {
		all, err := diagnose()
		require.NoError(t, err)
		for _, f := range all {
			assert.NotEqual(t, object.Problem, f.Severity, f.Text)
		}
	}
	assert.False(t, look.Bare())
	assert.ElementsMatch(t, tables, tableNames(t, old.db, cfg.DriverName))
	_, err = old.db.ExecContext(t.Context(), old.statement(`SELECT tags FROM "application"`))
	assert.Error(t, err, "it is for a start to add what is missing")
}

func (s *suite) testPrefix(t *testing.T) {
	cfg := s.empty(t)
	cfg.TableNamePrefix = "cd_"
	prefixed := &suite{cfg: cfg}
	var err error
	prefixed.store, _, err = object.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(prefixed.store.Close)
	prefixed.db = testdb.Connect(t, cfg)
	prefixed.sealer = newSealer(t, 1)
	n := prefixed.tenant(t, setup{application: row{"cert": "cert-built-in"}})
	name := n.principal(t, n.signIn(t, "oPrefixed")).User.Name
	assert.Equal(t, name, prefixed.row(t, `SELECT name FROM "cd_user" WHERE owner=?`, n.name)["name"])
	assert.Len(t, prefixed.rows(t, "SELECT * FROM cd_token"), 1)
	_, err = prefixed.db.ExecContext(t.Context(), prefixed.statement(`SELECT * FROM "user" WHERE owner=''`))
	assert.Error(t, err, "there must be no table without the prefix")

	beside := cfg // another one's tables have the same indexes
	beside.TableNamePrefix = "other_"
	store, _, err := object.Open(t.Context(), beside)
	require.NoError(t, err)
	store.Close()
	made := indexesOf(t, cfg, "cd_token")
	require.Subset(t, made, []string{"organization,name", "organization,user"})
	assert.Equal(t, made, indexesOf(t, cfg, "other_token"))

	// Earlier versions gave the plain names to the first prefix.
	named := map[string]string{
		"sqlite":   "DROP INDEX cd_mp_token_user; CREATE INDEX mp_token_user ON cd_token (organization, user)",
		"postgres": "ALTER INDEX cd_mp_token_user RENAME TO mp_token_user",
		"mysql":    "DO 1", // there each table names its own
	}[cfg.DriverName]
	_, err = prefixed.db.ExecContext(t.Context(), named)
	require.NoError(t, err)
	store, _, err = object.Open(t.Context(), cfg)
	require.NoError(t, err)
	store.Close()
	assert.Equal(t, made, indexesOf(t, cfg, "cd_token"), "none is made twice")
}

// indexesOf returns the columns of each index of a table, but for that of its key.
func indexesOf(t *testing.T, cfg object.StoreConfig, table string) []string {
	t.Helper()
	driver, name := testdb.DataSource(t, cfg)
	engine, err := xorm.NewEngine(driver, name)
	require.NoError(t, err)
	defer func() { _ = engine.Close() }()
	known, err := engine.DBMetas()
	require.NoError(t, err)
	i := slices.IndexFunc(known, func(known *schemas.Table) bool { return known.Name == table })
	require.GreaterOrEqual(t, i, 0, "no table %s", table)
	var all []string
	for _, index := range known[i].Indexes {
		all = append(all, strings.Join(index.Cols, ","))
	}
	slices.Sort(all)
	return all
}

// A user who signs in again stays in their page of PostgreSQL's, though others have filled it.
func (s *suite) testRoomInPages(t *testing.T) {
	if s.cfg.DriverName != "postgres" {
		return
	}
	s = open(t, s.empty(t))
	n := s.tenant(t, setup{})
	openIDs := make([]string, 60)
	for i := range openIDs {
		openIDs[i] = fmt.Sprintf("oRoom%d", i)
		n.signIn(t, openIDs[i])
	}
	page := func(openID string) string { // of a row's address, which is "(page,number)"
		address := s.row(t, `SELECT CAST(ctid AS text) AS address FROM "user" WHERE owner=? AND name=?`, n.name, "wechat-"+openID)
		page, _, _ := strings.Cut(address["address"], ",")
		return page
	}
	firsts := map[string]string{} // by the page
	for _, openID := range openIDs {
		firsts[page(openID)] = cmp.Or(firsts[page(openID)], openID)
	}
	require.Greater(t, len(firsts), 2)
	n.clock.Advance(time.Minute)
	for before, openID := range firsts {
		n.signIn(t, openID)
		assert.Equal(t, before, page(openID))
	}

	const chosen = `SELECT reloptions[1] AS option FROM pg_class WHERE oid=to_regclass('"user"')`
	s.exec(t, 0, `ALTER TABLE "user" SET (fillfactor=70)`)
	open(t, s.cfg)
	assert.Equal(t, "fillfactor=70", s.row(t, chosen)["option"], "an administrator's choice stays")
}

func (s *suite) testUnknownDriver(t *testing.T) {
	_, _, err := object.Open(t.Context(), object.StoreConfig{DriverName: "mssql"})
	assert.ErrorContains(t, err, `driverName "mssql": want sqlite, mysql or postgres`)
}

func (s *suite) testClosed(t *testing.T) {
	closed := open(t, s.empty(t))
	n := closed.tenant(t, setup{})
	req := n.request(t, "oLate")
	closed.store.Close()
	_, err := n.service.SignIn(t.Context(), req)
	assert.Error(t, err)
	assert.Error(t, n.service.Ping(t.Context()))
	closed.store.Close() // does no harm
}

// testKeysObserveCase is about what the look-up of a sign-in relies on.
func (s *suite) testKeysObserveCase(t *testing.T) {
	for _, openID := range []string{"oCase", "ocase", "OCASE"} {
		s.exec(t, 1, `INSERT INTO mini_program_identity (organization, app_id, open_id, user_id) VALUES (?, ?, ?, ?)`,
			"org-case", "wxcase", openID, "id of "+openID)
	}
	found := s.row(t, `SELECT user_id FROM mini_program_identity WHERE organization=? AND app_id=? AND open_id=?`,
		"org-case", "wxcase", "ocase")
	assert.Equal(t, "id of ocase", found["user_id"])
}
