package storetest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// testManage looks after the rows of each family, whichever database they are in.
func (s *suite) testManage(t *testing.T) {
	n := s.tenant(t, setup{})
	token := n.signIn(t, "oManaged")
	t.Run("users", func(t *testing.T) { testManageUsers(t, n) })
	t.Run("rules of users", func(t *testing.T) { testManageUserRules(t, n) })
	t.Run("tokens", func(t *testing.T) { testManageTokens(t, n, token) })
	t.Run("settings", func(t *testing.T) { testManageSettings(t, n) })
	t.Run("values", func(t *testing.T) { testManageValues(t, n) })
	t.Run("pages", func(t *testing.T) { testManagePages(t, n) })
	t.Run("nobody", func(t *testing.T) {
		_, err := n.service.Users().List(t.Context(), &object.Caller{}, object.ListQuery{})
		assertRefused(t, err, object.AccessDenied)
	})
}

func jsonOf(t *testing.T, v any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

func testManageUsers(t *testing.T, n *tenant) {
	users, app := n.service.Users(), n.app()
	for i := range 7 {
		require.NoError(t, users.Add(t.Context(), app, jsonOf(t, row{
			"owner": n.name, "name": fmt.Sprintf("user-%d", i), "displayName": fmt.Sprintf("Nick_%d%%", i), "score": i,
			"phone": fmt.Sprintf("1380000000%d", i), "createdTime": fmt.Sprintf("2020-01-0%dT00:00:00Z", i+1),
			"isForbidden": i == 3,
		})))
	}
	assertRefused(t, users.Add(t.Context(), app, jsonOf(t, row{"owner": n.name, "name": "user-1"})), object.InvalidRequest)
	for _, q := range []object.ListQuery{
		{Field: "displayName", Value: "_3%"}, {Field: "name", Value: "user-3"}, {Field: "phone", Value: "00003"},
		{Field: "score", Value: "3"}, {Name: "user-3"}, {Name: "user-3", Types: []string{"normal-user", "other"}},
		{Field: "isForbidden", Value: "true"}, {Field: "is_forbidden", Value: "1"},
	} {
		q.Owner, q.PageSize = n.name, 5
		page, err := users.List(t.Context(), app, q)
		require.NoError(t, err, q.Field)
		assert.Equal(t, 1, page.Total, q.Field)
		require.Len(t, page.Rows, 1, q.Field)
		assert.Equal(t, "user-3", page.Rows[0].Name)
	}
	for _, q := range []object.ListQuery{{Name: "user"}, {Name: "user-3", Types: []string{"other"}}} {
		page, err := users.List(t.Context(), app, q)
		require.NoError(t, err)
		assert.Empty(t, page.Rows, "%+v", q)
	}
	allowed, err := users.List(t.Context(), app, object.ListQuery{Field: "isForbidden", Value: "false", PageSize: 100})
	require.NoError(t, err)
	assert.Len(t, allowed.Rows, n.users(t)-1)
	_, err = users.List(t.Context(), app, object.ListQuery{Field: "isForbidden", Value: "yes", PageSize: 5})
	assertRefused(t, err, object.InvalidRequest, "isForbidden is true or false")
	byOpenID, err := users.List(t.Context(), app, object.ListQuery{Field: "openId", Value: "oManaged", PageSize: 5})
	require.NoError(t, err)
	require.Len(t, byOpenID.Rows, 1)
	assert.Equal(t, "wechat-oManaged", byOpenID.Rows[0].Name)
	for _, sort := range []string{"", "name", "score"} {
		for _, direction := range []string{"ascend", "descend"} {
			checkPaging(t, n, object.ListQuery{Owner: n.name, SortField: sort, SortOrder: direction, PageSize: 3})
		}
	}
	for _, bad := range []string{"a/b", `a\b`, " a", "user-1"} { // no path could name it, or it is another one's
		_, err := users.Update(t.Context(), app, n.name, "user-0", nil, jsonOf(t, row{"name": bad}))
		assertRefused(t, err, object.InvalidRequest)
	}
	for _, names := range [][2]string{{"user-6", "USER-6"}, {"USER-6", "ÜSER-6"}} { // which MySQL takes for the same
		renamed, err := users.Update(t.Context(), app, n.name, names[0], nil, jsonOf(t, row{"name": names[1]}))
		require.NoError(t, err)
		assert.True(t, renamed)
		user, err := users.Get(t.Context(), app, n.name, names[1])
		require.NoError(t, err)
		assert.Equal(t, names[1], user.Name)
	}
	_, err = users.Update(t.Context(), app, n.name, "user-0", nil, jsonOf(t, row{"bio": 1}))
	assertRefused(t, err, object.InvalidRequest, "bio is of the wrong kind")
	assertRefused(t, users.Add(t.Context(), app, jsonOf(t, row{"owner": n.name, "name": "x", "address": "y"})),
		object.InvalidRequest, "address is of the wrong kind")
	done, err := users.Update(t.Context(), app, n.name, "user-0", []string{"is_forbidden"}, jsonOf(t, row{
		"isForbidden": true, "score": 99,
	}))
	require.NoError(t, err)
	assert.True(t, done)
	user := n.find(t, "user-0")
	assert.True(t, user.IsForbidden)
	assert.Zero(t, user.Score)
	count, err := n.service.CountUsers(t.Context(), app, n.name, new(false))
	require.NoError(t, err)
	assert.Equal(t, 8, count)
	for _, want := range []bool{true, false} {
		done, err = users.Delete(t.Context(), app, n.name, "user-0")
		require.NoError(t, err)
		assert.Equal(t, want, done)
	}
}

// testManageUserRules has changes refused of what others go by, and admins kept from locking themselves out.
func testManageUserRules(t *testing.T, n *tenant) {
	users, global := n.service.Users(), builtInAdmin()
	for name, r := range map[string]row{"boss": {"isAdmin": true}, "admin": nil, "clerk": {"email": "clerk@example.com"}} {
		require.NoError(t, users.Add(t.Context(), n.app(), jsonOf(t, fields{"owner": n.name, "name": name}.with(r))))
	}
	as := func(name string, role object.Role) *object.Caller {
		return &object.Caller{Role: role, Organization: n.name, Name: name, UserID: n.find(t, name).Id}
	}
	boss, clerk := as("boss", object.Admin), as("clerk", object.Member)
	for _, c := range []struct {
		by     *object.Caller
		name   string
		change row
		says   string // empty: it is done
	}{
		{boss, "boss", row{"isAdmin": false}, "administrators cannot take their own rights away"},
		{boss, "boss", row{"isForbidden": true}, "administrators cannot take their own rights away"},
		{boss, "boss", row{"isDeleted": true}, "administrators cannot take their own rights away"},
		{boss, "boss", row{"displayName": "Boss"}, ""},
		{boss, "clerk", row{"isForbidden": true}, ""},
		{clerk, "clerk", row{"score": 9}, "Unauthorized operation"},
		{global, "clerk", row{"id": "another"}, "The ID is immutable."},
		{global, "clerk", row{"owner": "built-in"}, "The owner is immutable: a user stays in the organization"},
		{boss, "clerk", row{"phone": "call me"}, "phone must be a phone number"},
		{boss, "clerk", row{"phone": "+86 138-0000-0000"}, ""},
		{boss, "clerk", row{"totpSecret": "x"}, "totp_secret can be set by an administrator of built-in only"},
		{global, "clerk", row{"totpSecret": "x"}, ""},
		{boss, "clerk", row{"emailVerified": true}, ""},
		{boss, "clerk", row{"email": "new@example.com"}, ""},
		{boss, "wechat-oManaged", row{"properties": row{"wechatOpenId": "oAnother", "color": "red"}}, ""},
	} {
		done, err := users.Update(t.Context(), c.by, n.name, c.name, nil, jsonOf(t, c.change))
		if c.says != "" {
			assert.ErrorContains(t, err, c.says, "%s: %v", c.name, c.change)
			continue
		}
		require.NoError(t, err, "%s: %v", c.name, c.change)
		assert.True(t, done)
	}
	assert.False(t, n.find(t, "clerk").EmailVerified, "the new address is not")
	properties := n.find(t, "wechat-oManaged").Properties
	assert.Equal(t, "oManaged", properties["wechatOpenId"], "what the platform has told")
	assert.Equal(t, "red", properties["color"])
	for _, c := range []struct {
		by          *object.Caller
		owner, name string
		refused     bool
	}{
		{boss, n.name, "boss", true}, {global, "built-in", "admin", true}, {boss, n.name, "admin", false},
		{boss, n.name, "clerk", false}, {global, n.name, "boss", false},
	} {
		done, err := users.Delete(t.Context(), c.by, c.owner, c.name)
		assert.Equal(t, c.refused, err != nil, "%s/%s: %v", c.owner, c.name, err)
		assert.Equal(t, !c.refused, done, c.name)
	}
	err := users.Add(t.Context(), global, jsonOf(t, row{"owner": "nowhere", "name": "x"}))
	assertRefused(t, err, object.InvalidRequest, "the organization nowhere does not exist")
}

// checkPaging reads a list page by page, by numbers and by keys, and compares with the list as a whole.
func checkPaging(t *testing.T, n *tenant, q object.ListQuery) {
	t.Helper()
	whole := q
	whole.PageSize = 0
	all, err := n.service.Users().List(t.Context(), n.app(), whole)
	require.NoError(t, err)
	var numbered, keyed []*sdk.User
	for q.Page = 1; q.Page <= 4; q.Page++ {
		page, err := n.service.Users().List(t.Context(), n.app(), q)
		require.NoError(t, err)
		assert.Equal(t, len(all.Rows), page.Total)
		numbered = append(numbered, page.Rows...)
	}
	for q.Page = 0; len(keyed) <= len(all.Rows); {
		page, err := n.service.Users().List(t.Context(), n.app(), q)
		require.NoError(t, err)
		keyed = append(keyed, page.Rows...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	assert.Equal(t, all.Rows, numbered, "%+v", q)
	assert.Equal(t, all.Rows, keyed, "%+v", q)
	whole.PageSize = len(all.Rows)
	page, err := n.service.Users().List(t.Context(), n.app(), whole)
	require.NoError(t, err)
	assert.Equal(t, all.Rows, page.Rows)
	assert.Empty(t, page.Next, "nothing is behind a page that all fit on")
}

func testManageTokens(t *testing.T, n *tenant, token *object.Token) {
	app := n.app()
	page, err := n.service.Tokens().List(t.Context(), app, object.ListQuery{PageSize: 10})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	assert.Equal(t, 1, page.Total)
	assert.Equal(t, "***", page.Rows[0].AccessTokenHash)
	_, err = n.service.Users().Update(t.Context(), app, n.name, "wechat-oManaged", []string{"name"}, jsonOf(t, row{
		"name": "other-name",
	}))
	require.NoError(t, err)
	assert.Equal(t, "other-name", n.principal(t, token).User.Name)
	identities, err := n.service.UserIdentities(t.Context(), app, n.name, "other-name")
	require.NoError(t, err)
	require.Len(t, identities, 1)
	assert.Equal(t, "oManaged", identities[0].OpenID)
	export, err := n.service.ExportUser(t.Context(), app, n.name, "other-name")
	require.NoError(t, err)
	assert.Len(t, export.Tokens, 1)
	ended, err := n.service.EndUserSessions(t.Context(), app, n.name, "other-name")
	require.NoError(t, err)
	assert.Equal(t, 1, ended)
	_, err = n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.InvalidToken)
	records, err := n.service.Records().List(t.Context(), app, object.ListQuery{PageSize: 3})
	require.NoError(t, err)
	assert.Equal(t, "end-user-sessions", records.Rows[0].Action)
	assert.Greater(t, records.Rows[0].Id, records.Rows[1].Id)
}

func testManageSettings(t *testing.T, n *tenant) {
	app, ctx := n.app(), t.Context()
	require.NoError(t, n.service.Certs().Add(ctx, app, jsonOf(t, row{
		"owner": n.name, "name": "Cert-" + n.name, "cryptoAlgorithm": "ES256",
	})))
	_, err := n.service.Certs().Update(ctx, app, n.name, "Cert-"+n.name, nil, jsonOf(t, row{"name": "cert-" + n.name}))
	require.NoError(t, err, "which MySQL takes for the same")
	require.NoError(t, n.service.Providers().Add(ctx, app, jsonOf(t, row{
		"owner": n.name, "name": "p-" + n.name, "type": "WeChatMiniProgram", "clientSecret": "s",
	})))
	require.NoError(t, n.service.Applications().Add(ctx, app, jsonOf(t, row{
		"owner": "admin", "name": "second-" + n.name, "organization": n.name, "cert": "cert-" + n.name,
		"providers": []row{{"name": "p-" + n.name}},
	})))
	_, err = n.service.Providers().Update(ctx, app, n.name, "p-"+n.name, nil, jsonOf(t, row{
		"name": "Renamed-" + n.name, "clientSecret": "***",
	}))
	require.NoError(t, err)
	_, err = n.service.Providers().Update(ctx, app, n.name, "Renamed-"+n.name, nil, jsonOf(t, row{
		"name": "renamed-" + n.name,
	}))
	require.NoError(t, err)
	second, err := n.service.Applications().Get(ctx, app, "admin", "second-"+n.name)
	require.NoError(t, err)
	assert.Equal(t, "renamed-"+n.name, second.Providers[0].Name)
	assert.Equal(t, "***", second.Providers[0].Provider.ClientSecret)
	for _, c := range []struct {
		caller *object.Caller
		sees   bool
	}{
		{&object.Caller{Role: object.Admin, Organization: n.name, UserID: "x"}, true},
		{&object.Caller{Role: object.Admin, Organization: "another", UserID: "x"}, false},
		{&object.Caller{Role: object.Member, Organization: n.name, UserID: "x"}, false},
		{app, false}, // it knows its own
		{&object.Caller{}, false},
	} {
		seen, err := n.service.Applications().Get(ctx, c.caller, "admin", "second-"+n.name)
		require.NoError(t, err)
		assert.Equal(t, c.sees, seen.ClientSecret != "***", "%+v", c.caller)
	}
	other := n.suite.tenant(t, setup{})
	theirs := "theirs-" + other.name
	require.NoError(t, n.service.Certs().Add(ctx, other.app(), jsonOf(t, row{
		"owner": other.name, "name": theirs, "cryptoAlgorithm": "ES256",
	})))
	require.NoError(t, n.service.Providers().Add(ctx, other.app(), jsonOf(t, row{"owner": other.name, "name": theirs})))
	for _, foreign := range []row{{"cert": theirs}, {"providers": []row{{"name": theirs}}}} {
		_, err := n.service.Applications().Update(ctx, app, "admin", "second-"+n.name, nil, jsonOf(t, foreign))
		assertRefused(t, err, object.InvalidRequest, "does not exist")
	}
	assert.Equal(t, "s", n.row(t, `SELECT client_secret FROM "provider" WHERE name=?`, "renamed-"+n.name)["client_secret"])
	many := row{"providers": slices.Repeat([]row{{"name": "renamed-" + n.name}}, 101)}
	_, err = n.service.Applications().Update(ctx, app, "admin", "second-"+n.name, nil, jsonOf(t, many))
	assertRefused(t, err, object.InvalidRequest, "100 providers at most")
	_, err = n.service.Certs().Delete(ctx, app, n.name, "cert-"+n.name)
	assertRefused(t, err, object.InvalidRequest)
	done, err := n.service.Applications().Delete(ctx, app, "admin", "second-"+n.name)
	require.NoError(t, err)
	assert.True(t, done)
	done, err = n.service.Certs().Delete(ctx, app, n.name, "cert-"+n.name)
	require.NoError(t, err)
	assert.True(t, done)
}

// A value that the database does not take is refused, and its sender's only. SQLite takes all of them.
func testManageValues(t *testing.T, n *tenant) {
	add := func(name string, r row) error {
		return n.service.Users().Add(t.Context(), n.app(), jsonOf(t, fields{"owner": n.name, "name": name}.with(r)))
	}
	long := strings.Repeat("長", 150)
	for i, field := range []string{"title", "tag", "countryCode", "id", "firstName"} {
		err := add(fmt.Sprint("long-", i), row{field: long})
		if n.cfg.DriverName == "sqlite" {
			require.NoError(t, err)
			continue
		}
		assertRefused(t, err, object.InvalidRequest, "a value is too long")
		assert.False(t, object.IsUnavailable(err))
		assert.NotContains(t, err.Error(), "長")
	}
	err := add("large", row{"score": 1 << 40})
	assert.Equal(t, n.cfg.DriverName == "sqlite", err == nil, "%v", err)
	if err != nil {
		assertRefused(t, err, object.InvalidRequest, "score is out of range")
	}
	_, err = n.service.Users().List(t.Context(), n.app(), object.ListQuery{Owner: n.name, Field: "name", Value: "\x00"})
	if n.cfg.DriverName == "postgres" {
		assertRefused(t, err, object.InvalidRequest)
	} else {
		require.NoError(t, err)
	}
	const members = 24
	errs := make([]error, members)
	concurrently(members, func(i int) {
		req := n.request(t, fmt.Sprint("oBeside", i%8))
		if i%3 == 0 {
			req.ClientIP = long
		}
		_, errs[i] = n.service.SignIn(t.Context(), req)
	})
	for i, err := range errs {
		if i%3 == 0 && n.cfg.DriverName != "sqlite" {
			assertRefused(t, err, object.InvalidRequest, "a value is too long")
		} else {
			assert.NoError(t, err)
		}
	}
}

// A page that no list has is empty, however large its number.
func testManagePages(t *testing.T, n *tenant) {
	for _, q := range []object.ListQuery{
		{Page: math.MaxInt, PageSize: math.MaxInt}, {Page: math.MaxInt, PageSize: 1}, {Page: math.MaxInt64/1000 + 2, PageSize: 1000},
	} {
		users, err := n.service.Users().List(t.Context(), n.app(), q)
		require.NoError(t, err)
		assert.Empty(t, users.Rows)
		assert.NotZero(t, users.Total)
		sessions, err := n.service.Sessions(t.Context(), n.app(), q)
		require.NoError(t, err)
		assert.Empty(t, sessions.Rows)
	}
}
