package conf

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const secret = "My-Secret" // part of each value that may hold one
	tests := []struct {
		name string
		file string
		want string // all of the error
	}{
		{"port is a word", "httpport = http", `httpport: "http" is not a whole number`},
		{"port is empty", "httpport =", `httpport: "" is not a whole number`},
		{"port is too big", "httpport = 65536", `httpport: 65536 is not between 0 and 65535`},
		{"delay is negative", "drainDelay = -1", `drainDelay: -1 is not between 0 and 600 seconds`},
		{"delay is long", "drainDelay = 601", `drainDelay: 601 is not between 0 and 600 seconds`},
		{"port is negative", "httpport = -1", `httpport: -1 is not between 0 and 65535`},
		{"address with port", "httpaddr = localhost:80", `httpaddr: "localhost:80" is not a bare IP address or host name`},
		{"address in brackets", "httpaddr = [::1]", `httpaddr: "[::1]" is not a bare IP address or host name`},
		{"run mode", "runmode = test", `runmode: "test" is not one of dev, prod`},
		{"driver", "driverName = mssql\ndataSourceName = x", `driverName: "mssql" is not one of sqlite, mysql, postgres`},
		{"postgres without data source", "driverName = postgres", `dataSourceName: empty; driver "postgres" needs one`},
		{"mysql without data source", "driverName = mysql", `dataSourceName: empty; driver "mysql" needs one`},
		{"mysql without slash", "driverName = mysql\ndataSourceName = My-Secret@tcp(db)",
			`dataSourceName: no / in it; MySQL's form is user:password@tcp(host:3306)/`},
		{"mysql without database", "driverName = mysql\ndataSourceName = root:My-Secret@tcp(db)/?tls=true",
			`dbName: empty, and dataSourceName names no database either`},
		{"mysql with sqlite's driver", "dataSourceName = root:My-Secret@tcp(db)/", "dataSourceName: " + wantSQLite},
		{"mysql by default address", "dataSourceName = root:My-Secret@/door", "dataSourceName: " + wantSQLite},
		{"postgres URL", "dataSourceName = postgres://a:My-Secret@db/door", "dataSourceName: " + wantSQLite},
		{"postgres keywords", "dataSourceName = host=/run/db password=My-Secret", "dataSourceName: " + wantSQLite},
		{"no file", "dataSourceName = file:", "dataSourceName: " + wantFile},
		{"in memory", "dataSourceName = :memory:", "dataSourceName: " + wantFile},
		{"in memory, by URI", "dataSourceName = file::memory:?cache=shared", "dataSourceName: " + wantFile},
		{"in memory, by mode", "dataSourceName = file:x?mode=memory", "dataSourceName: " + wantFile},
		{"table prefix", "tableNamePrefix = a-b", `tableNamePrefix: "a-b" holds other characters than letters, ` +
			`digits and underscores`},
		{"bool", "initDataNewOnly = maybe", `initDataNewOnly: "maybe" is neither true nor false`},
		{"refresh token format", "refreshTokenFormat = x", `refreshTokenFormat: "x" is not one of opaque, jwt`},
		{"log level", "logLevel = INFO", `logLevel: "INFO" is not one of debug, info, warn, error`},
		{"log format", "logFormat = xml", `logFormat: "xml" is not one of json, text`},
		{"proxies", "trustedProxies = 10.0.0.0/8, proxy, 10.0.0.0/33, ::ffff:10.0.0.0/104",
			`trustedProxies: "proxy", "10.0.0.0/33", "::ffff:10.0.0.0/104": not an IP address or a CIDR range ` +
				`such as 10.0.0.0/8`},
		{"origin with path", "origin = https://a/My-Secret", "origin: " + wantOrigin},
		{"origin with query", "origin = https://a?My-Secret", "origin: " + wantOrigin},
		{"origin without scheme", "origin = id.example.com", "origin: " + wantOrigin},
		{"endpoint is empty", "wechatEndpoint =", "wechatEndpoint: " + wantEndpoint},
		{"endpoint without host", "wechatEndpoint = https:///My-Secret", "wechatEndpoint: " + wantEndpoint},
		{"endpoint of another scheme", "wechatEndpoint = ftp://My-Secret", "wechatEndpoint: " + wantEndpoint},
		{"endpoint with user", "wechatEndpoint = https://a:My-Secret@b", "wechatEndpoint: " + wantEndpoint},
		{"endpoint with query", "wechatEndpoint = https://a?b=My-Secret", "wechatEndpoint: " + wantEndpoint},
		{"endpoint is no URL", "wechatEndpoint = https://a:My-Secret", "wechatEndpoint: " + wantEndpoint},
		{"seal key is short", "sealKey = TXktU2VjcmV0", "sealKey: number 1: " + wantKey},
		{"seal key is no base64", "sealKey = " + strings.Repeat("A", 43) + "=,My-Secret", "sealKey: number 2: " + wantKey},
		{"gateway with a bad URL", "casdoorUpstream = a:My-Secret@casdoor",
			"casdoorUpstream: not a URL such as https://casdoor.example.com"},
		{"gateway with opaque tokens", "casdoorUpstream = http://casdoor\nrefreshTokenFormat = opaque",
			"refreshTokenFormat: Casdoor cannot refresh opaque tokens; leave it empty"},
		{"limits", "limitPerIP = -1\nlimitFailedShare = 101\nmaxWaiting = -5",
			"limitPerIP: -1 is less than 0; 0 turns it off\nmaxWaiting: -5 is less than 0; 0 turns it off\n" +
				"limitFailedShare: 101 is more than 100 per cent"},
		{"sweeps too seldom", "sweepMinutes = 999999999", `sweepMinutes: 999999999 is more than 525600, a year; 0 turns it off`},
		{"short metrics token", "metricsToken = My-Secret", "metricsToken: shorter than 16 bytes"},
		{"profiles for everybody", "pprofAddr = 0.0.0.0:6060",
			`pprofAddr: "0.0.0.0:6060" is not host:port of the loopback, such as 127.0.0.1:6060`},
		{"profiles without a host", "pprofAddr = :6060",
			`pprofAddr: ":6060" is not host:port of the loopback, such as 127.0.0.1:6060`},
		{"profiles at a name", "pprofAddr = localhost:6060",
			`pprofAddr: "localhost:6060" is not host:port of the loopback, such as 127.0.0.1:6060`},
		{"remote with a bad URL", "casdoorEndpoint = a:My-Secret@casdoor\ncasdoorClientId = x\n" +
			"casdoorClientSecret = My-Secret\nwechatAppId = wx\nwechatAppSecret = My-Secret",
			"casdoorEndpoint: not a URL such as https://casdoor.example.com"},
		{"avatar URL", "avatarUrl = files.example.com", "avatarUrl: not a URL such as https://files.example.com/avatars"},
		{"bucket without an endpoint", "s3Region = x\ns3Bucket = x\ns3AccessKey = My-Secret\ns3SecretKey = My-Secret\n" +
			"s3PathStyle = true\ns3PublicUrl = http://a:My-Secret@b",
			"s3Region: set, but s3Endpoint is empty\ns3Bucket: set, but s3Endpoint is empty\n" +
				"s3AccessKey: set, but s3Endpoint is empty\ns3SecretKey: set, but s3Endpoint is empty\n" +
				"s3PathStyle: set, but s3Endpoint is empty\ns3PublicUrl: set, but s3Endpoint is empty"},
		{"bucket alone", "s3Endpoint = https://a:My-Secret@cos.example.com\ns3PublicUrl = My-Secret\navatarUrl = My-Secret",
			"s3Endpoint: not a URL such as https://cos.ap-guangzhou.myqcloud.com, without a path\n" +
				"s3Bucket: empty, but s3Endpoint is set\ns3AccessKey: empty, but s3Endpoint is set\n" +
				"s3SecretKey: empty, but s3Endpoint is set\ns3PublicUrl: not a URL such as https://cdn.example.com\n" +
				"avatarUrl: set, but avatars are in a bucket; set s3PublicUrl"},
		{"remote alone", "casdoorEndpoint = http://casdoor",
			"casdoorClientId: empty, but casdoorEndpoint is set; remote mode needs it\n" +
				"casdoorClientSecret: empty, but casdoorEndpoint is set; remote mode needs it\n" +
				"wechatAppId: empty, but casdoorEndpoint is set; remote mode needs it"},
		{"remote with too few secrets", "casdoorEndpoint = http://casdoor\ncasdoorClientId = x\n" +
			"casdoorClientSecret = My-Secret\nwechatAppId = wx1, wx2\nwechatAppSecret = My-Secret",
			"wechatAppSecret: 1 of them for 2 in wechatAppId; there must be one each"},
		{"remote settings elsewhere", "casdoorClientId = x\ncasdoorClientSecret = My-Secret\nwechatAppId = wx\n" +
			"wechatAppSecret = My-Secret",
			"casdoorClientId: set, but casdoorEndpoint is empty; it belongs to remote mode\n" +
				"casdoorClientSecret: set, but casdoorEndpoint is empty; it belongs to remote mode\n" +
				"wechatAppId: set, but casdoorEndpoint is empty; it belongs to remote mode, " +
				"elsewhere the AppID is in the provider\n" +
				"wechatAppSecret: set, but casdoorEndpoint is empty; it belongs to remote mode, " +
				"elsewhere the AppSecret is in the provider"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load([]string{write(t, tt.file)}, environment(nil))
			require.EqualError(t, err, tt.want)
			assert.Nil(t, c)
			assert.NotContains(t, err.Error(), secret)
		})
	}
}

const (
	wantOrigin   = "not a URL such as https://id.example.com, without a path"
	wantEndpoint = "not a URL such as https://api.weixin.qq.com"
	wantSQLite   = "not a SQLite file; for another database, set driverName to mysql or postgres"
	wantFile     = "in memory each connection has a database of its own; name a file"
	wantKey      = "not 32 bytes in base64, as openssl rand -base64 32 prints them"
)

func TestLoadAccepts(t *testing.T) {
	t.Parallel()
	tests := []string{
		"driverName = mysql\ndataSourceName = root:a/b@tcp(localhost:3306)/\ndbName = door",
		"driverName = mysql\ndataSourceName = root:a/b@tcp(localhost:3306)/door?charset=utf8mb4",
		"driverName = mysql\ndataSourceName = /door",
		"driverName = postgres\ndataSourceName = user=door host=localhost dbname=\ndbName = door",
		"driverName = postgres\ndataSourceName = postgres://localhost/door?sslmode=disable",
		"driverName = sqlite3\ndataSourceName = file:casdoor.db?cache=shared",
		"dataSourceName = file:///home/me@corp/door.db?_pragma=foreign_keys(1)",
		"httpaddr = localhost",
		"httpport = 65535\ndrainDelay = 600\nsweepMinutes = 525600\nlimitFailedShare = 100",
		"httpaddr = fe80::1%eth0",
		"trustedProxies =",
		"origin = http://[::1]:8000/",
		"casdoorUpstream = http://localhost:8000/",
		"casdoorUpstream = http://c\ncasdoorEndpoint = https://c/door/\ncasdoorClientId = x\ncasdoorClientSecret = y\n" +
			"wechatAppId = a,b\nwechatAppSecret = c, d",
		"initDataNewOnly = 1",
		"initDataNewOnly =",
	}
	for _, text := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			load(t, text)
		})
	}
}

func TestLoadReportsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	path := write(t, "httpport = x\nrunmode = x\ndriverName = mysql\nlogLevel = x\ntrustedProxies = x\nsealKey = x")
	_, err := Load([]string{path}, environment(map[string]string{"origin": "x"}))
	require.Error(t, err)
	var keys []string
	for line := range strings.Lines(err.Error()) {
		key, _, _ := strings.Cut(line, ":")
		keys = append(keys, key)
	}
	assert.ElementsMatch(t, []string{
		"httpport", "runmode", "dataSourceName", "logLevel", "trustedProxies", "sealKey", "origin",
	}, keys)
}

func TestValidateZeroConfig(t *testing.T) {
	t.Parallel()
	err := new(Config).Validate()
	for _, key := range []string{"runmode", "driverName", "dataSourceName", "sealKeyFile", "wechatEndpoint", "logFormat"} {
		assert.ErrorContains(t, err, key+": ")
	}
}
