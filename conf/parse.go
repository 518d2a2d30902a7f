package conf

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/beego/beego/v2/core/config"
)

// defaults returns the built-in values under their keys in lower case, as beego gives those of files. It does not have
// beego parse them: given data in place of a file, beego first makes a directory below /tmp, which may be read-only.
func defaults() map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(appConf) {
		if key, value, found := strings.Cut(line, "="); found && !strings.HasPrefix(line, "#") {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return values
}

// readFiles returns the values of the files over the defaults, under keys in lower case, and sets Unknown.
func (c *Config) readFiles(paths []string) (map[string]string, error) {
	values := defaults()
	var problems []error
	for _, path := range paths {
		sections, err := readFile(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("configuration file %s: %w", path, err))
		}
		for section, pairs := range sections {
			c.Unknown = append(c.Unknown, merge(values, section, pairs)...)
		}
	}
	slices.Sort(c.Unknown)
	c.Unknown = slices.Compact(c.Unknown)
	return values, errors.Join(problems...)
}

// readFile returns the values of one file by section and key, both in lower case.
func readFile(path string) (sections map[string]map[string]string, err error) {
	ini, err := new(config.IniConfig).Parse(path)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, pathErr
	}
	if err != nil {
		// Not beego's error: it holds the line, which may be a secret.
		return nil, fmt.Errorf("%s is not \"key = value\"", badLine(path))
	}
	err = ini.Unmarshaler("", &sections)
	return sections, err
}

// badLine says which line of the file is the first that beego cannot read.
func badLine(path string) string {
	data, _ := os.ReadFile(path) // it could be read just now
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		number++
		line = strings.TrimSpace(line)
		section := strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]")
		words := strings.Fields(strings.ToLower(line))
		include := len(words) == 2 && words[0] == "include"
		comment := line == "" || line[0] == '#' || line[0] == ';'
		if !section && !include && !comment && !strings.Contains(line, "=") {
			return fmt.Sprintf("line %d", number)
		}
	}
	return "a line of an included file"
}

// merge puts the pairs of one section of a file over values, and returns the keys that values does not have.
func merge(values map[string]string, section string, pairs map[string]string) (unknown []string) {
	for key, value := range pairs {
		if section != "default" { // beego's name for what stands above all sections
			key = section + "::" + key
		}
		if _, known := values[key]; !known {
			unknown = append(unknown, key)
			continue
		}
		values[key] = value
	}
	return unknown
}

// decode sets each field that has a key, from the environment or else from values.
func (c *Config) decode(values map[string]string, lookupEnv func(string) (string, bool)) error {
	var problems []error
	config := reflect.ValueOf(c).Elem()
	for field, ptr := range config.Fields() {
		key, tagged := field.Tag.Lookup("conf")
		if !tagged {
			continue
		}
		value, found := lookupEnv(key)
		value = strings.TrimSpace(value) // as of a file: the end of a line gets into secrets of Kubernetes and files of CRLF
		if !found {
			value = values[strings.ToLower(key)]
			upper := strings.ToUpper(key)
			if other, there := lookupEnv(upper); there && other != value { // the same: a file has it by ${…}
				c.Unknown = append(c.Unknown, upper+" (in the environment; write "+key+")")
			}
		}
		if err := set(ptr.Addr().Interface(), value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", key, err))
		}
	}
	return errors.Join(problems...)
}

// set parses value into what ptr points at. Its errors quote the value: no Secret can fail.
func set(ptr any, value string) (err error) {
	switch p := ptr.(type) {
	case *string:
		*p = value
	case *Secret:
		*p = Secret(value)
	case *[]string:
		*p = list(value)
	case *[]Secret:
		for _, item := range list(value) {
			*p = append(*p, Secret(item))
		}
	case *int:
		if *p, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("%q is not a whole number", value)
		}
	case *bool: // empty is false, as for Casdoor
		if *p, err = config.ParseBool(cmp.Or(value, "false")); err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	case *slog.Level:
		*p, err = parseLevel(value)
	case *[]netip.Prefix:
		*p, err = parsePrefixes(value)
	default:
		return fmt.Errorf("no value can be read into a %T", ptr)
	}
	return err
}

func parseLevel(value string) (slog.Level, error) {
	switch value {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	default:
		return 0, fmt.Errorf("%q is not one of debug, info, warn, error", value)
	}
}

// parsePrefixes parses a list of IP addresses and CIDR ranges. An error names all bad items.
func parsePrefixes(value string) (prefixes []netip.Prefix, err error) {
	var bad []string
	for _, item := range list(value) {
		prefix, err := netip.ParsePrefix(item)
		if addr, addrErr := netip.ParseAddr(item); addrErr == nil {
			addr = addr.Unmap()
			prefix, err = addr.Prefix(addr.BitLen())
		}
		// An IPv4 range in IPv6 form would match no address.
		if err != nil || prefix.Addr().Is4In6() {
			bad = append(bad, strconv.Quote(item))
			continue
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	if bad != nil {
		return nil, fmt.Errorf("%s: not an IP address or a CIDR range such as 10.0.0.0/8", strings.Join(bad, ", "))
	}
	return prefixes, nil
}

// list splits value at commas, without the spaces around the items and without empty ones.
func list(value string) (items []string) {
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
