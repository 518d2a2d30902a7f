package conf

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// environment returns a lookupEnv that knows these variables only.
func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, found := variables[name]
		return value, found
	}
}

// write makes a file of the text in a directory of the test, and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// load loads files of the texts, without an environment.
func load(t *testing.T, texts ...string) *Config {
	t.Helper()
	var paths []string
	for _, text := range texts {
		paths = append(paths, write(t, text))
	}
	c, err := Load(paths, environment(nil))
	require.NoError(t, err)
	return c
}

// builtin returns what Load gives without files and environment.
func builtin() *Config {
	return &Config{
		HTTPPort:           8000,
		RunMode:            "prod",
		TrustedProxies:     []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		DriverName:         "sqlite",
		DataSourceName:     "file:minidoor.db",
		WeChatEndpoint:     "https://api.weixin.qq.com",
		SealKeyFile:        "minidoor.key",
		AvatarDir:          "avatars",
		RefreshTokenFormat: "opaque",
		LogLevel:           slog.LevelInfo,
		LogFormat:          "json",

		LimitPerIP: 12000, LimitPerApplication: 600000, LimitPerOpenID: 600, LimitFailedPerIP: 300, LimitFailedShare: 50,
		MaxSignIns: 2500, MaxWaiting: 2500, MaxUploads: 64, SweepMinutes: 60, SignInLog: true,
	}
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	c, err := Load(nil, environment(nil))
	require.NoError(t, err)
	assert.Equal(t, builtin(), c)
}

func TestReferenceIsAnOrdinaryFile(t *testing.T) {
	t.Parallel()
	c, err := Load([]string{"app.conf"}, environment(nil))
	require.NoError(t, err)
	assert.Equal(t, builtin(), c)

	sections, err := readFile("app.conf")
	require.NoError(t, err)
	assert.Equal(t, map[string]map[string]string{"default": defaults()}, sections)
}

func TestReferenceHoldsAllKeysWithAComment(t *testing.T) {
	t.Parallel()
	var fields []string
	for field := range reflect.TypeFor[Config]().Fields() {
		if field.Name != "Unknown" {
			require.NotEmpty(t, field.Tag.Get("conf"), "field %s has no key", field.Name)
			fields = append(fields, field.Tag.Get("conf"))
		}
	}

	var keys []string
	documented := false // by a comment above it, or above the keys right before it
	for line := range strings.Lines(appConf) {
		switch key, _, _ := strings.Cut(line, " ="); {
		case strings.TrimSpace(line) == "":
			documented = false
		case strings.HasPrefix(line, "#"):
			documented = true
		default:
			assert.True(t, documented, "key %s has no comment", key)
			keys = append(keys, key)
		}
	}
	assert.ElementsMatch(t, fields, keys)
}

func TestLoadCasdoorFile(t *testing.T) {
	t.Parallel()
	c, err := Load([]string{"testdata/casdoor.conf"}, environment(nil))
	require.NoError(t, err)

	want := builtin()
	want.RunMode = "dev"
	want.LogFormat = "text"
	want.DriverName = "mysql"
	want.DataSourceName = "casdoor:My-Password@tcp(db.example.com:3306)/"
	want.DBName = "casdoor"
	want.Origin = "https://door.example.com"
	want.AvatarURL = "https://door.example.com/avatars"
	want.InitDataFile = "./init_data.json"
	want.Unknown = []string{
		"aiassistanturl", "appname", "authstate", "batchsize", "copyrequestbody", "defaultapplication",
		"defaultlanguage", "defaultstorageprovider", "enableerrormask", "enablegzip", "forcelanguage", "frontendbasedir",
		"inactivetimeoutminutes", "initscore", "iscloudintranet", "isdemomode", "isusernamelowered", "ldapscertid",
		"ldapserverport", "ldapsserverport", "logconfig", "logpostonly", "maxitemsforflatmenu", "originfrontend", "quota",
		"radiusdefaultorganization", "radiussecret", "radiusserverport", "showgithubcorner", "showsql", "socks5proxy",
		"staticbaseurl", "verificationcodetimeout",
	}
	assert.Equal(t, want, c)
}

func TestLoadEveryKey(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("A", 43) + "="
	c := load(t, `
HTTPPORT = 0
httpaddr = ::1
runmode = dev
origin = https://id.example.com:8443/
trustedProxies = 10.1.2.3/8, ::ffff:192.0.2.1 ,2001:db8::1,
driverName = postgres
dataSourceName = "user=door password=a=b#c host=localhost port=5432 sslmode=disable dbname="
dbName = door
tableNamePrefix = md_
redisEndpoint = localhost:6379
initDataFile = init.json
initDataNewOnly = true
wechatEndpoint = http://localhost:1234/wechat/
sealKey = `+key+`, `+key+`
sealKeyFile = /keys/door.key
avatarDir = /files
s3Endpoint = https://cos.ap-guangzhou.myqcloud.com/
s3Region = ap-guangzhou
s3Bucket = avatars-1250000000
s3AccessKey = access
s3SecretKey = secret
s3PathStyle = true
s3PublicUrl = https://cdn.example.com/door/
refreshTokenFormat = jwt
limitPerIP = 1
limitPerApplication = 2
limitPerOpenID = 3
limitFailedPerIP = 4
limitFailedShare = 5
maxSignIns = 6
maxWaiting = 7
maxUploads = 8
metricsToken = My-Metrics-Token
pprofAddr = [::1]:6060
sweepMinutes = 0
drainDelay = 7
signInLog = false
logLevel = debug
logFormat = json
`)
	assert.Equal(t, &Config{
		HTTPPort: 0,
		HTTPAddr: "::1",
		RunMode:  "dev",
		Origin:   "https://id.example.com:8443",
		TrustedProxies: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"),
			netip.MustParsePrefix("192.0.2.1/32"),
			netip.MustParsePrefix("2001:db8::1/128"),
		},
		DrainDelay:         7,
		DriverName:         "postgres",
		DataSourceName:     "user=door password=a=b#c host=localhost port=5432 sslmode=disable dbname=",
		DBName:             "door",
		TableNamePrefix:    "md_",
		RedisEndpoint:      "localhost:6379",
		InitDataFile:       "init.json",
		InitDataNewOnly:    true,
		WeChatEndpoint:     "http://localhost:1234/wechat",
		SealKeys:           []Secret{Secret(key), Secret(key)},
		SealKeyFile:        "/keys/door.key",
		AvatarDir:          "/files",
		S3Endpoint:         "https://cos.ap-guangzhou.myqcloud.com",
		S3Region:           "ap-guangzhou",
		S3Bucket:           "avatars-1250000000",
		S3AccessKey:        "access",
		S3SecretKey:        "secret",
		S3PathStyle:        true,
		S3PublicURL:        "https://cdn.example.com/door",
		RefreshTokenFormat: "jwt",
		LogLevel:           slog.LevelDebug,
		LogFormat:          "json",

		LimitPerIP: 1, LimitPerApplication: 2, LimitPerOpenID: 3, LimitFailedPerIP: 4, LimitFailedShare: 5,
		MaxSignIns: 6, MaxWaiting: 7, MaxUploads: 8, MetricsToken: "My-Metrics-Token", PprofAddr: "[::1]:6060",
	}, c)
}

func TestLaterFileWins(t *testing.T) {
	t.Parallel()
	c := load(t,
		"httpport = 1\nhttpaddr = 192.0.2.1\nb = 1\na = 1",
		"httpport = 2\norigin = http://two\na = 2\n[Dev]\nhttpport = 3")
	assert.Equal(t, 2, c.HTTPPort)
	assert.Equal(t, "192.0.2.1", c.HTTPAddr)
	assert.Equal(t, "http://two", c.Origin)
	assert.Equal(t, []string{"a", "b", "dev::httpport"}, c.Unknown)
}

func TestEnvironmentWins(t *testing.T) {
	t.Parallel()
	path := write(t, "dataSourceName = file:a.db\nhttpport = 1\nredisEndpoint = localhost:6379\n")
	c, err := Load([]string{path}, environment(map[string]string{
		"dataSourceName": "file:b.db",
		"DATASOURCENAME": "file:c.db", // not a key's name
		"HTTPPORT":       "3",         // nor this
		"httpport":       "2",
		"redisEndpoint":  "", // set, though empty
		"PATH":           "/bin",
	}))
	require.NoError(t, err)
	assert.Equal(t, "file:b.db", c.DataSourceName.Reveal())
	assert.Equal(t, 2, c.HTTPPort)
	assert.Empty(t, c.RedisEndpoint)
	assert.Empty(t, c.Unknown)
}

// Who writes variables in capitals, as is usual, is told that they do nothing.
func TestEnvironmentInCapitals(t *testing.T) {
	t.Parallel()
	path := write(t, "zoo = 1\nhttpport = 1\n")
	c, err := Load([]string{path}, environment(map[string]string{"DATASOURCENAME": "file:My-Secret", "HTTPPORT": "2"}))
	require.NoError(t, err)
	assert.Equal(t, 1, c.HTTPPort)
	assert.Equal(t, []string{
		"zoo", "HTTPPORT (in the environment; write httpport)", "DATASOURCENAME (in the environment; write dataSourceName)",
	}, c.Unknown)
}

// Variables in capitals that a file names do what it says.
func TestVariablesOfAFile(t *testing.T) {
	t.Setenv("RUNMODE", "dev")
	c, err := Load([]string{write(t, "runmode = ${RUNMODE||prod}\n")}, environment(map[string]string{"RUNMODE": "dev"}))
	require.NoError(t, err)
	assert.Equal(t, "dev", c.RunMode)
	assert.Empty(t, c.Unknown)
}

// What reads a secret from a file, or a file of variables that was written on Windows, leaves the line's end there.
func TestEnvironmentWithEndsOfLines(t *testing.T) {
	t.Parallel()
	c, err := Load(nil, environment(map[string]string{
		"driverName": "mysql\r", "dataSourceName": "root:My-Password@tcp(db)/door\n", "httpport": " 1\r\n",
		"origin": "https://id.example.com/\r",
	}))
	require.NoError(t, err)
	assert.Equal(t, "root:My-Password@tcp(db)/door", c.DataSourceName.Reveal())
	assert.Equal(t, 1, c.HTTPPort)
	assert.Equal(t, "https://id.example.com", c.Origin)
}

// Not parallel: beego expands ${…} from the environment of the process.
func TestExpansionInFiles(t *testing.T) {
	t.Setenv("CONF_TEST_ORIGIN", "https://id.example.com")
	c := load(t, "origin = ${CONF_TEST_ORIGIN||http://other}\ndbName = ${CONF_TEST_UNSET||door}")
	assert.Equal(t, "https://id.example.com", c.Origin)
	assert.Equal(t, "door", c.DBName)
}

func TestDefaultsThatDependOnOtherKeys(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		config      Config
		source      string
		sealKeyFile string
		refresh     string
		logFormat   string
	}{
		{"sqlite", Config{DriverName: "sqlite"}, "file:minidoor.db", "minidoor.key", "opaque", "json"},
		{"sqlite3", Config{DriverName: "sqlite3"}, "file:minidoor.db", "minidoor.key", "opaque", "json"},
		{"development", Config{DriverName: "sqlite", RunMode: "dev"}, "file:minidoor.db", "minidoor.key", "opaque", "text"},
		{"SQLite in memory", Config{DriverName: "sqlite", DataSourceName: ":memory:"},
			":memory:", "minidoor.key", "opaque", "json"},
		{"SQLite elsewhere", Config{DriverName: "sqlite", DataSourceName: "file:/var/lib/door.db?cache=shared"},
			"file:/var/lib/door.db?cache=shared", "/var/lib/minidoor.key", "opaque", "json"},
		{"SQLite by URL", Config{DriverName: "sqlite", DataSourceName: "file:///var/lib/door.db"},
			"file:///var/lib/door.db", "/var/lib/minidoor.key", "opaque", "json"},
		{"SQLite with an escape", Config{DriverName: "sqlite", DataSourceName: "file:a%20b/door.db#c/d"},
			"file:a%20b/door.db#c/d", "a b/minidoor.key", "opaque", "json"},
		{"SQLite by path, to the letter", Config{DriverName: "sqlite", DataSourceName: "a%20b#c/door.db"},
			"a%20b#c/door.db", "a%20b#c/minidoor.key", "opaque", "json"},
		{"SQLite by path", Config{DriverName: "sqlite", DataSourceName: "data/door.db"},
			"data/door.db", "data/minidoor.key", "opaque", "json"},
		{"postgres", Config{DriverName: "postgres", DataSourceName: "postgres://host/name"},
			"postgres://host/name", "minidoor.key", "opaque", "json"},
		{"gateway", Config{DriverName: "sqlite", CasdoorUpstream: "http://casdoor"},
			"file:minidoor.db", "minidoor.key", "jwt", "json"},
		{"all set", Config{DriverName: "sqlite", DataSourceName: "x", SealKeyFile: "k", RunMode: "dev",
			CasdoorUpstream: "http://casdoor", RefreshTokenFormat: "opaque", LogFormat: "json"}, "x", "k", "opaque", "json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.config
			c.resolve()
			assert.Equal(t, tt.source, c.DataSourceName.Reveal())
			assert.Equal(t, tt.sealKeyFile, c.SealKeyFile)
			assert.Equal(t, tt.refresh, c.RefreshTokenFormat)
			assert.Equal(t, tt.logFormat, c.LogFormat)
		})
	}
}

func TestAvatarsAreBesideTheData(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, dir, url string }{
		{"", "avatars", ""},
		{"dataSourceName = file:/var/lib/door.db", "/var/lib/avatars", ""},
		{"dataSourceName = file://localhost/var/my%20data/door.db", "/var/my data/avatars", ""},
		{"driverName = postgres\ndataSourceName = postgres://host/name", "avatars", ""},
		{"origin = https://id.example.com/", "avatars", "https://id.example.com/avatars"},
		{"avatarDir = /files\navatarUrl = https://cdn.example.com/a/\norigin = https://x", "/files",
			"https://cdn.example.com/a"},
	} {
		got := load(t, c.file)
		assert.Equal(t, c.dir, got.AvatarDir, c.file)
		assert.Equal(t, c.url, got.AvatarURL, c.file)
	}
}

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	const password = "My-Password"
	broken := write(t, "\ufeff# a comment\n\n[section]\nINCLUDE other.conf\nhttpport = 1\ndataSourceName "+password+"\n")
	outer := filepath.Join(t.TempDir(), "outer.conf")
	require.NoError(t, os.WriteFile(outer, []byte("include "+filepath.Base(outer)+".gone\n"), 0o600))
	blank := write(t, "httpport = 1\ninclude my other.conf\n")
	around := write(t, "include inner.conf\n")
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(around), "inner.conf"), []byte(password), 0o600))
	missing := filepath.Join(t.TempDir(), "missing.conf")
	dir := t.TempDir()

	tests := []struct {
		name  string
		paths []string
		want  []string
	}{
		{"missing", []string{missing}, []string{missing, "no such file"}},
		{"directory", []string{dir}, []string{dir, "is a directory"}},
		{"included file missing", []string{outer}, []string{outer + ": open " + outer + ".gone"}},
		{"syntax", []string{"app.conf", broken}, []string{broken + `: line 6 is not "key = value"`}},
		{"included file's syntax", []string{around}, []string{around + `: a line of an included file is not "key = value"`}},
		{"included file with a blank", []string{blank}, []string{blank + `: line 2 is not "key = value"`}},
		{"all at once", []string{missing, broken}, []string{missing, broken}},
	}
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(broken), "other.conf"), nil, 0o600))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(tt.paths, environment(nil))
			assert.Nil(t, c)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			assert.NotContains(t, err.Error(), password)
		})
	}
}

func TestConfigPrintsNoSecret(t *testing.T) {
	t.Parallel()
	c := builtin()
	c.DataSourceName = "root:My-Password@tcp(db)/door"
	c.RedisEndpoint = "redis:6379,0,My-Password"
	c.SealKeys = []Secret{"My-Password"}
	c.CasdoorClientSecret = "My-Password"

	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("loaded", "config", c)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("loaded", "config", c)
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", c, c, c), string(encoded), logged.String()} {
		assert.NotContains(t, text, "My-Password")
		assert.Contains(t, text, "***")
	}
}
