package test

import (
	"encoding/base64"
	"fmt"
	"image/color"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// mayDo is who may do what, written by hand: for each role whose rows are reached. s is what is the member's own, o the
// organization's, f another organization's and a what belongs to Casdoor's "admin"; a dot is nothing. A column is left
// out for rows of which there are none.
const mayDo = `
action                         nobody member admin app  global
get-organizations              ...    ...    .o.   .o.  .of
get-organization               ...    ...    .o.   .o.  .of
get-organization-names         ...    ...    .o.   .o.  .of
add-organization               ...    ...    ...   ...  ..f
update-organization            ...    ...    .o.   .o.  .of
delete-organization            ...    ...    ...   ...  .of
get-providers                  ....   ....   .o.a  .o.a .ofa
get-provider                   .ofa   .ofa   .ofa  .ofa .ofa
add-provider                   ....   ....   .o..  .o.. .ofa
update-provider                ....   ....   .o..  .o.. .ofa
delete-provider                ....   ....   .o..  .o.. .ofa
get-applications               ...    ...    .o.   .o.  .of
get-organization-applications  ...    ...    .o.   .o.  .of
get-application                .of    .of    .of   .of  .of
get-default-application        .of    .of    .of   .of  .of
get-app-login                  .of    .of    .of   .of  .of
get-user-application           ...    s..    so.   so.  sof
add-application                ...    ...    .o.   .o.  .of
update-application             ...    ...    .o.   .o.  .of
delete-application             ...    ...    .o.   .o.  .of
get-certs                      ....   ....   .o.a  .o.a .ofa
get-global-certs               ....   ....   .o.a  .o.a .ofa
get-cert                       ....   ....   .o.a  .o.a .ofa
add-cert                       ....   ....   .o..  .o.. .ofa
update-cert                    ....   ....   .o..  .o.. .ofa
delete-cert                    ....   ....   .o..  .o.. .ofa
get-users                      ...    ...    so.   so.  sof
get-global-users               ...    ...    so.   so.  sof
get-sorted-users               ...    ...    so.   so.  sof
get-user-count                 ...    ...    .o.   .o.  .of
get-user                       ...    s..    so.   so.  sof
add-user                       ...    ...    .o.   .o.  .of
update-user                    ...    s..    so.   so.  sof
delete-user                    ...    ...    so.   so.  sof
get-tokens                     ...    ...    so.   so.  sof
get-token                      ...    ...    so.   so.  sof
add-token                      ...    ...    .o.   .o.  .of
update-token                   ...    ...    so.   so.  sof
delete-token                   ...    ...    so.   so.  sof
get-records                    ...    ...    .o.   .o.  .of
get-record                     ...    ...    .o.   .o.  .of
add-record                     ...    ...    .o.   .o.  .of
get-resources                  ...    s..    so.   so.  sof
get-resource                   ...    s..    so.   so.  sof
add-resource                   ...    ...    .o.   .o.  .of
update-resource                ...    ...    so.   so.  sof
delete-resource                ...    s..    so.   so.  sof
upload-resource                ...    s..    so.   so.  sof
`

// cells are the rules' server, with something of everything in three organizations.
type cells struct {
	*harness.Server
	auth map[string]string // role → the header Authorization
	made int               // rows that were added
}

func TestRules(t *testing.T) {
	t.Parallel()
	c := newCells(t)
	lines := strings.Split(strings.TrimSpace(mayDo), "\n")
	roles := strings.Fields(lines[0])[1:]
	var actions []string
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		require.Len(t, fields, len(roles)+1, line)
		actions = append(actions, fields[0])
		for i, role := range roles {
			for n, whose := range fields[len(roles)] { // global reaches whatever there is
				if whose == '.' {
					continue
				}
				want := fields[i+1][n] != '.'
				reply, got := c.try(t, role, fields[0], string(whose))
				assert.Equal(t, want, got, "%s: %s of %c: %s", role, fields[0], whose, reply.Body)
			}
		}
	}
	// Those of passwords and sessions are tried in tests of their own.
	actions = append(actions, "set-password", "check-user-password", "get-sessions", "get-session", "delete-session",
		"get-sign-ins")
	slices.Sort(actions)
	assert.Equal(t, object.Actions(), actions, "each rule stands in the test's own table")
}

func newCells(t *testing.T) *cells {
	const other, self, name = "other", "wechat-oSelf", "name"
	rows := harness.Rows{"organizations": {{"owner": "admin", name: other}}}
	for _, owner := range []string{harness.Organization, other} {
		rows["providers"] = append(rows["providers"], harness.Row{
			"owner": owner, name: "p-" + owner, "category": "OAuth", "type": "WeChatMiniProgram", "clientId": "wx-" + owner,
		})
		rows["certs"] = append(rows["certs"], harness.Row{"owner": owner, name: "c-" + owner, "cryptoAlgorithm": "ES256"})
		app := harness.App("a-"+owner, "client"+owner, "p-"+owner)
		app["organization"], app["redirectUris"] = owner, []string{"https://x.example/back"}
		app["createdTime"], app["cert"] = "2020-01-01T00:00:00Z", "c-"+owner
		rows["applications"] = append(rows["applications"], app)
		rows["users"] = append(rows["users"], harness.Row{
			"owner": owner, name: "u-" + owner, "signupApplication": "a-" + owner, "password": "secret-1",
		})
	}
	s := harness.Start(t, harness.Options{Rows: rows})
	admin := s.SignIn(t, "oAdmin").AccessToken
	s.Exec(t, "UPDATE user SET is_admin=1 WHERE name='wechat-oAdmin'")
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	return &cells{Server: s, auth: map[string]string{
		"nobody": "", "member": "Bearer " + s.SignIn(t, "oSelf").AccessToken, "admin": "Bearer " + admin,
		"app": basic(harness.ClientID, harness.ClientSecret),
		"global": basic(s.Value(t, "SELECT client_id FROM application WHERE name='app-built-in'"),
			s.Value(t, "SELECT client_secret FROM application WHERE name='app-built-in'")),
	}}
}

// try does something as a role, and reports whether it was let through and met what it is about.
func (c *cells) try(t *testing.T, role, action, whose string) (harness.Reply, bool) {
	t.Helper()
	owner := map[string]string{"s": harness.Organization, "o": harness.Organization, "f": "other", "a": "admin"}[whose]
	user := "u-" + owner
	if whose == "s" {
		user = "wechat-oSelf"
	}
	c.plant(t, owner, user)
	c.made++
	verb, what, _ := strings.Cut(action, "-")
	query, body := c.request(action, verb, strings.TrimSuffix(what, "s"), owner, user)
	method := http.MethodPost
	if verb == "get" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(t.Context(), method, c.URL+"/api/"+action+"?"+query.Encode(), nil)
	require.NoError(t, err)
	if body != nil {
		c.setBody(t, r, action, body)
	}
	if c.auth[role] != "" {
		r.Header.Set("Authorization", c.auth[role])
	}
	reply := c.Do(t, r)
	answer := reply.Map(t)
	if answer["status"] != "ok" {
		// What is in use cannot be deleted: that says so to those who may.
		return reply, strings.Contains(answer["msg"].(string), "cannot be deleted")
	}
	if action == "get-user-count" {
		return reply, answer["data"] != 0.0
	}
	if action == "delete-user" && whose == "s" {
		c.auth["member"] = "Bearer " + c.SignIn(t, "oSelf").AccessToken
	}
	if verb != "get" {
		return reply, answer["data"] != "Unaffected"
	}
	return reply, strings.Contains(reply.Body, `"name":"`+c.nameOf(strings.TrimSuffix(what, "s"), owner, user)+`"`)
}

// plant makes anew what an earlier cell may have deleted.
func (c *cells) plant(t *testing.T, owner, user string) {
	t.Helper()
	insert := "INSERT OR IGNORE INTO "
	if user != "wechat-oSelf" {
		c.Exec(t, insert+"user (owner, name, id, created_time, signup_application) VALUES (?, ?, ?, '2020', ?)",
			owner, user, "id-"+user, "a-"+owner)
	}
	c.Exec(t, insert+"token (owner, name, organization, application, user, expires_in) VALUES ('admin', ?, ?, ?, ?, 9)",
		"t-"+user, owner, "a-"+owner, user)
	c.Exec(t, insert+"resource (owner, name, user) VALUES (?, ?, ?)", owner, "r-"+user, user)
	c.Exec(t, "DELETE FROM record WHERE name=?", "rec-"+owner)
	c.Exec(t, insert+"record (owner, name, organization) VALUES (?, ?, ?)", owner, "rec-"+owner, owner)
}

// nameOf is the name of the row that a family has of somebody.
func (c *cells) nameOf(family, owner, user string) string {
	shared := map[string]string{"provider": harness.Provider, "cert": "cert-built-in"}
	if owner == "admin" {
		return shared[strings.TrimPrefix(family, "global-")]
	}
	return map[string]string{
		"organization": owner, "organization-name": owner, "provider": "p-" + owner, "application": "a-" + owner,
		"organization-application": "a-" + owner, "default-application": "a-" + owner, "app-login": "a-" + owner,
		"user-application": c.applicationOf(owner, user), "cert": "c-" + owner, "global-cert": "c-" + owner,
		"user": user, "global-user": user, "sorted-user": user, "token": "t-" + user, "record": "rec-" + owner,
		"resource": "r-" + user,
	}[family]
}

func (c *cells) applicationOf(owner, user string) string {
	if user == "wechat-oSelf" {
		return harness.Application
	}
	return "a-" + owner
}

// request is what a cell asks for.
func (c *cells) request(action, verb, family, owner, user string) (url.Values, any) {
	rowOwner := owner
	if slices.Contains([]string{"organization", "application", "token"}, family) {
		rowOwner = "admin"
	}
	name := c.nameOf(family, owner, user)
	query := url.Values{"id": {rowOwner + "/" + name}}
	body := harness.Row{"owner": rowOwner, "name": name, "displayName": "changed", "organization": owner}
	switch {
	case action == "get-app-login":
		return url.Values{
			"clientId": {"client" + owner}, "type": {"code"}, "responseType": {"code"},
			"redirectUri": {"https://x.example/back"},
		}, nil
	case action == "get-default-application":
		return url.Values{"id": {"admin/" + owner}}, nil
	case action == "get-user-application":
		return url.Values{"id": {owner + "/" + user}}, nil
	case action == "upload-resource":
		return url.Values{"owner": {owner}, "user": {user}, "tag": {"avatar"}}, body
	case action == "get-sorted-users":
		return url.Values{"owner": {owner}, "sorter": {"created_time"}, "limit": {"100"}}, nil
	case action == "get-organization-applications" || action == "get-applications":
		return url.Values{"owner": {"admin"}, "organization": {owner}}, nil
	case strings.HasSuffix(action, "s") || action == "get-user-count":
		return url.Values{"owner": {owner}}, nil
	case verb == "add":
		body["name"] = fmt.Sprintf("new-%d", c.made)
		delete(body, "displayName")
		if family == "cert" {
			body["cryptoAlgorithm"] = "ES256"
		}
		if family == "token" {
			body["application"] = "a-" + owner
		}
	case verb == "update":
		query.Set("columns", map[string]string{"token": "scope", "resource": "description"}[family])
		if query.Get("columns") == "" {
			query.Set("columns", "displayName")
		}
	case verb == "get":
		return query, nil
	}
	return query, body
}

func (c *cells) setBody(t *testing.T, r *http.Request, action string, body any) {
	t.Helper()
	if action != "upload-resource" {
		require.NoError(t, harness.SetBody(r, body))
		return
	}
	form := uploadForm(t, picturePart(pngOf(t, painted(color.White))))
	require.NoError(t, harness.SetBody(r, form))
}
