// Package conf holds the settings of the server: one Config, loaded once, at start, from files in Casdoor's app.conf
// format and from the environment. No other package reads either.
//
// The file app.conf beside this source is both the built-in default and the reference of all keys.
package conf

import (
	"cmp"
	_ "embed" // for app.conf
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/minidoor/minidoor/object/sqlitefile"
	"github.com/minidoor/minidoor/provider"
)

// Secret is a string that prints as "***"; its Reveal gives it in clear.
type Secret = provider.Secret

//go:embed app.conf
var appConf string

// Config holds the settings, each under the key of its tag; app.conf says what they mean. Load fills in all defaults,
// so that nobody else has to know them. It does not change once loaded.
type Config struct {
	HTTPPort       int            `conf:"httpport"`       // 0 takes any free port
	HTTPAddr       string         `conf:"httpaddr"`       // IP address or host name; empty means all interfaces
	RunMode        string         `conf:"runmode"`        // "dev" or "prod"
	Origin         string         `conf:"origin"`         // "https://host[:port]", or empty
	TrustedProxies []netip.Prefix `conf:"trustedProxies"` // masked; IPv4 ones in IPv4 form
	DrainDelay     int            `conf:"drainDelay"`     // seconds

	DriverName      string `conf:"driverName"`      // "sqlite", "mysql" or "postgres"
	DataSourceName  Secret `conf:"dataSourceName"`  // as given, without DBName; never empty
	DBName          string `conf:"dbName"`          // empty where the data source names the database
	TableNamePrefix string `conf:"tableNamePrefix"` // may be empty
	RedisEndpoint   Secret `conf:"redisEndpoint"`   // Casdoor's "host:port[,db[,password]]"; empty means no Redis
	InitDataFile    string `conf:"initDataFile"`    // empty means none
	InitDataNewOnly bool   `conf:"initDataNewOnly"` // what the database holds already stays as it is

	WeChatEndpoint     string   `conf:"wechatEndpoint"`     // base URL without trailing slash
	SealKeys           []Secret `conf:"sealKey"`            // in base64; use SealKeyRing
	SealKeyFile        string   `conf:"sealKeyFile"`        // used while SealKeys is empty; use SealKeyRing
	RefreshTokenFormat string   `conf:"refreshTokenFormat"` // "opaque" or "jwt"

	AvatarDir   string `conf:"avatarDir"`   // unused where S3Endpoint is set
	AvatarURL   string `conf:"avatarUrl"`   // without trailing slash; empty: as each request names the server
	S3Endpoint  string `conf:"s3Endpoint"`  // "https://host[:port]"; empty: avatars are in AvatarDir
	S3Region    string `conf:"s3Region"`    // may be empty
	S3Bucket    string `conf:"s3Bucket"`    // as all below: with S3Endpoint only
	S3AccessKey Secret `conf:"s3AccessKey"` // never empty with S3Endpoint
	S3SecretKey Secret `conf:"s3SecretKey"` // as above
	S3PathStyle bool   `conf:"s3PathStyle"` // the bucket is in the path, not in the host name
	S3PublicURL string `conf:"s3PublicUrl"` // without trailing slash; empty: the bucket itself

	CasdoorUpstream     string   `conf:"casdoorUpstream"`     // base URL without trailing slash; empty: no gateway
	CasdoorEndpoint     string   `conf:"casdoorEndpoint"`     // base URL without trailing slash; empty: no remote mode
	CasdoorClientID     string   `conf:"casdoorClientId"`     // remote mode only
	CasdoorClientSecret Secret   `conf:"casdoorClientSecret"` // remote mode only
	WeChatAppIDs        []string `conf:"wechatAppId"`         // remote mode only; as many as WeChatAppSecrets
	WeChatAppSecrets    []Secret `conf:"wechatAppSecret"`     // remote mode only; in the order of WeChatAppIDs

	LimitPerIP          int `conf:"limitPerIP"`          // requests a minute; 0: no limit, as for all of these
	LimitPerApplication int `conf:"limitPerApplication"` // token requests a minute
	LimitPerOpenID      int `conf:"limitPerOpenID"`      // sign-ins and content checks a minute
	LimitFailedPerIP    int `conf:"limitFailedPerIP"`    // sign-ins a minute whose code WeChat refuses
	LimitFailedShare    int `conf:"limitFailedShare"`    // per cent of an application's sign-ins
	MaxSignIns          int `conf:"maxSignIns"`          // at one time
	MaxWaiting          int `conf:"maxWaiting"`          // requests that sign, read or write, at one time
	MaxUploads          int `conf:"maxUploads"`          // pictures that arrive or are stored, at one time

	MetricsToken Secret `conf:"metricsToken"` // empty: none
	PprofAddr    string `conf:"pprofAddr"`    // "host:port" of the loopback; empty: off
	SweepMinutes int    `conf:"sweepMinutes"` // from one sweep to the next; 0: none

	SignInLog bool       `conf:"signInLog"` // the database keeps a log of sign-ins and counts them
	LogLevel  slog.Level `conf:"logLevel"`
	LogFormat string     `conf:"logFormat"` // "json" or "text"

	// Unknown holds the keys of the files that mean nothing here, in lower case, sorted, each once. A key of a section
	// is "section::key". Behind them it has variables of the environment that are keys in capitals.
	Unknown []string
}

// Load returns the settings of the files at paths over the built-in defaults: a later file wins over an earlier one,
// and a variable that lookupEnv finds under the exact name of a key wins over all, even when it is empty. An error
// names every problem, one a line, and holds no secret.
func Load(paths []string, lookupEnv func(string) (string, bool)) (*Config, error) {
	c := &Config{}
	values, err := c.readFiles(paths)
	if err != nil {
		return nil, err
	}
	err = c.decode(values, lookupEnv)
	c.resolve()
	if err := errors.Join(err, c.Validate()); err != nil {
		return nil, err
	}
	return c, nil
}

// resolve brings what has several spellings into one, and fills in the defaults that depend on other keys.
func (c *Config) resolve() {
	for _, url := range []*string{
		&c.Origin, &c.WeChatEndpoint, &c.CasdoorUpstream, &c.CasdoorEndpoint, &c.AvatarURL, &c.S3Endpoint, &c.S3PublicURL,
	} {
		*url = strings.TrimSuffix(*url, "/")
	}
	if c.DriverName == "sqlite3" {
		c.DriverName = "sqlite"
	}
	if c.DriverName == "sqlite" {
		c.DataSourceName = cmp.Or(c.DataSourceName, "file:minidoor.db")
	}
	c.SealKeyFile = cmp.Or(c.SealKeyFile, filepath.Join(c.dataDir(), "minidoor.key"))
	c.AvatarDir = cmp.Or(c.AvatarDir, filepath.Join(c.dataDir(), "avatars"))
	if c.AvatarURL == "" && c.S3Endpoint == "" && isOrigin(c.Origin) {
		c.AvatarURL = c.Origin + avatarPath
	}
	if c.Gateway() || c.Remote() {
		c.RefreshTokenFormat = cmp.Or(c.RefreshTokenFormat, "jwt")
	}
	c.RefreshTokenFormat = cmp.Or(c.RefreshTokenFormat, "opaque")
	if c.RunMode == "dev" {
		c.LogFormat = cmp.Or(c.LogFormat, "text")
	}
	c.LogFormat = cmp.Or(c.LogFormat, "json")
}

// avatarPath is where the server itself serves the files of AvatarDir.
const avatarPath = "/avatars"

// Gateway reports whether every request that is not a mini program's goes to a Casdoor.
func (c *Config) Gateway() bool { return c.CasdoorUpstream != "" }

// Remote reports whether users and tokens are reached through a Casdoor's API, and not in a database.
func (c *Config) Remote() bool { return c.CasdoorEndpoint != "" }

// dataDir returns the directory of the SQLite file, or the working directory for any other database.
func (c *Config) dataDir() string {
	if c.DriverName != "sqlite" {
		return "."
	}
	path, err := sqlitefile.Path(c.DataSourceName.Reveal())
	if err != nil {
		return "." // there is no such file, and will be no database
	}
	return filepath.Dir(path)
}
