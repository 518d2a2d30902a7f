package test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// manyRows are more than a page of a list of the console shows.
const manyRows = 60

// manyOfEach are applications, providers and certs of another organization, all applications with one cert.
func manyOfEach() harness.Rows {
	rows := consoleRows()
	rows["certs"] = append(rows["certs"], harness.Row{
		"owner": "admin", "name": "cert-shared", "cryptoAlgorithm": "ES256",
	})
	for i := range manyRows {
		rows["certs"] = append(rows["certs"], harness.Row{
			"owner": foreignName, "name": fmt.Sprintf("many-cert-%02d", i), "cryptoAlgorithm": "ES256",
		})
		rows["providers"] = append(rows["providers"], harness.Row{
			"owner": foreignName, "name": fmt.Sprintf("many-mp-%02d", i), "displayName": fmt.Sprintf("Mini %02d", i),
			"category": "OAuth", "type": "WeChatMiniProgram", "clientId": fmt.Sprintf("wxmany%010d", i), "clientSecret": "s",
		})
		rows["applications"] = append(rows["applications"], harness.Row{
			"owner": "admin", "name": fmt.Sprintf("many-app-%02d", i), "displayName": fmt.Sprintf("Many %02d", i),
			"organization": foreignName, "cert": "cert-shared", "clientId": fmt.Sprintf("manyclient%02d", i),
		})
	}
	rows["providers"] = append(rows["providers"], harness.Row{
		"owner": "admin", "name": "github", "category": "OAuth", "type": "GitHub", "clientId": "x", "clientSecret": "s",
	})
	return rows
}

var (
	nextPage  = regexp.MustCompile(`rel="next" href="([^"]+)"`)
	shownRows = regexp.MustCompile(`<th role="rowheader"`)
)

// A Casdoor with thousands of applications has pages that can be read, and searched.
func TestConsoleListsInPages(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Rows: manyOfEach()})
	a := signInGlobal(t, s)
	for _, list := range []struct{ path, row, search string }{
		{"/console/applications", "many-app-%02d", "by=clientId&value=client42"},
		{"/console/applications", "many-app-%02d", "value=ny%2042"}, // by the first of the choices
		{"/console/providers", "many-mp-%02d", "by=clientId&value=0042"},
		{"/console/certs", "many-cert-%02d", "value=rt-42"},
	} {
		var all string
		for path, pages := list.path, 0; path != ""; pages++ {
			require.Less(t, pages, 3, "the list has no end")
			page := a.get(path)
			assert.LessOrEqual(t, len(shownRows.FindAllString(page, -1)), 50)
			assert.Contains(t, page, `role="search"`)
			all += page
			path = ""
			if next := nextPage.FindStringSubmatch(page); next != nil {
				path = html.UnescapeString(next[1])
			}
		}
		cell := func(row int) string {
			name := fmt.Sprintf(list.row, row)
			if list.path == "/console/certs" {
				return ">" + name + " <small>"
			}
			return "<small>" + name + "</small>"
		}
		for i := range manyRows {
			assert.Equal(t, 1, strings.Count(all, cell(i)), "%s is there once", cell(i))
		}
		assert.NotContains(t, all, "github", "it is no mini program")

		found := a.get(list.path + "?" + list.search)
		assert.Len(t, shownRows.FindAllString(found, -1), 1, list.search)
		assert.Contains(t, found, cell(42), list.search)
		assert.Contains(t, a.get(list.path+"?value=nowhere"), "Nothing is found.")
		long := a.do(http.MethodGet, list.path+"?value="+strings.Repeat("x", 101), nil, nil)
		assert.Equal(t, http.StatusUnprocessableEntity, long.status)
	}

	used := a.get("/console/certs?value=cert-shared")
	assert.Contains(t, used, "and 40 more", "of the applications that sign with it, 20 are named")
	assert.Contains(t, a.kept("/console/certs/delete", "admin/cert-shared"), "and 40 more")
}

// Who edits an application chooses among what its organization may use.
func TestConsoleOffersWhatMayBeUsed(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	a := signInGlobal(t, s)
	own := a.get("/console/applications/edit?id=" + consoleApplicationID)
	assert.Contains(t, own, `value="`+harness.Provider+`"`)
	assert.NotContains(t, own, "wx-foreign")
	assert.NotContains(t, own, "cert-foreign")
	foreign := a.get("/console/applications/edit?id=admin/app-foreign")
	for _, usable := range []string{harness.Provider, "wx-foreign", "cert-built-in", "cert-foreign"} {
		assert.Contains(t, foreign, `value="`+usable+`"`)
	}
	assert.NotContains(t, a.get("/console/applications"), `role="search"`, "all of a short list is seen at once")
}
