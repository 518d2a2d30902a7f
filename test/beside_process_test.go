package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakecasdoor"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/process"
	"github.com/minidoor/minidoor/test/testdb"
)

// testBeside does what README.md says under "Beside your Casdoor": Casdoor's own app.conf, and our keys from the
// environment.
func testBeside(t *testing.T, binary string) {
	for _, kind := range testdb.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			store := kind.Casdoor(t)
			db := testdb.Connect(t, store)
			for _, statement := range []string{
				"UPDATE provider SET client_secret='" + harness.AppSecret + "'",
				"UPDATE " + kind.Quote("user") + " SET wechat='oShopper1' WHERE name='wechat-oShopper2'",
			} {
				_, err := db.ExecContext(t.Context(), statement)
				require.NoError(t, err)
			}
			certificate := ""
			err := db.QueryRowContext(t.Context(), "SELECT certificate FROM cert WHERE name='cert-built-in'").Scan(&certificate)
			require.NoError(t, err)
			casdoor := fakecasdoor.New(fakecasdoor.Options{KeyBits: 1024, Rows: func(rows *fakecasdoor.Rows) {
				rows.Certs[0].Certificate = certificate
			}})
			w := newWorld(t, binary, store)
			w.cfg.Args = []string{"-conf", casdoorConf(t, store.DriverName, store.DataSourceName, store.DBName)}
			for _, key := range []string{"driverName", "dataSourceName", "dbName", "initDataFile"} {
				delete(w.cfg.Env, key) // Casdoor's file says it
			}
			w.cfg.Env["casdoorUpstream"] = harness.Serve(t, casdoor)

			output, _ := w.command(t, "-check")
			if kind.Name != "sqlite" {
				assert.Contains(t, output, "ok: database: it can be written to\n")
			}
			output, failed := w.command(t, "-adopt")
			assert.True(t, failed)
			assert.Contains(t, output, "there are no tables of minidoor's yet: they are made at the first start")
			_, err = db.ExecContext(t.Context(), "SELECT * FROM mini_program_state")
			require.Error(t, err, "a command makes none")
			c := w.start(t)
			assert.Contains(t, c.process.Output(), "4 of 4 seen, 0 adopted, 2 conflicts")
			assert.NotContains(t, c.process.Output(), "First start")
			assert.True(t, *c.SignIn(t, "oNew").NewUser)
			for _, openID := range []string{"oShopper1", "oShopper2"} {
				reply := c.Call(t, "POST", harness.PathToken, "", harness.SignInForm(c.NewCode(openID)))
				assert.Equal(t, http.StatusBadRequest, reply.Status)
				assert.Contains(t, reply.Body, "access_denied")
			}
			assert.Equal(t, http.StatusOK, c.Call(t, "GET", "/login", "", nil).Status, "Casdoor's pages pass")

			output, failed = w.command(t, "-check")
			assert.True(t, failed)
			assert.Contains(t, output, "conflict: organization shop, OpenID oShopper1: user shop/wechat-oShopper2: "+
				`wechat is "oShopper1", properties.wechatOpenId is "oShopper2"`)
			output, failed = w.command(t, "-assign", "shop/wechat-oShopper1=oShopper1")
			require.False(t, failed, output)
			assert.Contains(t, output, "OpenID oShopper1 belongs to user shop/wechat-oShopper1")
			assert.False(t, *c.SignIn(t, "oShopper1").NewUser, "the running server sees it")
			_, err = db.ExecContext(t.Context(),
				"UPDATE "+kind.Quote("user")+" SET wechat='oShopper2' WHERE name='wechat-oShopper2'")
			require.NoError(t, err)
			output, failed = w.command(t, "-adopt")
			require.False(t, failed, output)
			assert.False(t, *c.SignIn(t, "oShopper2").NewUser)
			output, failed = w.command(t, "-check")
			assert.False(t, failed, output)
			assert.NotContains(t, output, "conflict: ")
			assert.Contains(t, output, "ok: casdoorUpstream: it serves the keys of this database\n")
			c.stop(t)

			w.cfg.Env["casdoorUpstream"] = harness.Serve(t, fakecasdoor.New(fakecasdoor.Options{KeyBits: 1024}))
			output, failed = w.command(t, "-check")
			assert.True(t, failed)
			assert.Contains(t, output, "problem: casdoorUpstream: none of the keys that it serves is in this database")
			none := fakecasdoor.New(fakecasdoor.Options{Rows: func(rows *fakecasdoor.Rows) { rows.Certs = nil }})
			w.cfg.Env["casdoorUpstream"] = harness.Serve(t, none)
			output, failed = w.command(t, "-check")
			assert.True(t, failed)
			assert.Contains(t, output, "problem: casdoorUpstream: /.well-known/jwks has no keys")
			w.cfg.Env["casdoorUpstream"] = c.URL
			output, failed = w.command(t, "-check")
			assert.True(t, failed)
			assert.Contains(t, output, "problem: casdoorUpstream: ")
			delete(w.cfg.Env, "casdoorUpstream")
			const forgotten = "empty, though the database is a Casdoor's"
			output, _ = w.command(t, "-check")
			assert.Contains(t, output, "warning: casdoorUpstream: "+forgotten)
			c = w.start(t)
			assert.Contains(t, c.process.Output(), forgotten)
			c.stop(t)
		})
	}
}

// command runs the binary with a command, and returns what it printed and whether it failed.
func (w *world) command(t *testing.T, args ...string) (output string, failed bool) {
	t.Helper()
	cfg := w.cfg
	cfg.Args = append(args, cfg.Args...)
	p, err := process.Start(t.Context(), cfg)
	require.NoError(t, err)
	err = p.Wait()
	return p.Output(), err != nil
}

// casdoorConf writes what Casdoor's app.conf says about its database, and more that means nothing to us.
func casdoorConf(t *testing.T, driver, source, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.conf")
	text := fmt.Sprintf("appname = casdoor\nhttpport = 8000\nrunmode = prod\ndriverName = %s\ndataSourceName = \"%s\"\n"+
		"dbName = %s\ntableNamePrefix =\nauthState = \"casdoor\"\ninitDataFile = ./init_data.json\n", driver, source, name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// testRemoteProcess starts the remote way, without any database.
func testRemoteProcess(t *testing.T, binary string) {
	casdoor := fakecasdoor.New(fakecasdoor.Options{})
	fake := fakewechat.New(fakewechat.Options{
		AppID: harness.AppID, AppSecret: harness.AppSecret, CodesPerMinute: -1, KeepSecrets: true,
	})
	folder := t.TempDir()
	w := &world{fake: fake, cfg: process.Config{Binary: binary, Dir: folder, Env: map[string]string{
		"casdoorEndpoint": harness.Serve(t, casdoor),
		"casdoorClientId": harness.ClientID, "casdoorClientSecret": harness.ClientSecret,
		"wechatEndpoint": harness.Serve(t, fake),
		"wechatAppId":    harness.AppID, "wechatAppSecret": harness.AppSecret,
	}}}
	c := w.start(t)
	assert.True(t, *c.SignIn(t, "oRemote").NewUser)
	assert.False(t, *c.SignIn(t, "oRemote").NewUser)
	assert.Len(t, casdoor.Tokens(), 2)
	checkRemoteMember(t, c)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1, "there is nothing to keep in files")
	assert.Equal(t, "avatars", entries[0].Name(), "but pictures")
	output, failed := w.command(t, "-check")
	assert.False(t, failed, output)
	assert.Contains(t, output, "ok: Casdoor: "+w.cfg.Env["casdoorEndpoint"]+" answers\n")
	assert.Contains(t, output, "AppID "+harness.AppID+": the platform accepts it\n")
	assert.Contains(t, output, "ok: clock: as WeChat's\n")
	output, failed = w.command(t, "-adopt")
	assert.True(t, failed)
	assert.Contains(t, output, "there is no database in remote mode")
	w.cfg.Env["casdoorClientSecret"] = "wrong"
	output, failed = w.command(t, "-check")
	assert.True(t, failed)
	assert.Contains(t, output, "problem: Casdoor: ")
	c.stop(t)
}

// checkRemoteMember asks for what needs no database but Casdoor's, and for what does.
func checkRemoteMember(t *testing.T, c *child) {
	t.Helper()
	token := c.SignIn(t, "oRemote").AccessToken
	for range 2 {
		code := c.Fake.NewPhoneCode("oRemote", chinese("13800000000"))
		reply := c.Call(t, "POST", harness.PathPhone, token, fieldsOf{"code": code})
		require.Equal(t, http.StatusOK, reply.Status, reply.Body)
		account := reply.Map(t)["data"].(map[string]any)
		assert.Equal(t, "13800000000", account["phone"])
		assert.Equal(t, "CN", account["countryCode"])
		token = c.SignIn(t, "oRemote").AccessToken // Casdoor has kept it
	}
	e := encrypted(c.Fake.Encrypt("oRemote", map[string]any{}))
	for _, reply := range []harness.Reply{
		c.Call(t, "POST", harness.PathDecrypt, token, e), c.Call(t, "GET", harness.PathSession, token, nil),
		c.Call(t, "GET", harness.PathExport, token, nil), c.Call(t, "GET", harness.PathPush, "", nil),
		c.Call(t, "POST", harness.PathDelete, token, fieldsOf{"code": c.NewCode("oRemote")}),
	} {
		assert.Equal(t, http.StatusNotImplemented, reply.Status)
		assert.Contains(t, reply.Map(t)["msg"], "behind the API of a Casdoor")
	}
}
