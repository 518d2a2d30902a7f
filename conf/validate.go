package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/minidoor/minidoor/object/sqlitefile"
)

// problems collects what is wrong with a Config.
type problems []error

// unless adds a problem of key when ok is false. What is formatted must not hold a secret: no data source, no seal key,
// and no URL, which may hold a password.
func (p *problems) unless(ok bool, key, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
	}
}

// oneOf adds a problem unless value is one of allowed.
func (p *problems) oneOf(key, value string, allowed ...string) {
	p.unless(slices.Contains(allowed, value), key, "%q is not one of %s", value, strings.Join(allowed, ", "))
}

// Validate returns all that is wrong with c, one problem a line: the key, what is wrong, and what would be right. It
// holds no secret.
func (c *Config) Validate() error {
	var p problems
	c.validateServer(&p)
	c.validateDatabase(&p)
	c.validateSealing(&p)
	c.validateCasdoor(&p)
	c.validateLimits(&p)
	c.validateAvatars(&p)
	p.unless(isURL(c.WeChatEndpoint), "wechatEndpoint", "not a URL such as https://api.weixin.qq.com")
	p.oneOf("refreshTokenFormat", c.RefreshTokenFormat, "opaque", "jwt")
	p.oneOf("logFormat", c.LogFormat, "json", "text")
	return errors.Join(p...)
}

func (c *Config) validateServer(p *problems) {
	p.unless(c.HTTPPort >= 0 && c.HTTPPort <= 65535, "httpport", "%d is not between 0 and 65535", c.HTTPPort)
	p.unless(isHost(c.HTTPAddr), "httpaddr", "%q is not a bare IP address or host name", c.HTTPAddr)
	p.unless(c.DrainDelay >= 0 && c.DrainDelay <= 600, "drainDelay", "%d is not between 0 and 600 seconds",
		c.DrainDelay)
	p.oneOf("runmode", c.RunMode, "dev", "prod")
	p.unless(c.Origin == "" || isOrigin(c.Origin), "origin", "not a URL such as https://id.example.com, without a path")
}

func (c *Config) validateDatabase(p *problems) {
	p.oneOf("driverName", c.DriverName, "sqlite", "mysql", "postgres")
	source := c.DataSourceName.Reveal()
	p.unless(source != "", "dataSourceName", "empty; driver %q needs one", c.DriverName)
	if c.DriverName == "sqlite" {
		// Taken for a path, its password would show: in the name of a directory, in an error.
		foreign := regexp.MustCompile(`^(postgres|postgresql|mysql)://|@(tcp|unix)?[(/]|\b(host|user|password)=`)
		path, _, _ := strings.Cut(source, "?")
		p.unless(!foreign.MatchString(path), "dataSourceName",
			"not a SQLite file; for another database, set driverName to mysql or postgres")
		file, err := sqlitefile.Path(source)
		p.unless(err != nil || file != "" && file != ":memory:" && !strings.Contains(source, "mode=memory"), "dataSourceName",
			"in memory each connection has a database of its own; name a file")
	}
	if c.DriverName == "mysql" && source != "" {
		slash := strings.LastIndexByte(source, '/')
		name, _, _ := strings.Cut(source[slash+1:], "?")
		p.unless(slash >= 0, "dataSourceName", "no / in it; MySQL's form is user:password@tcp(host:3306)/")
		p.unless(slash < 0 || name != "" || c.DBName != "", "dbName", "empty, and dataSourceName names no database either")
	}
	prefix := regexp.MustCompile(`^[A-Za-z0-9_]*$`)
	p.unless(prefix.MatchString(c.TableNamePrefix), "tableNamePrefix",
		"%q holds other characters than letters, digits and underscores", c.TableNamePrefix)
}

func (c *Config) validateSealing(p *problems) {
	for i, key := range c.SealKeys {
		_, err := decodeSealKey(key.Reveal())
		p.unless(err == nil, "sealKey", "number %d: %w", i+1, err)
	}
	p.unless(len(c.SealKeys) > 0 || c.SealKeyFile != "", "sealKeyFile", "empty, and sealKey too; one of them is needed")
}

// validateCasdoor checks the settings of the ways to run beside a Casdoor.
func (c *Config) validateCasdoor(p *problems) {
	const wantURL = "not a URL such as https://casdoor.example.com"
	p.unless(c.CasdoorUpstream == "" || isURL(c.CasdoorUpstream), "casdoorUpstream", wantURL)
	p.unless(c.CasdoorEndpoint == "" || isURL(c.CasdoorEndpoint), "casdoorEndpoint", wantURL)
	p.unless(!c.Gateway() && !c.Remote() || c.RefreshTokenFormat != "opaque", "refreshTokenFormat",
		"Casdoor cannot refresh opaque tokens; leave it empty")
	if !c.Remote() {
		const alone = "set, but casdoorEndpoint is empty; it belongs to remote mode"
		p.unless(c.CasdoorClientID == "", "casdoorClientId", alone)
		p.unless(c.CasdoorClientSecret == "", "casdoorClientSecret", alone)
		p.unless(len(c.WeChatAppIDs) == 0, "wechatAppId", alone+", elsewhere the AppID is in the provider")
		p.unless(len(c.WeChatAppSecrets) == 0, "wechatAppSecret", alone+", elsewhere the AppSecret is in the provider")
		return
	}
	const empty = "empty, but casdoorEndpoint is set; remote mode needs it"
	p.unless(c.CasdoorClientID != "", "casdoorClientId", empty)
	p.unless(c.CasdoorClientSecret != "", "casdoorClientSecret", empty)
	p.unless(len(c.WeChatAppIDs) > 0, "wechatAppId", empty)
	p.unless(len(c.WeChatAppIDs) == len(c.WeChatAppSecrets), "wechatAppSecret",
		"%d of them for %d in wechatAppId; there must be one each", len(c.WeChatAppSecrets), len(c.WeChatAppIDs))
}

func (c *Config) validateLimits(p *problems) {
	for _, count := range []struct {
		key string
		n   int
	}{
		{"limitPerIP", c.LimitPerIP}, {"limitPerApplication", c.LimitPerApplication}, {"limitPerOpenID", c.LimitPerOpenID},
		{"limitFailedPerIP", c.LimitFailedPerIP}, {"limitFailedShare", c.LimitFailedShare},
		{"maxSignIns", c.MaxSignIns}, {"maxWaiting", c.MaxWaiting}, {"maxUploads", c.MaxUploads},
		{"sweepMinutes", c.SweepMinutes},
	} {
		p.unless(count.n >= 0, count.key, "%d is less than 0; 0 turns it off", count.n)
	}
	const year = 365 * 24 * 60
	p.unless(c.SweepMinutes <= year, "sweepMinutes", "%d is more than %d, a year; 0 turns it off", c.SweepMinutes, year)
	p.unless(c.LimitFailedShare <= 100, "limitFailedShare", "%d is more than 100 per cent", c.LimitFailedShare)
	const minToken = 16
	p.unless(c.MetricsToken == "" || len(c.MetricsToken) >= minToken, "metricsToken", "shorter than %d bytes", minToken)
	p.unless(c.PprofAddr == "" || isLoopback(c.PprofAddr), "pprofAddr",
		"%q is not host:port of the loopback, such as 127.0.0.1:6060", c.PprofAddr)
}

// isLoopback reports whether address is an IP address of this machine only, and a port. A name may mean anything.
func isLoopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// validateAvatars checks where avatars are kept.
func (c *Config) validateAvatars(p *problems) {
	if c.S3Endpoint == "" {
		p.unless(c.AvatarURL == "" || isURL(c.AvatarURL), "avatarUrl", "not a URL such as https://files.example.com/avatars")
		const alone = "set, but s3Endpoint is empty"
		p.unless(c.S3Region == "", "s3Region", alone)
		p.unless(c.S3Bucket == "", "s3Bucket", alone)
		p.unless(c.S3AccessKey == "", "s3AccessKey", alone)
		p.unless(c.S3SecretKey == "", "s3SecretKey", alone)
		p.unless(!c.S3PathStyle, "s3PathStyle", alone)
		p.unless(c.S3PublicURL == "", "s3PublicUrl", alone)
		return
	}
	p.unless(isOrigin(c.S3Endpoint), "s3Endpoint",
		"not a URL such as https://cos.ap-guangzhou.myqcloud.com, without a path")
	const empty = "empty, but s3Endpoint is set"
	p.unless(c.S3Bucket != "", "s3Bucket", empty)
	p.unless(c.S3AccessKey != "", "s3AccessKey", empty)
	p.unless(c.S3SecretKey != "", "s3SecretKey", empty)
	p.unless(c.S3PublicURL == "" || isURL(c.S3PublicURL), "s3PublicUrl", "not a URL such as https://cdn.example.com")
	p.unless(c.AvatarURL == "", "avatarUrl", "set, but avatars are in a bucket; set s3PublicUrl")
}

// isURL reports whether s is an http or https URL to which a path can be appended.
func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsAny(s, "?#")
}

// isOrigin reports whether s is a URL of scheme, host and port only.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && isURL(s) && u.Path == ""
}

// isHost reports whether s can be the host that a port is appended to. An empty one can.
func isHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || !strings.ContainsAny(s, ":/[] ")
}
