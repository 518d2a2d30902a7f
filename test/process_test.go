package test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/process"
	"github.com/minidoor/minidoor/test/testdb"
)

// TestProcess is what only a real process can show. The binary is built once for all.
func TestProcess(t *testing.T) {
	t.Parallel()
	binary := buildMinidoor(t)
	for name, test := range map[string]func(t *testing.T, binary string){
		"SIGTERM drains":          func(t *testing.T, binary string) { testDrain(t, binary, syscall.SIGTERM) },
		"SIGHUP drains":           testHangup,
		"log without a reader":    testUnreadLog,
		"log whose reader stops":  testStoppedLog,
		"kept connections":        testKeptConnections,
		"restart keeps all":       testRestart,
		"bad configuration":       testBadConfiguration,
		"broken starts":           testBrokenStarts,
		"demo":                    testDemo,
		"example mini program":    testMiniProgram,
		"databases":               testDatabases,
		"remote":                  testRemoteProcess,
		"help and version":        testHelp,
		"taken port, first start": testTakenPort,
		"admin in init data":      testAdminInInitData,
		"new seal key":            testReseal,
		"Redis":                   testRedis,
		"back-up and restore":     testBackup,
		"check":                   testCheck,
		"avatars elsewhere":       testAvatarsElsewhere,
		"commands need a start":   testCommandsNeedAStart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, binary)
		})
	}
}

// testDatabases runs one test after the other: each takes a good part of the connections that a database server has.
func testDatabases(t *testing.T, binary string) {
	t.Run("SIGKILL loses nothing", func(t *testing.T) { testKill(t, binary) })
	t.Run("two servers, one store", func(t *testing.T) { testSiblings(t, binary) })
	t.Run("three servers, one door", func(t *testing.T) { testFleet(t, binary) })
	t.Run("beside a Casdoor", func(t *testing.T) { testBeside(t, binary) })
}

func buildMinidoor(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "minidoor")
	require.NoError(t, process.Build(t.Context(), "", process.Minidoor, binary))
	return binary
}

// world is what server processes share: a database, a fake WeChat, settings.
type world struct {
	fake  *fakewechat.Server
	store object.StoreConfig
	cfg   process.Config
}

func newWorld(t *testing.T, binary string, store object.StoreConfig) *world {
	t.Helper()
	w := &world{store: store, fake: fakewechat.New(fakewechat.Options{
		AppID: harness.AppID, AppSecret: harness.AppSecret, CodesPerMinute: -1, KeepSecrets: true,
	})}
	folder := t.TempDir()
	text, err := json.Marshal(harness.Rows{
		"organizations": {{"owner": "admin", "name": harness.Organization}},
		"providers": {{
			"owner": "admin", "name": harness.Provider, "category": "OAuth", "type": "WeChatMiniProgram",
			"clientId": harness.AppID, "clientSecret": harness.AppSecret,
		}},
		"applications": {harness.App(harness.Application, harness.ClientID, harness.Provider)},
	})
	require.NoError(t, err)
	initData := filepath.Join(folder, "init_data.json")
	require.NoError(t, os.WriteFile(initData, text, 0o600))
	w.cfg = process.Config{Binary: binary, Dir: folder, Env: map[string]string{
		"driverName": store.DriverName, "dataSourceName": store.DataSourceName, "dbName": store.DBName,
		"sealKeyFile": filepath.Join(folder, "seal.key"), "initDataFile": initData,
		"wechatEndpoint": harness.Serve(t, w.fake),
	}}
	return w
}

// child is a server process, and a client of it.
type child struct {
	*harness.Server

	process *process.Server
}

func (w *world) start(t *testing.T) *child {
	t.Helper()
	p, err := process.StartServer(t.Context(), w.cfg)
	require.NoError(t, err)
	return w.adopt(t, p)
}

// adopt makes a server end with the test, and say what went wrong in it when the test has failed.
func (w *world) adopt(t *testing.T, p *process.Server) *child {
	t.Helper()
	t.Cleanup(func() {
		p.Kill()
		for line := range strings.Lines(p.Output()) {
			if t.Failed() && strings.Contains(line, `"level":"ERROR"`) {
				t.Log(line)
			}
		}
	})
	return &child{&harness.Server{URL: p.URL, Fake: w.fake}, p}
}

// stop ends a server as an administrator does.
func (c *child) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, c.process.Signal(syscall.SIGTERM))
	require.NoError(t, c.process.Wait(), c.process.Output())
}

// try posts a form and returns the body of the answer, whatever its status.
func (c *child) try(ctx context.Context, path, token string, form url.Values) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// holds reports whether the server takes an access token, and whom it speaks for.
func (c *child) holds(t *testing.T, token string) (name string, ok bool) {
	t.Helper()
	reply := c.Call(t, http.MethodGet, harness.PathAccount, token, nil).Map(t)
	name, _ = reply["name"].(string)
	return name, reply["status"] == "ok"
}

func testDrain(t *testing.T, binary string, end syscall.Signal) {
	w := newWorld(t, binary, testdb.SQLite(t))
	c := w.start(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	w.fake.Inject(fakewechat.PathCode2Session, func(rw http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		close(arrived)
		<-release
		answer(rw, r)
	}, 1)
	form := harness.SignInForm(c.NewCode("oDrain"))
	var answer string
	var answerErr error
	var signIn sync.WaitGroup
	signIn.Go(func() { answer, answerErr = c.try(t.Context(), harness.PathToken, "", form) })
	<-arrived

	require.NoError(t, c.process.Signal(end))
	address := strings.TrimPrefix(c.URL, "http://")
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, 10*time.Second, time.Millisecond, "new connections are still taken")
	select {
	case <-c.process.Ended():
		t.Fatal("the server did not wait for the request that runs")
	default:
	}
	close(release)
	signIn.Wait()
	require.NoError(t, answerErr)
	tokens := harness.Reply{Status: http.StatusOK, Body: answer}.Tokens(t)
	require.NoError(t, c.process.Wait(), "the exit status is not 0")

	_, ok := w.start(t).holds(t, tokens.AccessToken)
	assert.True(t, ok, "the token that was issued last is lost")
}

// testHangup is about a server whose terminal is closed.
func testHangup(t *testing.T, binary string) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored here, as by nohup, and so it is by what is started here")
	}
	testDrain(t, binary, syscall.SIGHUP)
}

// testUnreadLog is about a server whose log goes to somebody who leaves: people sign in as before.
func testUnreadLog(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	w.cfg.Binary, w.cfg.Args = "bash", []string{"-c", `exec "$0" 2> >(grep -m 1 listening)`, binary}
	c := w.start(t)
	for range 3 { // the first one's line in the log comes behind its answer
		c.SignIn(t, "oUnread")
	}
	require.NoError(t, c.process.Signal(syscall.SIGTERM))
	assert.NoError(t, c.process.Wait(), "it has not ended by itself")
}

// A log's reader that stops, and holds the pipe open, keeps nobody from signing in and the server from ending.
func testStoppedLog(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	const hold = `grep -m 1 listening; exec >&- 2>&-; while kill -0 $$; do sleep 0.1; done`
	w.cfg.Binary, w.cfg.Args = "bash", []string{"-c", `exec "$0" 2> >(` + hold + `)`, binary}
	w.cfg.Env["limitPerOpenID"] = "0"
	c := w.start(t)
	for range 1000 { // lines of 200 bytes; a pipe holds 64 KB
		c.SignIn(t, "oStopped")
	}
	require.NoError(t, c.process.Signal(syscall.SIGTERM))
	assert.NoError(t, c.process.Wait())
}

// testKeptConnections is about clients who keep their connections: what lives for them is memory that is used, and not
// a reason to sweep the heap without pause.
func testKeptConnections(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	w.cfg.Env["metricsToken"] = harness.MetricsToken
	c := w.start(t)
	target := func() int { return int(c.Metric(t, "go_gc_gomemlimit_bytes")) >> 20 }
	require.Equal(t, 150, target())
	const connections = 3000
	for range connections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = io.WriteString(conn, "GET /api/health HTTP/1.1\r\nHost: door\r\n\r\n")
		require.NoError(t, err)
	}
	assert.Eventually(t, func() bool { return target() >= 159 }, 30*time.Second, 100*time.Millisecond)
	assert.Less(t, target(), 165)
}

var firstPassword = regexp.MustCompile(`First start: user built-in/admin, password \S+ \(shown this once\)`)

func testRestart(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	c := w.start(t)
	require.Regexp(t, firstPassword, c.process.Output())
	tokens := c.SignIn(t, "oRestart")
	before := c.Account(t, tokens.AccessToken)
	keys := c.Call(t, http.MethodGet, "/.well-known/jwks", "", nil).Body
	sealKey, err := os.ReadFile(w.cfg.Env["sealKeyFile"])
	require.NoError(t, err)
	c.stop(t)

	c = w.start(t)
	assert.NotContains(t, c.process.Output(), "password")
	assert.Equal(t, before, c.Account(t, tokens.AccessToken))
	assert.Equal(t, keys, c.Call(t, http.MethodGet, "/.well-known/jwks", "", nil).Body)
	sealKeyNow, err := os.ReadFile(w.cfg.Env["sealKeyFile"])
	require.NoError(t, err)
	assert.Equal(t, sealKey, sealKeyNow)
	again := c.SignIn(t, "oRestart")
	assert.False(t, *again.NewUser)
	assert.Equal(t, before["id"], c.Account(t, again.AccessToken)["id"])
	refreshed := c.refresh(t, tokens.RefreshToken).Tokens(t)
	_, ok := c.holds(t, refreshed.AccessToken)
	assert.True(t, ok)
}

func (c *child) refresh(t *testing.T, refreshToken string) harness.Reply {
	t.Helper()
	return c.Call(t, http.MethodPost, harness.PathRefresh, "", map[string]string{
		"grant_type": "refresh_token", "client_id": harness.ClientID, "refresh_token": refreshToken,
	})
}

// testTakenPort is about a first start that fails late: the password must not be lost with it.
func testTakenPort(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	w.cfg.Env["httpaddr"] = "127.0.0.1"
	_, w.cfg.Env["httpport"], err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	output := failToRun(t, w.cfg)
	assert.Contains(t, output, "address already in use")

	delete(w.cfg.Env, "httpport")
	output += w.start(t).process.Output()
	assert.Len(t, firstPassword.FindAllString(output, -1), 1, "the password is shown once, and not lost")
}

// testAdminInInitData is about a password that an admin has chosen: no other one is printed, which would not work.
func testAdminInInitData(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	text, err := json.Marshal(harness.Rows{"users": {{"owner": "built-in", "name": "admin", "password": "chosen here"}}})
	require.NoError(t, err)
	w.cfg.Env["initDataFile"] = filepath.Join(w.cfg.Dir, "admin.json")
	require.NoError(t, os.WriteFile(w.cfg.Env["initDataFile"], text, 0o600))
	c := w.start(t)
	output := c.process.Output()
	assert.Contains(t, output, "First start: user built-in/admin, with the password of the init data file\n")
	assert.NotRegexp(t, firstPassword, output)
	c.stop(t)

	fresh := testdb.SQLite(t)
	w.cfg.Env["dataSourceName"], w.cfg.Env["initDataNewOnly"] = fresh.DataSourceName, "true"
	assert.Regexp(t, firstPassword, w.start(t).process.Output(), "what exists is left alone, the admin too")
}

// failToRun runs a server that ends by itself, and returns what it printed.
func failToRun(t *testing.T, cfg process.Config) string {
	t.Helper()
	p, err := process.Start(t.Context(), cfg)
	require.NoError(t, err)
	exit := &exec.ExitError{}
	require.ErrorAs(t, p.Wait(), &exit, p.Output())
	require.Equal(t, 1, exit.ExitCode(), p.Output())
	return p.Output()
}

func testBadConfiguration(t *testing.T, binary string) {
	const secret = "hunter2-do-not-print"
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		says string
	}{
		"driver":            {env: map[string]string{"driverName": "oracle", "dataSourceName": secret}, says: "driverName"},
		"port":              {env: map[string]string{"httpport": "99999"}, says: "httpport"},
		"port, no number":   {env: map[string]string{"httpport": "eighty"}, says: "httpport"},
		"seal key":          {env: map[string]string{"sealKey": secret}, says: "sealKey"},
		"missing file":      {args: []string{"-conf", "missing.conf"}, says: "missing.conf"},
		"unknown flag":      {args: []string{"-what"}, says: "-what"},
		"folder is missing": {env: map[string]string{"dataSourceName": "file:missing/folder.db"}, says: "open database"},
		"MySQL is away": {env: map[string]string{
			"driverName": "mysql", "dataSourceName": "root:" + secret + "@tcp(127.0.0.1:1)/", "dbName": "x",
		}, says: "open database"},
		"MySQL, malformed": {env: map[string]string{
			"driverName": "mysql", "dataSourceName": "root:" + secret + "@127.0.0.1", "dbName": "x",
		}, says: "dataSourceName"},
		"PostgreSQL is away": {env: map[string]string{
			"driverName": "postgres", "dataSourceName": "postgres://u:" + secret + "@127.0.0.1:1/x",
		}, says: "open database"},
		"PostgreSQL, malformed": {env: map[string]string{
			"driverName": "postgres", "dataSourceName": "user=u password=" + secret + " port=x",
		}, says: "dataSourceName"},
		"SQLite, another's source": {env: map[string]string{
			"dataSourceName": "root:" + secret + "@tcp(db)/",
		}, says: "dataSourceName"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output := failToRun(t, process.Config{Binary: binary, Args: c.args, Env: c.env, Dir: t.TempDir()})
			assert.Contains(t, output, c.says)
			assert.Equal(t, 1, strings.Count(output, "minidoor: "), output)
			assert.NotContains(t, output, secret)
			assert.NotContains(t, output, "goroutine")
		})
	}
	t.Run("malformed, where beego looks", func(t *testing.T) {
		t.Parallel()
		dir, file := t.TempDir(), filepath.Join("conf", "app.conf")
		require.NoError(t, os.Mkdir(filepath.Join(dir, "conf"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte("httpport = 8000\norigin\n"), 0o600))
		output := failToRun(t, process.Config{Binary: binary, Args: []string{"-conf", file}, Dir: dir})
		assert.Contains(t, output, `conf/app.conf: line 2 is not "key = value"`)
		assert.NotContains(t, output, "goroutine")
	})
}

// testHelp is about commands that print what was asked for, and nothing of a library's own.
func testHelp(t *testing.T, binary string) {
	for flag, says := range map[string]string{"-version": `^minidoor dev\n$`, "-help": `^Usage of minidoor:(?s:.*)-demo`} {
		p, err := process.Start(t.Context(), process.Config{Binary: binary, Args: []string{flag}, Dir: t.TempDir()})
		require.NoError(t, err)
		require.NoError(t, p.Wait(), p.Output())
		assert.Regexp(t, says, p.Output())
	}
}
