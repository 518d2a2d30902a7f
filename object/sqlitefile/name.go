// Package sqlitefile reads the data source names of SQLite's databases.
package sqlitefile

import (
	"net/url"
	"strings"
)

// Path returns the path of a database's file.
func Path(name string) (string, error) {
	file, _ := Parse(name)
	return url.PathUnescape(strings.TrimPrefix(file, "//localhost"))
}

// Parse returns the file of a data source name, as in a URI, and its parameters. A name that is no URI means its file
// by the letter, as it does for Casdoor; of one that is, SQLite ignores what follows a "#".
func Parse(name string) (file string, params url.Values) {
	name, uri := strings.CutPrefix(name, "file:")
	if uri {
		name, _, _ = strings.Cut(name, "#")
	}
	file, query, _ := strings.Cut(name, "?")
	if !uri {
		file = strings.NewReplacer("%", "%25", "#", "%23").Replace(file)
		if strings.HasPrefix(file, "//") { // which a host would follow
			file = "//" + file
		}
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		params = url.Values{}
	}
	return file, params
}
