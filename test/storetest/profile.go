package storetest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testProfile(t *testing.T) {
	n := s.tenant(t, setup{})
	for name, test := range map[string]func(*testing.T, *tenant){
		"EveryField":    testEveryField,
		"WholeAccount":  testWholeAccount,
		"Columns":       testColumnNames,
		"RefusedFields": testRefusedFields,
		"BadValues":     testBadValues,
		"Placeholders":  testPlaceholders,
		"Password":      testPassword,
		"Email":         testEmail,
		"WXProfile":     testWXProfile,
		"Renamed":       testRenamed,
		"FormerAvatar":  testFormerAvatar,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, n)
		})
	}
	t.Run("ModifyRules", s.testModifyRules)
}

// update sends fields as a client does: as JSON.
func (n *tenant) update(t *testing.T, p *object.Principal, account row, columns ...string) (bool, error) {
	t.Helper()
	fields := map[string]json.RawMessage{}
	for name, value := range account {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		fields[name] = text
	}
	return n.service.UpdateAccount(t.Context(), p, fields, columns)
}

// stored is the user's row.
func (n *tenant) stored(t *testing.T, p *object.Principal) map[string]string {
	t.Helper()
	return n.row(t, `SELECT * FROM "user" WHERE owner=? AND name=?`, n.name, p.User.Name)
}

func testEveryField(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oEveryField"))
	account := row{
		"displayName": "小明 🐼", "avatar": "https://example.com/a.png", "firstName": "明", "lastName": "小",
		"gender": "other", "birthday": "2001-02-03", "region": "CN", "location": "深圳", "language": "zh",
		"bio": "一\n二", "homepage": "https://example.com", "title": "Dr.", "affiliation": "大学", "education": "PhD",
		"address": []string{"南山区", "1 🏠"},
	}
	changed, err := n.update(t, p, account)
	require.NoError(t, err)
	assert.True(t, changed)
	account["bio"] = "一 二" // one line
	text, err := json.Marshal(n.find(t, p.User.Name))
	require.NoError(t, err)
	var read row
	require.NoError(t, json.Unmarshal(text, &read))
	account["address"] = []any{"南山区", "1 🏠"}
	for name, want := range account {
		assert.Equal(t, want, read[name], name)
		assert.NotNil(t, read[name], name)
	}
	assert.Equal(t, "小明 🐼", p.User.DisplayName, "the principal is up to date")
	changed, err = n.update(t, p, account)
	require.NoError(t, err)
	assert.False(t, changed, "the same again")
}

// testRenamed has an admin rename a user between the look at the token and the update: that is not to be lost.
func testRenamed(t *testing.T, n *tenant) {
	tokens := n.signIn(t, "oRenamed")
	p := n.principal(t, tokens)
	renamed, err := n.service.Users().Update(t.Context(), n.app(), n.name, p.User.Name, []string{"name"},
		jsonOf(t, row{"name": "renamed"}))
	require.NoError(t, err)
	require.True(t, renamed)
	for _, change := range []row{{"bio": "new"}, {"email": "renamed@example.com"}} {
		_, err = n.update(t, p, change)
		assert.True(t, object.IsUnavailable(err), "%v", err)
	}
	p = n.principal(t, tokens)
	_, err = n.update(t, p, row{"bio": "new"})
	require.NoError(t, err)
	assert.Equal(t, "new", n.stored(t, p)["bio"])
}

// testWholeAccount sends the account back as it was read, with one field changed, as Casdoor's SDKs do.
func testWholeAccount(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oWhole uWhole"))
	text, _, err := n.service.Account(t.Context(), p)
	require.NoError(t, err)
	before := n.stored(t, p)
	var fields row
	require.NoError(t, json.Unmarshal(text, &fields))
	changed, err := n.update(t, p, fields)
	require.NoError(t, err)
	assert.False(t, changed)
	fields["displayName"] = "Whole"
	fields["groups"], fields["roles"] = nil, nil // some clients send null for what is empty
	changed, err = n.update(t, p, fields)
	require.NoError(t, err)
	assert.True(t, changed)
	after := n.stored(t, p)
	before["display_name"], before["updated_time"] = "Whole", after["updated_time"]
	assert.Equal(t, before, after, "nothing else has changed")
	changed, err = n.update(t, p, row{"updatedTime": "2000", "lastSigninTime": "2000", "lastSigninIp": "::1"})
	require.NoError(t, err, "an account that was read before the last sign-in may be sent back")
	assert.False(t, changed)
}

func testColumnNames(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oColumns"))
	fields := row{"displayName": "Columns", "bio": "not this", "score": 99, "isAdmin": true, "firstName": "Columns"}
	changed, err := n.update(t, p, fields, "display_name")
	require.NoError(t, err)
	assert.True(t, changed)
	changed, err = n.update(t, p, fields, "firstName", "displayName")
	require.NoError(t, err)
	assert.True(t, changed)
	after := n.stored(t, p)
	assert.Equal(t, []string{"Columns", "Columns", ""}, []string{after["display_name"], after["first_name"], after["bio"]})
	assert.Equal(t, "0", after["score"])
	_, err = n.update(t, p, fields, "display_name", "score")
	assertRefused(t, err, object.AccessDenied, "score")
	_, err = n.update(t, p, fields, "is_admin")
	assertRefused(t, err, object.AccessDenied, "isAdmin")
}

// testRefusedFields tries everything that is not the user's to change, each beside a field that is.
func testRefusedFields(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oRefusedFields"))
	before := n.stored(t, p)
	for name, value := range map[string]any{
		"owner": "built-in", "name": "admin", "id": "another", "externalId": "x", "type": "paid-user", "phone": "1",
		"countryCode": "CN", "wechat": "oSomebodyElse", "github": "x", "custom": "x", "properties": row{"wechatOpenId": "oX"},
		"score": 9999, "karma": 1, "ranking": 1, "balance": 1.5, "isAdmin": true, "isForbidden": true, "isDeleted": true,
		"isVerified": true, "emailVerified": true, "idCard": "1", "realName": "x", "tag": "staff",
		"groups": []string{"admins"},
		"roles":  []row{{"name": "admin"}}, "permissions": []row{{"name": "all"}}, "signupApplication": "app-built-in",
		"passwordType": "plain", "passwordSalt": "x", "hash": "x", "totpSecret": "x", "ldap": "x", "createdTime": "2000",
		"createdIp": "::1", "accessToken": "x", "permanentAvatar": "x", "WECHAT": "oSomebodyElse",
		"noSuchField": "x",
	} {
		changed, err := n.update(t, p, row{"displayName": "Refused", name: value})
		assertRefused(t, err, object.AccessDenied, name)
		assert.False(t, changed)
	}
	assert.Equal(t, before, n.stored(t, p), "nothing was applied")
}

func testBadValues(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oBadValues"))
	before := n.stored(t, p)
	for name, values := range map[string][]any{
		"displayName": {"", "   ", "\u200d", "two\nlines", "a\u202eb", strings.Repeat("字", 101), 5, []string{"x"}, nil, 0, false},
		"avatar": {
			"http://example.com/a.png", "http://tmp/a.png", "wxfile://tmp_a.png", "javascript:alert(1)", "https://",
			"https://user:pass@example.com/a.png", "https://example.com/" + strings.Repeat("a", 1000),
		},
		"homepage": {"javascript:alert(1)", "example.com"},
		"email":    {"no address", "Alice <alice@example.com>", "a@example.com, b@example.com", false},
		"password": {"short", strings.Repeat("x", 73), 0, false},
		"gender":   {5, true, row{"a": 1}, 0, false, []string{}, row{}}, // the last four are as empty as it is
		"firstName": {
			strings.Repeat("x", 101), "\x00", row{"a": 1},
		},
		"address": {"one line", []string{strings.Repeat("x", 101)}, make([]string, 11), []int{1}, "", 0, row{}},
	} {
		for _, value := range values {
			if (name == "displayName" || name == "avatar") && (value == "" || value == nil) {
				continue // is what it is already
			}
			changed, err := n.update(t, p, row{"bio": "Bad", name: value})
			assertRefused(t, err, object.InvalidRequest, name)
			assert.False(t, changed)
		}
	}
	assert.Equal(t, before, n.stored(t, p), "nothing was applied")
	_, err := n.update(t, p, row{"avatar": "http://tmp/a.png"})
	assertRefused(t, err, object.InvalidRequest, "upload")
	_, err = n.update(t, p, row{"displayName": "One", "DisplayName": "Two"})
	assertRefused(t, err, object.InvalidRequest, "displayName")
}

func testPlaceholders(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oPlaceholders"))
	_, err := n.update(t, p, row{"displayName": "Alice", "avatar": "https://example.com/a.png"})
	require.NoError(t, err)
	before := n.stored(t, p)
	changed, err := n.update(t, p, row{"displayName": "微信用户", "avatar": "https://thirdwx.qlogo.cn/grey"})
	require.NoError(t, err)
	assert.False(t, changed)
	assert.Equal(t, before, n.stored(t, p))
	changed, err = n.update(t, p, row{"displayName": " 微信用户 ", "bio": "Hi"})
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, []string{"Alice", "Hi"}, []string{n.stored(t, p)["display_name"], n.stored(t, p)["bio"]})
}

// A phone that was away sends the avatar that it shows, while another one has sent a new picture since.
func testFormerAvatar(t *testing.T, n *tenant) {
	n = n.suite.tenant(t, setup{files: filesFor(t)})
	p := n.principal(t, n.signIn(t, "oTwoPhones"))
	former, now := n.upload(t, p), n.upload(t, p)
	changed, err := n.update(t, p, row{"displayName": "Alice", "avatar": former.URL})
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, []string{"Alice", now.URL}, []string{n.stored(t, p)["display_name"], n.stored(t, p)["avatar"]})
	again := n.request(t, "oTwoPhones")
	again.Nickname, again.Avatar = "Alice A.", former.URL
	n.send(t, again)
	assert.Equal(t, []string{"Alice A.", now.URL}, []string{n.stored(t, p)["display_name"], n.stored(t, p)["avatar"]})
	_, err = n.service.Users().Update(t.Context(), n.app(), n.name, p.User.Name, nil,
		jsonOf(t, row{"score": 7, "avatar": former.URL})) // as a back end that has read the user before
	require.NoError(t, err)
	assert.Equal(t, []string{"7", now.URL}, []string{n.stored(t, p)["score"], n.stored(t, p)["avatar"]})
	require.NoError(t, n.service.Users().Add(t.Context(), n.app(),
		jsonOf(t, row{"owner": n.name, "name": "moved", "avatar": former.URL})))
	assert.Equal(t, former.URL, n.find(t, "moved").Avatar, "the files of a new user may come from elsewhere")
	state := n.row(t, "SELECT state FROM mini_program_upload WHERE file_key=?", now.Key)["state"]
	assert.Equal(t, "used", state, "its files stay")

	other := n.principal(t, n.signIn(t, "oOther"))
	for _, address := range []string{now.URL, "https://elsewhere.example/" + former.Key} {
		_, err = n.update(t, other, row{"avatar": address})
		require.NoError(t, err)
		assert.Equal(t, address, n.stored(t, other)["avatar"])
	}
}

func testPassword(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oPassword"))
	n.exec(t, 1, `UPDATE "user" SET password_salt='old' WHERE owner=? AND name=?`, n.name, p.User.Name)
	changed, err := n.update(t, p, row{"password": "correct 🐎 battery"})
	require.NoError(t, err)
	assert.True(t, changed)
	after := n.stored(t, p)
	assert.NoError(t, bcrypt.CompareHashAndPassword([]byte(after["password"]), []byte("correct 🐎 battery")))
	assert.Equal(t, []string{"bcrypt", ""}, []string{after["password_type"], after["password_salt"]})
	for _, unchanged := range []any{"***", "", nil} {
		changed, err = n.update(t, p, row{"password": unchanged})
		require.NoError(t, err)
		assert.False(t, changed, "%v is no password", unchanged)
	}
	_, err = n.update(t, p, row{"password": "who finds a token"})
	assertRefused(t, err, object.AccessDenied, "set-password")
	assert.Equal(t, after["password"], n.stored(t, p)["password"])
}

func testEmail(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oEmail"))
	n.exec(t, 1, `UPDATE "user" SET email='old@example.com', email_verified=? WHERE owner=? AND name=?`,
		true, n.name, p.User.Name)
	p = n.principal(t, n.signIn(t, "oEmail"))
	changed, err := n.update(t, p, row{"email": "old@example.com", "emailVerified": true})
	require.NoError(t, err)
	assert.False(t, changed)
	changed, err = n.update(t, p, row{"email": "new@example.com", "emailVerified": true})
	require.NoError(t, err)
	assert.True(t, changed)
	user := n.find(t, p.User.Name)
	assert.Equal(t, "new@example.com", user.Email)
	assert.False(t, user.EmailVerified)

	// An address that two users had would sign in neither.
	other := n.principal(t, n.signIn(t, "oOtherEmail"))
	for _, spelled := range []string{"new@example.com", "New@Example.com"} {
		_, err = n.update(t, other, row{"email": spelled, "bio": "me"})
		assertRefused(t, err, object.InvalidRequest, "email is another user's")
	}
	_, err = n.service.Users().Update(t.Context(), n.app(), n.name, other.User.Name, []string{"email"},
		jsonOf(t, row{"email": "new@example.com"}))
	assertRefused(t, err, object.InvalidRequest, "email is another user's")
	stored := n.find(t, other.User.Name)
	assert.Empty(t, stored.Email+stored.Bio)
	stranger := n.suite.tenant(t, setup{}) // another organization
	_, err = stranger.update(t, stranger.principal(t, stranger.signIn(t, "oEmail")), row{"email": "new@example.com"})
	require.NoError(t, err)
}

func testWXProfile(t *testing.T, n *tenant) {
	p := n.principal(t, n.signIn(t, "oWXProfile"))
	changed, err := n.service.UpdateProfile(t.Context(), p, []object.Change{
		{Field: "displayName", Value: "小明"}, {Field: "avatar", Value: "https://example.com/a.png"},
	})
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, "小明", n.find(t, p.User.Name).DisplayName)
	changed, err = n.service.UpdateProfile(t.Context(), p, nil)
	require.NoError(t, err)
	assert.False(t, changed)
	_, err = n.service.UpdateProfile(t.Context(), p, []object.Change{{Field: "score", Value: "1"}})
	assertRefused(t, err, object.AccessDenied, "score")
}

func (s *suite) testModifyRules(t *testing.T) {
	t.Parallel()
	n := s.tenant(t, setup{organization: row{"accountItems": []row{
		{"name": "Bio", "modifyRule": "Admin"}, {"name": "Gender", "modifyRule": "Immutable"},
		{"name": "Title", "modifyRule": "Self", "regex": "^(Dr|Prof)$"}, {"name": "Language", "modifyRule": "Self"},
	}}})
	p := n.principal(t, n.signIn(t, "oRules"))
	before := n.stored(t, p)
	for name, code := range map[string]object.ErrorCode{
		"bio": object.AccessDenied, "gender": object.AccessDenied, "title": object.InvalidRequest,
	} {
		_, err := n.update(t, p, row{"language": "zh", name: "x"})
		assertRefused(t, err, code, name)
	}
	assert.Equal(t, before, n.stored(t, p))
	changed, err := n.update(t, p, row{"language": "zh", "title": "Dr", "education": "no rule"})
	require.NoError(t, err)
	assert.True(t, changed)
}
