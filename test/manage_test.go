package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// A back end manages providers through casdoor-go-sdk.
func TestManageProviders(t *testing.T) {
	t.Parallel()
	sdk := harness.Start(t, harness.Options{}).SDK()
	p := &casdoorsdk.Provider{
		Name: "second", Category: "OAuth", Type: "WeChatMiniProgram", ClientId: "wx2", ClientSecret: "secret-2",
	}
	added, err := sdk.AddProvider(p)
	require.NoError(t, err)
	assert.True(t, added)
	_, err = sdk.AddProvider(p)
	require.EqualError(t, err, "The provider: shop/second already exists")

	found, err := sdk.GetProvider("second")
	require.NoError(t, err)
	assert.Equal(t, "***", found.ClientSecret)
	found.DisplayName = "Second 🐼"
	updated, err := sdk.UpdateProvider(found)
	require.NoError(t, err)
	assert.True(t, updated)
	page, total, err := sdk.GetPaginationProviders(1, 10, map[string]string{"field": "name", "value": "sec"})
	require.NoError(t, err)
	assert.Equal(t, 1, total)
	require.Len(t, page, 1)
	assert.Equal(t, "Second 🐼", page[0].DisplayName)

	shared, err := sdk.GetProvider(harness.Provider)
	require.NoError(t, err)
	require.NotNil(t, shared, "every organization's, by its bare name")
	assert.Equal(t, "admin", shared.Owner)
	missing, err := sdk.GetProvider("none")
	require.NoError(t, err)
	assert.Nil(t, missing)

	deleted, err := sdk.DeleteProvider(p)
	require.NoError(t, err)
	assert.True(t, deleted)
	deleted, err = sdk.DeleteProvider(p)
	require.NoError(t, err)
	assert.False(t, deleted)
}

// The headers that a service is sent may hold a password. Everybody may read providers, and organizations list those of
// "admin": nobody is shown the headers, nor finds them out by searching.
func TestManageProviderHeaders(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	sdk, where := s.SDK(), "FROM provider WHERE name='sms'"
	_, err := sdk.AddProvider(&casdoorsdk.Provider{
		Name: "sms", Category: "SMS", Type: "Custom HTTP SMS", HttpHeaders: map[string]string{"Authorization": "secret-3"},
	})
	require.NoError(t, err)
	for _, auth := range []string{"", "&clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret} {
		for _, path := range []string{"provider?id=shop/sms", "providers?owner=shop", "providers?p=1&pageSize=9"} {
			assert.NotContains(t, s.Call(t, "GET", "/api/get-"+path+auth, "", nil).Body, "secret-3", path)
		}
	}
	_, _, err = sdk.GetPaginationProviders(1, 10, map[string]string{"field": "httpHeaders", "value": "secret-3"})
	require.EqualError(t, err, `there is no column "httpHeaders"`)

	found, err := sdk.GetProvider("sms")
	require.NoError(t, err)
	for _, sentBack := range []map[string]string{nil, {}} {
		found.DisplayName, found.HttpHeaders = found.DisplayName+"+", sentBack
		_, err = sdk.UpdateProvider(found)
		require.NoError(t, err)
		assert.Contains(t, s.Value(t, "SELECT http_headers "+where), "secret-3", "they stay when they come back empty")
	}
	found.HttpHeaders = map[string]string{"Authorization": "secret-4"}
	_, err = sdk.UpdateProvider(found)
	require.NoError(t, err)
	assert.Contains(t, s.Value(t, "SELECT http_headers "+where), "secret-4")
}

// A value that no column holds is its sender's fault, and not the server's; neither answer nor log repeats it.
func TestManageRefusesValues(t *testing.T) {
	t.Parallel()
	secret := "clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret
	testdb.Each(t, func(t *testing.T, cfg object.StoreConfig) {
		s := harness.Start(t, harness.Options{Store: cfg})
		for field, value := range map[string]any{
			"title": strings.Repeat("long", 38), "tag": strings.Repeat("long", 38), "countryCode": strings.Repeat("long", 38),
			"id": strings.Repeat("long", 38), "firstName": strings.Repeat("long", 38), "score": 1 << 40,
		} {
			reply := s.Call(t, http.MethodPost, "/api/add-user?"+secret, "", harness.Row{
				"owner": harness.Organization, "name": "with-" + strings.ToLower(field), field: value,
			})
			assert.Equal(t, http.StatusOK, reply.Status, field)
			if cfg.DriverName != "sqlite" {
				assert.Equal(t, "error", reply.Map(t)["status"], field)
				assert.Regexp(t, "too long|out of range", reply.Map(t)["msg"], field)
				assert.NotContains(t, reply.Body+s.Log.String(), "longlong", field)
			}
		}
		for _, page := range []string{
			"p=9223372036854775807&pageSize=10", "p=1&pageSize=9223372036854775807", "p=2147483648&pageSize=1", "p=1&pageSize=0",
			"p=first&pageSize=1",
		} {
			reply := s.Call(t, http.MethodGet, "/api/get-users?owner=shop&"+page+"&"+secret, "", nil)
			assert.Contains(t, reply.Body, "p and pageSize must be numbers of at most 32 bits, pageSize above zero", page)
		}
		first := s.Call(t, http.MethodGet, "/api/get-users?owner=shop&p=1&pageSize=1&"+secret, "", nil)
		assert.Len(t, first.Map(t)["data"], 1)
		assert.Equal(t, first.Body, s.Call(t, http.MethodGet, "/api/get-users?owner=shop&p=0&pageSize=1&"+secret, "", nil).Body)
		reply := s.Call(t, http.MethodGet, "/api/get-users?owner=shop&p=2147483647&pageSize=2147483647&"+secret, "", nil)
		assert.Equal(t, []any{}, reply.Map(t)["data"])
	})
}

// A row is named so that paths can name it, and no two names look like one.
func TestManageRefusesNames(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	secret := "clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret
	call := func(path string, row harness.Row) string {
		return s.Call(t, http.MethodPost, path+"&"+secret, "", row).Body
	}
	s.SignIn(t, "oNamed")
	for _, name := range []string{"", " ", " a", "a ", "a/b", `a\b`, "a\nb", "a\x7fb", strings.Repeat("a", 101)} {
		for path, row := range map[string]harness.Row{
			"/api/add-user?":                         {"owner": harness.Organization, "name": name},
			"/api/add-provider?":                     {"owner": harness.Organization, "name": name},
			"/api/update-user?id=shop/wechat-oNamed": {"owner": harness.Organization, "name": name},
		} {
			if name != "" || !strings.Contains(path, "update") { // where it is the name that is there
				assert.Contains(t, call(path, row), "no slash, backslash or control character", "%s %q", path, name)
			}
		}
	}
	assert.Equal(t, "1", s.Value(t, "SELECT COUNT(*) FROM user WHERE owner='shop' AND name LIKE 'wechat-%'"))
	for _, name := range []string{strings.Repeat("a", 100), "小明 🐼"} {
		row := harness.Row{"owner": harness.Organization, "name": name}
		assert.Contains(t, call("/api/add-user?", row), `"Affected"`, name)
	}
	assert.Contains(t, call("/api/add-provider?", harness.Row{
		"owner": harness.Organization, "name": "copied", "type": "WeChatMiniProgram", "clientId": "wx", "clientSecret": "***",
	}), `"Affected"`)
	assert.Empty(t, s.Value(t, "SELECT client_secret FROM provider WHERE name='copied'"), "a mask is no secret")
}

// Whether users need an application is looked up before the transaction: a whole table may have to be read.
func TestApplicationInUse(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	s.SignIn(t, "oUser")
	const writes = `minidoor_database_seconds_count{op="write"}`
	refused := func(path, says string, app map[string]string) {
		t.Helper()
		query := url.Values{
			"id": {"admin/" + app["old"]}, "clientId": {harness.ClientID}, "clientSecret": {harness.ClientSecret},
		}
		assert.Eventually(t, func() bool { // the housekeeping of the start writes too, some time
			before := s.Metric(t, writes)
			assert.Contains(t, s.Call(t, "POST", path+"?"+query.Encode(), "", app).Map(t)["msg"], says)
			return s.Metric(t, writes) == before
		}, 10*time.Second, time.Millisecond)
	}
	refused("/api/delete-application", "users have signed up with it",
		map[string]string{"owner": "admin", "name": harness.Application})
	s.Exec(t, `INSERT INTO user (owner, name, signup_application) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL `+
		`SELECT i+1 FROM n WHERE i<=20000) SELECT '`+harness.Organization+`', i, '`+harness.Application+`' FROM n`)
	refused("/api/update-application", "more than 20000 users",
		map[string]string{"owner": "admin", "name": "renamed", "old": harness.Application})
}
