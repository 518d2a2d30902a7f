package test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// self is a user who changes the own account.
type self struct {
	*harness.Server
	token   string
	account map[string]any // as it was first
}

func newSelf(t *testing.T, s *harness.Server, openID string) self {
	t.Helper()
	token := s.SignIn(t, openID).AccessToken
	return self{s, token, s.Account(t, token)}
}

func (u self) id() string { return u.account["owner"].(string) + "/" + u.account["name"].(string) }

// update calls update-user with a query, and returns the answer's data, or its msg where it failed.
func (u self) update(t *testing.T, query string, body any) string {
	t.Helper()
	reply := u.Call(t, "POST", harness.PathUpdateUser+query, u.token, body)
	require.Equal(t, http.StatusOK, reply.Status, "Casdoor's SDKs read the body alone")
	answer := reply.Map(t)
	if answer["status"] == "ok" {
		return answer["data"].(string)
	}
	assert.Nil(t, answer["data"])
	return answer["msg"].(string)
}

// whole is the account sent back with changes.
func (u self) whole(changes map[string]any) map[string]any {
	body := maps.Clone(u.account)
	maps.Copy(body, changes)
	return body
}

// unchanged asserts that the account is as it was first.
func (u self) unchanged(t *testing.T) {
	t.Helper()
	assert.Equal(t, u.account, u.Account(t, u.token))
}

type fieldsOf = map[string]any

// What a user may do to the own account.
func TestUpdate(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for name, test := range map[string]func(*testing.T, *harness.Server){
		"forms": testUpdateForms, "of another": testUpdateOfAnother, "forbidden fields": testForbiddenFields,
		"fields": testFields, "temporary avatar": testTemporaryAvatar, "e-mail and password": testEmailAndPassword,
		"field twice": testFieldTwice, "profile": testProfileRoute,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

// The forms in which Casdoor's clients name the account and the fields.
func testUpdateForms(t *testing.T, s *harness.Server) {
	t.Parallel()
	newName := fieldsOf{"displayName": "New"}
	for name, c := range map[string]struct {
		query func(self) string
		body  func(self) any
	}{
		"by token alone": {nil, func(self) any { return newName }},
		"by id":          {func(u self) string { return "?id=" + u.id() }, func(self) any { return newName }},
		"by escaped id": {func(u self) string { return "?id=" + url.QueryEscape(u.id()) },
			func(self) any { return newName }},
		"by userId": {func(u self) string { return "?owner=shop&userId=" + u.account["id"].(string) },
			func(self) any { return newName }},
		"by owner and name": {nil, func(u self) any {
			return fieldsOf{"owner": u.account["owner"], "name": u.account["name"], "displayName": "New"}
		}},
		"whole": {func(u self) string { return "?id=" + u.id() },
			func(u self) any { return u.whole(newName) }},
		"whole without id": {nil, func(u self) any { return u.whole(newName) }},
		"whole with empty and null ones": {nil, func(u self) any {
			return u.whole(fieldsOf{"displayName": "New", "roles": nil, "address": nil, "balance": nil, "zzz": "",
				"password": "***"})
		}},
		"columns": {func(u self) string { return "?columns=displayName&id=" + u.id() },
			func(u self) any { return u.whole(newName) }},
		"snake columns": {func(u self) string { return "?columns=display_name,avatar&id=" + u.id() },
			func(self) any { return newName }},
		"columns spare others": {func(self) string { return "?columns=displayName" }, func(self) any {
			return fieldsOf{"displayName": "New", "score": 99, "bio": "not asked for"}
		}},
		"called text": {nil, func(self) any {
			return harness.Text{ContentType: "text/plain;charset=UTF-8", Body: `{"displayName":"New"}`}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newSelf(t, s, "oForm_"+strings.ReplaceAll(name, " ", "_"))
			query := ""
			if c.query != nil {
				query = c.query(u)
			}
			assert.Equal(t, "Affected", u.update(t, query, c.body(u)))
			account := s.Account(t, u.token)
			u.account["displayName"], u.account["updatedTime"] = "New", account["updatedTime"]
			assert.Equal(t, u.account, account, "nothing else has changed")
			assert.Equal(t, "Unaffected", u.update(t, query, c.body(u)), "the same once more")
		})
	}
}

func testUpdateOfAnother(t *testing.T, s *harness.Server) {
	t.Parallel()
	u := newSelf(t, s, "oMe")
	other := newSelf(t, s, "oOther")
	for name, c := range map[string]struct {
		query string
		body  fieldsOf
	}{
		"id":                 {"?id=" + other.id(), fieldsOf{"displayName": "x"}},
		"id, own body":       {"?id=" + other.id(), u.whole(fieldsOf{"displayName": "x"})},
		"id of nobody":       {"?id=shop/nobody", fieldsOf{"displayName": "x"}},
		"id without owner":   {"?id=wechat-oMe", fieldsOf{"displayName": "x"}},
		"userId":             {"?userId=" + other.account["id"].(string), fieldsOf{"displayName": "x"}},
		"owner":              {"?owner=built-in&userId=" + u.account["id"].(string), fieldsOf{"displayName": "x"}},
		"name in the body":   {"", fieldsOf{"owner": "shop", "name": "wechat-oOther", "displayName": "x"}},
		"owner in the body":  {"", fieldsOf{"owner": "built-in", "name": "wechat-oMe", "displayName": "x"}},
		"whole of the other": {"", other.whole(fieldsOf{"displayName": "x"})},
	} {
		assert.Equal(t, "Unauthorized operation", u.update(t, c.query, c.body), name)
	}
	u.unchanged(t)
	other.unchanged(t)
	reply := s.Call(t, "POST", harness.PathUpdateUser+"?id="+u.id(), "", fieldsOf{"displayName": "x"}).Map(t)
	assert.Equal(t, "error", reply["status"])
}

// Self may not change these, whatever else comes with them.
func testForbiddenFields(t *testing.T, s *harness.Server) {
	t.Parallel()
	u := newSelf(t, s, "oForbidden")
	byID := "?id=" + u.id()
	for field, value := range map[string]any{
		"name": "boss", "owner": "built-in", "id": "x", "wechat": "oVictim", "score": 1e6, "karma": 1, "ranking": 1,
		"properties": fieldsOf{"wechatOpenId": "oVictim"}, "phone": "13800000000", "countryCode": "CN", "isAdmin": true,
		"isForbidden": true, "isDeleted": true, "type": "x", "tag": "staff", "groups": []string{"shop/admins"},
		"balance":           1,
		"signupApplication": "x", "createdTime": "x", "passwordType": "plain", "passwordSalt": "x", "hash": "x",
		"emailVerified": true, "idCard": "x", "google": "x", "custom10": "x", "roles": []fieldsOf{{"name": "admin"}},
		"permissions": []fieldsOf{{"name": "all"}}, "totpSecret": "x", "recoveryCodes": []string{"x"},
		"accessToken":    "x",
		"invitationCode": "x", "ldap": "x", "realName": "x", "noSuchField": "x", "IsAdmin": true, "isAdmin ": true,
	} {
		want := field + " cannot be changed by the user"
		for _, query := range []string{byID, byID + "&columns=displayName," + url.QueryEscape(field)} {
			body := u.whole(fieldsOf{field: value, "displayName": "Changed"})
			if field == "IsAdmin" {
				delete(body, "isAdmin")
			}
			assert.Equal(t, want, u.update(t, query, body), field)
		}
	}
	u.unchanged(t)
}

// What self may change, and what may stand there.
func testFields(t *testing.T, s *harness.Server) {
	t.Parallel()
	u := newSelf(t, s, "oFields")
	long := strings.Repeat("长", 101)
	for field, values := range map[string]struct {
		good, bad []any
		stored    any // of the last good one; nil: as sent
	}{
		"displayName": {good: []any{"  小明 "}, bad: []any{"", " ", long, "a\tb", "\u200b", 1, nil, []string{"a"}},
			stored: "小明"},
		"avatar": {good: []any{"https://example.com/a.png?x=1"}, bad: []any{
			"http://example.com/a.png", "http://tmp/a.jpg", "wxfile://a", "data:image/png;base64,AA", "/a.png",
			"https://", "https://a b", "https://me:pw@example.com/", 1,
		}},
		"firstName":   {good: []any{"Ming"}, bad: []any{long, "a\nb", 1}},
		"lastName":    {good: []any{"Xiao"}, bad: []any{long}},
		"gender":      {good: []any{"Female"}, bad: []any{long, true}},
		"birthday":    {good: []any{"2000-02-29"}, bad: []any{long}},
		"region":      {good: []any{"CN"}, bad: []any{long}},
		"location":    {good: []any{"广州"}, bad: []any{long}},
		"language":    {good: []any{"zh"}, bad: []any{long}},
		"bio":         {good: []any{"two\nlines"}, bad: []any{long}, stored: "two lines"},
		"homepage":    {good: []any{"https://example.com"}, bad: []any{"javascript:alert(1)", "example.com", long}},
		"title":       {good: []any{"Dr."}, bad: []any{long}},
		"affiliation": {good: []any{"ACME"}, bad: []any{long}},
		"education":   {good: []any{"PhD"}, bad: []any{long}},
		"address": {good: []any{[]any{"Street 1", "Town"}},
			bad: []any{"Street 1", []any{long}, []any{1}, make([]any, 11)}},
		"email": {good: []any{"a@example.com"}, bad: []any{"a", "a@", "A <a@example.com>", long}},
	} {
		for _, value := range values.good {
			require.Equal(t, "Affected", u.update(t, "", fieldsOf{field: value}), field)
		}
		want := values.stored
		if want == nil {
			want = values.good[len(values.good)-1]
		}
		assert.Equal(t, want, s.Account(t, u.token)[field])
		for _, value := range values.bad {
			answer := u.update(t, "", fieldsOf{field: value})
			assert.True(t, strings.HasPrefix(answer, field+" "), "%s=%v: %s", field, value, answer)
		}
		assert.Equal(t, want, s.Account(t, u.token)[field], "a bad value changes nothing")
	}
}

func testTemporaryAvatar(t *testing.T, s *harness.Server) {
	t.Parallel()
	u := newSelf(t, s, "oTemporary")
	for _, avatar := range []string{"http://tmp/a.jpg", "wxfile://tmp_a.jpg"} {
		assert.Contains(t, u.update(t, "", fieldsOf{"avatar": avatar}), "/api/mini-program/avatar")
		reply := s.Call(t, "POST", harness.PathProfile, u.token, fieldsOf{"avatarUrl": avatar, "nickName": "x"})
		assert.Equal(t, http.StatusBadRequest, reply.Status)
		assert.Contains(t, reply.Map(t)["msg"], "/api/mini-program/avatar")
	}
	u.unchanged(t)
}

func testEmailAndPassword(t *testing.T, s *harness.Server) {
	t.Parallel()
	u := newSelf(t, s, "oSecrets")
	s.Exec(t, "UPDATE user SET email='old@example.com', email_verified=1 WHERE name='wechat-oSecrets'")
	assert.Equal(t, true, s.Account(t, u.token)["emailVerified"])
	assert.Equal(t, "Affected", u.update(t, "", fieldsOf{"email": "new@example.com"}))
	assert.Equal(t, false, s.Account(t, u.token)["emailVerified"], "the new one is not verified")

	for _, bad := range []any{"short", strings.Repeat("x", 73), 1} {
		assert.Contains(t, u.update(t, "", fieldsOf{"password": bad}), "password must")
	}
	assert.Equal(t, "Affected", u.update(t, "", fieldsOf{"password": "correct horse"}))
	assert.Equal(t, "***", s.Account(t, u.token)["password"])
	hash := s.Value(t, "SELECT password FROM user WHERE name='wechat-oSecrets'")
	assert.True(t, strings.HasPrefix(hash, "$2a$"), "a hash")
	for _, unchanged := range []any{"***", "", nil} {
		assert.Equal(t, "Unaffected", u.update(t, "", fieldsOf{"password": unchanged}))
	}
	assert.Equal(t, hash, s.Value(t, "SELECT password FROM user WHERE name='wechat-oSecrets'"))
}

// Nobody must be told two things about one field.
func testFieldTwice(t *testing.T, s *harness.Server) {
	t.Parallel()
	u := newSelf(t, s, "oTwice")
	answer := u.update(t, "", fieldsOf{"displayName": "a", "displayname": "b"})
	assert.Equal(t, "displayName is there more than once", answer)
	u.unchanged(t)
}

// Who sends an account back need not have read it since: the server's own times are no change of the user's.
func TestUpdateUserWithOlderAccount(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := harness.Start(t, harness.Options{Now: clock.Now})
	u := newSelf(t, s, "oOlder")
	for _, name := range []string{"First", "Second"} {
		clock.Advance(1e9)
		assert.Equal(t, "Affected", u.update(t, "?id="+u.id(), u.whole(fieldsOf{"displayName": name})))
	}
	clock.Advance(1e9)
	s.SignIn(t, "oOlder")
	assert.Equal(t, "Affected", u.update(t, "?id="+u.id(), u.whole(fieldsOf{"displayName": "Third"})))
	account := s.Account(t, u.token)
	assert.NotEqual(t, u.account["updatedTime"], account["updatedTime"])
	assert.NotEqual(t, u.account["lastSigninTime"], account["lastSigninTime"])
}

// An organization's account items take fields away from its users, on every way in.
func TestModifyRules(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Organization: harness.Row{"accountItems": []harness.Row{
		{"name": "Display name", "visible": true, "viewRule": "Public", "modifyRule": "Admin"},
		{"name": "Avatar", "visible": true, "viewRule": "Public", "modifyRule": "Immutable"},
		{"name": "Bio", "visible": true, "viewRule": "Public", "modifyRule": "Self", "regex": "^[a-z ]+$"},
	}}})
	u := newSelf(t, s, "oRules")
	avatar := "https://example.com/a.png"
	assert.Equal(t, "displayName cannot be changed by the user (modify rule Admin)",
		u.update(t, "", fieldsOf{"displayName": "x", "bio": "fine"}))
	assert.Equal(t, "avatar cannot be changed by the user (modify rule Immutable)",
		u.update(t, "", fieldsOf{"avatar": avatar}))
	assert.Contains(t, u.update(t, "", fieldsOf{"bio": "NOT FINE"}), "bio does not have the form")
	reply := s.Call(t, "POST", harness.PathProfile, u.token, fieldsOf{"nickName": "x"})
	assert.Equal(t, http.StatusBadRequest, reply.Status)
	u.unchanged(t)
	form := harness.SignInForm(s.NewCode("oRules"))
	form.Set("username", "x")
	form.Set("avatar", avatar)
	account := s.Account(t, s.Call(t, "POST", harness.PathToken, "", form).Tokens(t).AccessToken)
	assert.Empty(t, account["displayName"])
	assert.Empty(t, account["avatar"])
	assert.Equal(t, "Affected", u.update(t, "", fieldsOf{"bio": "fine", "title": "x"}))
}

func testProfileRoute(t *testing.T, s *harness.Server) {
	t.Parallel()
	u := newSelf(t, s, "oRoute")
	const grey = "https://thirdwx.qlogo.cn/mmopen/vi_32/" +
		"POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSyXwibcPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg/132"
	call := func(body any) harness.Reply { return s.Call(t, "POST", harness.PathProfile, u.token, body) }
	account := func(body any) map[string]any {
		reply := call(body).Map(t)
		require.Equal(t, "ok", reply["status"], reply["msg"])
		return reply["data"].(map[string]any)
	}
	assert.Equal(t, "Form", account(url.Values{"nickName": {"Form"}})["displayName"])
	assert.Equal(t, "Multi", account(multipartBody(t, url.Values{"nickName": {"Multi"}}))["displayName"])
	both := account(fieldsOf{"nickName": " Both ", "avatarUrl": "https://example.com/b.png"})
	assert.Equal(t, "Both", both["displayName"])
	assert.Equal(t, "https://example.com/b.png", both["avatar"])
	same := account(fieldsOf{"nickName": "微信用户", "avatarUrl": grey})
	assert.Equal(t, both, same, "placeholders are no profile")
	assert.Equal(t, both, account(fieldsOf{"nickName": "Both", "gender": 1, "city": "广州"}),
		"what wx sends besides is no matter")
	long := account(fieldsOf{"avatarUrl": "https://example.com/" + strings.Repeat("x", 400)})
	assert.Len(t, long["avatar"], 420)

	unchosen := account(fieldsOf{"nickName": "Named", "avatarUrl": ""})
	assert.Equal(t, "Named", unchosen["displayName"])
	assert.Equal(t, long["avatar"], unchosen["avatar"], "chooseAvatar was cancelled")
	long = account(fieldsOf{"nickName": "", "avatarUrl": long["avatar"]})
	assert.Equal(t, unchosen, long)

	for message, body := range map[string]any{
		"nickName or avatarUrl is required": fieldsOf{"nickName": "", "avatarUrl": nil},
		"nickName must have":                fieldsOf{"nickName": "   "},
		"nickName is longer than 100":       fieldsOf{"nickName": strings.Repeat("长", 101)},
		"avatarUrl must be":                 fieldsOf{"avatarUrl": "ftp://x", "nickName": "fine"},
		"must be a text":                    fieldsOf{"nickName": fieldsOf{}},
	} {
		reply := call(body)
		assert.Equal(t, http.StatusBadRequest, reply.Status)
		assert.Contains(t, reply.Map(t)["msg"], message)
	}
	assert.Equal(t, long, s.Account(t, u.token), "all or nothing")
}
