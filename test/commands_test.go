package test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// testReseal changes the seal key as an admin does: the new one before the old one, -reseal, the new one alone.
func testReseal(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	keyOf := func(c string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) }
	decrypts := func(c *child, token string) bool {
		e := encrypted(w.fake.Encrypt("oMe", map[string]any{"x": 1}))
		return c.Call(t, "POST", harness.PathDecrypt, token, e).Status == http.StatusOK
	}
	w.cfg.Env["sealKey"] = keyOf("a")
	c := w.start(t)
	token := c.SignIn(t, "oMe").AccessToken
	require.True(t, decrypts(c, token))
	c.stop(t)

	w.cfg.Env["sealKey"] = keyOf("b")
	output, failed := w.command(t, "-reseal")
	assert.True(t, failed)
	assert.Regexp(t, `unknown: 1 are sealed with the key of id [0-9a-f]{8}, which sealKey lacks`, output)
	w.cfg.Env["sealKey"] = keyOf("b") + "," + keyOf("a")
	c = w.start(t)
	assert.True(t, decrypts(c, token), "an old key opens")
	output, failed = w.command(t, "-reseal")
	assert.False(t, failed, output)
	assert.Contains(t, output, "1 SessionKeys seen, 1 sealed with the first key")
	c.stop(t)
	w.cfg.Env["sealKey"] = keyOf("b")
	c = w.start(t)
	assert.True(t, decrypts(c, token), "the old key is not needed any more")
	c.stop(t)
	const lost = "SessionKeys are sealed with another seal key"
	assert.NotContains(t, c.process.Output(), lost)
	w.cfg.Env["sealKey"] = keyOf("c")
	c = w.start(t)
	c.stop(t)
	assert.Contains(t, c.process.Output(), lost)
	w.cfg.Env["sealKey"] = "" // the file of the key is another one for whoever runs a command by hand
	output, failed = w.command(t, "-reseal")
	assert.True(t, failed)
	assert.Contains(t, output, "minidoor: seal key file "+w.cfg.Env["sealKeyFile"]+": ")
	assert.NoFileExists(t, w.cfg.Env["sealKeyFile"])
	for _, key := range []string{keyOf("c"), ""} {
		w.cfg.Env["sealKey"] = key
		checked, _ := w.command(t, "-check")
		assert.Contains(t, checked, "warning: seal key: "+lost)
	}
	for _, secret := range []string{keyOf("a"), keyOf("b"), w.fake.SessionKey("oMe")} {
		assert.NotContains(t, output, secret)
	}
}

// testRedis shows that servers share WeChat's access token through Redis, and do without it.
func testRedis(t *testing.T, binary string) {
	redis := miniredis.NewMiniRedis()
	require.NoError(t, redis.StartAddr("127.0.0.1:0"))
	t.Cleanup(redis.Close)
	w := newWorld(t, binary, testdb.SQLite(t))
	w.cfg.Env["redisEndpoint"] = redis.Addr()
	phone := func(c *child) int {
		token := c.SignIn(t, "oMe").AccessToken
		code := w.fake.NewPhoneCode("oMe", chinese("13800000000"))
		return c.Call(t, "POST", harness.PathPhone, token, fieldsOf{"code": code}).Status
	}
	calls, found := 0, false
	for n := 0; n < 6 && !found; n++ { // one server after the other; Redis has 0.2 s each time, which it may miss
		c := w.start(t)
		assert.Equal(t, http.StatusOK, phone(c))
		c.stop(t)
		before := calls
		calls = w.fake.Calls(fakewechat.PathStableToken)
		found = calls == before
	}
	assert.True(t, found, "none found the token of one before")
	redis.Close()
	c := w.start(t)
	assert.Equal(t, http.StatusOK, phone(c), "without Redis each fetches its own")
	c.stop(t)

	w.cfg.Env["redisEndpoint"] = "no endpoint"
	output, failed := w.command(t)
	assert.True(t, failed)
	assert.Contains(t, output, "redisEndpoint: want")
}

// testBrokenStarts has a server say why it does not start.
func testBrokenStarts(t *testing.T, binary string) {
	folder := t.TempDir()
	nowhere := filepath.Join(folder, "none", "x")
	for want, c := range map[string]struct {
		env  map[string]string
		args []string
	}{
		"minidoor: seal key file " + nowhere + ": ": {env: map[string]string{"sealKeyFile": nowhere}},
		"minidoor: avatarDir: ":                     {env: map[string]string{"avatarDir": "/proc/minidoor"}},
		"minidoor: open database: open " + nowhere:  {env: map[string]string{"dataSourceName": nowhere}},
		"minidoor: open database: file " + folder:   {env: map[string]string{"dataSourceName": folder}},
		`minidoor: unexpected argument "check"`:     {args: []string{"check"}},
		`minidoor: unexpected argument "serve"`:     {args: []string{"serve", "-check"}},
	} {
		w := newWorld(t, binary, testdb.SQLite(t))
		maps.Copy(w.cfg.Env, c.env)
		output, failed := w.command(t, c.args...)
		assert.True(t, failed)
		assert.Contains(t, output, want)
		assert.NotContains(t, output, "panic")
	}
}

// testCommandsNeedAStart runs commands where nothing is for them to work on: they make nothing.
func testCommandsNeedAStart(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	for _, half := range []string{"shop/alice", "alice=oMe", "/alice=oMe", "shop/=oMe", "shop/alice="} {
		output, failed := w.command(t, "-assign", half)
		assert.True(t, failed)
		assert.Contains(t, output, "want owner/name=OpenID", half)
	}
	output, failed := w.command(t, "-adopt", "-reseal")
	assert.True(t, failed)
	assert.Contains(t, output, "another command is given already")
	_, file, _ := strings.Cut(w.store.DataSourceName, ":")
	for _, args := range [][]string{{"-adopt"}, {"-assign", "shop/alice=oMe"}, {"-reseal"}} {
		output, failed := w.command(t, args...)
		assert.True(t, failed)
		assert.Contains(t, output, "minidoor: there is no database yet: file "+file+" is made at the first start\n")
		assert.NoFileExists(t, file)
		assert.NoFileExists(t, w.cfg.Env["sealKeyFile"])
	}
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	output, failed = w.command(t, "-reseal")
	assert.True(t, failed)
	assert.Contains(t, output, "minidoor: there is no database yet: the schema is made at the first start\n")
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Zero(t, info.Size())

	w.start(t).stop(t)
	for _, args := range [][]string{{"-adopt"}, {"-assign", "built-in/admin=oMe"}} {
		output, failed := w.command(t, args...)
		assert.True(t, failed)
		assert.Contains(t, output, "minidoor: the database is minidoor's own: there is no Casdoor to adopt users from\n")
	}
}

// testCheck runs -check on settings that are right, and on some that are not.
func testCheck(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	check := func(wantFailed bool) string {
		t.Helper()
		output, failed := w.command(t, "-check")
		assert.Equal(t, wantFailed, failed, output)
		assert.NotContains(t, output, harness.AppSecret)
		return output
	}
	_, file, _ := strings.Cut(w.store.DataSourceName, ":")
	output := check(false)
	assert.Contains(t, output, "ok: database: file "+file+" is made at the first start\n")
	assert.NoFileExists(t, file)
	assert.NoFileExists(t, w.cfg.Env["sealKeyFile"])
	w.cfg.Env["dataSourceName"] = filepath.Join(t.TempDir(), "none", "x")
	assert.Contains(t, check(true), "problem: database: ")
	w.cfg.Env["dataSourceName"] = w.store.DataSourceName
	initData := w.cfg.Env["initDataFile"]
	w.cfg.Env["initDataFile"] = initData + ".none"
	assert.Contains(t, check(false), "warning: init data: there is no file "+initData+".none\n")
	w.cfg.Env["initDataFile"] = file[:len(file)-len(filepath.Base(file))]
	assert.Contains(t, check(true), "problem: initDataFile: init data: read ")
	w.cfg.Env["initDataFile"] = initData
	w.start(t).stop(t)
	output = check(false)
	for _, line := range []string{
		"ok: configuration\n", "ok: seal key\n", "ok: init data: " + initData + " can be read\n",
		"ok: application admin/app-built-in\n",
		"ok: provider admin/wxmp, AppID " + harness.AppID + ": the platform accepts it\n",
		"ok: cert admin/cert-built-in: valid until 20", "ok: clock: as WeChat's\n", "ok: the database is minidoor's own\n",
	} {
		assert.Contains(t, output, line)
	}
	require.NotContains(t, output, "an earlier version")
	_, err := testdb.Connect(t, w.store).ExecContext(t.Context(), "DROP TABLE mini_program_stat")
	require.NoError(t, err)
	assert.Contains(t, check(false),
		"ok: database: an earlier version has made it, and the first start of this one adds mini_program_stat\n")

	_, err = testdb.Connect(t, w.store).ExecContext(t.Context(), "UPDATE provider SET client_secret=''")
	require.NoError(t, err)
	assert.Contains(t, check(true), "enter the mini program's AppSecret as the provider's client secret")
	c := w.start(t) // with the init data
	c.stop(t)
	assert.Contains(t, c.process.Output(), `"rows":"provider admin/wxmp"`)

	w.fake.Inject(fakewechat.PathStableToken, fakewechat.ErrcodeMessage(40164, "invalid ip 203.0.113.7, not in whitelist"), 1)
	output = check(true)
	assert.Contains(t, output, "problem: provider admin/wxmp")
	assert.Contains(t, output, "203.0.113.7")
	assert.Contains(t, output, "minidoor: problems: 1")
	w.fake.Inject(fakewechat.PathStableToken, func(rw http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		rw.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		answer(rw, r)
	}, 1)
	assert.Regexp(t, `problem: clock: it differs by (1h0m\d+s|59m5\ds) from WeChat's`, check(true))
	assert.Contains(t, output, "ok: avatars: files can be written to "+filepath.Join(filepath.Dir(file), "avatars"))
	w.cfg.Env["avatarDir"] = file
	assert.Contains(t, check(true), "problem: avatars: ")
	w.cfg.Env["avatarDir"] = filepath.Join(t.TempDir(), "new")
	assert.Contains(t, check(false), "ok: avatars: "+w.cfg.Env["avatarDir"]+" is made at the first start")
	assert.NoDirExists(t, w.cfg.Env["avatarDir"])
	delete(w.cfg.Env, "avatarDir")
	sealKeyFile := w.cfg.Env["sealKeyFile"]
	w.cfg.Env["sealKeyFile"] = filepath.Join(t.TempDir(), "new.key")
	assert.Contains(t, check(false), "ok: seal key: "+w.cfg.Env["sealKeyFile"]+" is made at the first start")
	assert.NoFileExists(t, w.cfg.Env["sealKeyFile"])
	w.cfg.Env["sealKeyFile"] = filepath.Join(t.TempDir(), "none", "x")
	assert.Contains(t, check(true), "problem: seal key: ")
	w.cfg.Env["sealKeyFile"] = sealKeyFile
	w.cfg.Env["redisEndpoint"] = "127.0.0.1:1"
	output = check(true)
	assert.Contains(t, output, "problem: Redis: ")
	assert.NotContains(t, output, "redis: ", "the client has no lines of its own")
	redis := miniredis.RunT(t)
	w.cfg.Env["redisEndpoint"] = redis.Addr()
	assert.Contains(t, check(false), "ok: Redis: it answers")
}

// testAvatarsElsewhere has a server tell that the folder of avatars is not the one that they were stored in.
func testAvatarsElsewhere(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	const told = "avatars that were uploaded are not there"
	says := func() string {
		c := w.start(t)
		c.stop(t)
		output, failed := w.command(t, "-check")
		assert.False(t, failed, output)
		assert.Equal(t, strings.Contains(output, "warning: avatars: "+told), strings.Contains(c.process.Output(), told))
		return output
	}
	assert.NotContains(t, says(), told)
	c := w.start(t)
	token := c.SignIn(t, "oMe").AccessToken
	reply := c.Call(t, "POST", harness.PathAvatar, token, uploadForm(t, picturePart(photo())))
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	c.stop(t)
	assert.NotContains(t, says(), told)
	w.cfg.Env["avatarDir"] = filepath.Join(t.TempDir(), "new")
	assert.Contains(t, says(), told)
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.Env["avatarDir"], "a"), nil, 0o600))
	output, failed := w.command(t, "-check")
	assert.True(t, failed)
	assert.Contains(t, output, "problem: avatars: ")
	c = w.start(t) // all the same
	c.stop(t)
	assert.Contains(t, c.process.Output(), "avatars that were uploaded cannot be looked at")
	delete(w.cfg.Env, "avatarDir")
	_, err := testdb.Connect(t, w.store).ExecContext(t.Context(), "DROP TABLE mini_program_upload")
	require.NoError(t, err)
	output, failed = w.command(t, "-check")
	assert.False(t, failed, output)
}
