package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"xorm.io/xorm"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testAccount(t *testing.T) {
	n := s.tenant(t, setup{organization: row{"masterPassword": "MASTER", "displayName": "小店 🐼"}})
	p := n.principal(t, n.signIn(t, "oAlice"))
	n.exec(t, 1, `UPDATE "user" SET password='HASH', password_salt='SALT', totp_secret='TOTP' WHERE owner=?`, n.name)

	t.Run("own account", func(t *testing.T) {
		userText, orgText, err := n.service.Account(t.Context(), n.principal(t, n.signIn(t, "oAlice")))
		require.NoError(t, err)
		var user sdk.User
		var org sdk.Organization
		require.NoError(t, errors.Join(json.Unmarshal(userText, &user), json.Unmarshal(orgText, &org)))
		assert.Equal(t, p.User.Id, user.Id)
		assert.Equal(t, []string{"***", "", ""}, []string{user.Password, user.PasswordSalt, user.TotpSecret})
		assert.Equal(t, []string{}, user.Address)
		assert.Equal(t, []string{}, user.Groups)
		assert.Equal(t, "小店 🐼", org.DisplayName)
		assert.Equal(t, "***", org.MasterPassword)
	})
	t.Run("every field that is filled", func(t *testing.T) { testFilledFields(t, n) })
	t.Run("user by name and by id", func(t *testing.T) { testFindUser(t, n, p) })
	t.Run("userinfo", func(t *testing.T) { testUserinfo(t, n) })
	t.Run("every text in every script", func(t *testing.T) { testTexts(t, n) })
}

// testFilledFields fills one field of a user at a time: neither the account nor the claims of the next token must miss
// one that is empty for nearly everybody.
func testFilledFields(t *testing.T, n *tenant) {
	token := n.signIn(t, "oFilled")
	claims := decode(t, token.AccessToken)
	engine, err := xorm.NewEngine("sqlite", ":memory:") // for the names of the columns
	require.NoError(t, err)
	defer func() { _ = engine.Close() }()
	info, err := engine.TableInfo(new(sdk.User))
	require.NoError(t, err)
	for _, column := range info.Columns() {
		field, _ := reflect.TypeFor[sdk.User]().FieldByName(column.FieldName)
		value, ok := map[reflect.Kind]any{reflect.String: "x", reflect.Bool: true, reflect.Int: 7}[field.Type.Kind()]
		if !ok || slices.Contains([]string{"owner", "name", "id", "is_forbidden", "is_deleted"}, column.Name) {
			continue
		}
		set := fmt.Sprintf(`UPDATE "user" SET "%s"=? WHERE owner=? AND name=?`, column.Name)
		n.exec(t, 1, set, value, n.name, token.UserName)
		user := reflect.ValueOf(n.principal(t, token).User).Elem()
		assert.EqualValues(t, value, user.FieldByIndex(field.Index).Interface(), field.Name)
		claim := field.Tag.Get("json")
		_, claimed := claims[claim]
		if claimed && !hiddenOrRenewed(column.Name) {
			assert.EqualValues(t, value, decode(t, n.signIn(t, "oFilled").AccessToken)[claim], claim)
		}
		n.exec(t, 1, set, reflect.Zero(field.Type).Interface(), n.name, token.UserName)
	}
	n.exec(t, 1, `UPDATE "user" SET "groups"=? WHERE owner=? AND name=?`, `["staff"]`, n.name, token.UserName)
	assert.Equal(t, []string{"staff"}, n.principal(t, token).User.Groups)
	assert.Equal(t, []any{"staff"}, decode(t, n.signIn(t, "oFilled").AccessToken)["groups"])
}

// hiddenOrRenewed reports whether a claim is always empty, or set by the sign-in.
func hiddenOrRenewed(column string) bool {
	return slices.Contains([]string{
		"password", "password_salt", "password_type", "hash", "pre_hash", "totp_secret",
		"last_signin_time", "last_signin_ip",
	}, column)
}

func testFindUser(t *testing.T, n *tenant, p *object.Principal) {
	find := func(c *object.Caller, field, value string) (*sdk.User, error) {
		return n.service.FindUser(t.Context(), c, n.name, field, value)
	}
	n.exec(t, 1, `UPDATE "user" SET email='f@example.com', phone='13800000001' WHERE id=?`, p.User.Id)
	byName, err := find(n.app(), "name", p.User.Name)
	require.NoError(t, err)
	assert.Equal(t, "***", byName.Password)
	for field, value := range map[string]string{
		"id": p.User.Id, "email": "f@example.com", "phone": "13800000001", "wechat": byName.WeChat,
	} {
		found, err := find(n.app(), field, value)
		require.NoError(t, err, field)
		assert.Equal(t, byName, found, field)
		for _, nobody := range []string{"", " ", "\u200b", "nobody"} { // MySQL takes blanks for the empty text
			_, err = find(n.app(), field, nobody)
			assert.ErrorIs(t, err, object.ErrNotFound, field)
		}
	}
	_, err = find(n.app(), "name", "nobody")
	assert.ErrorIs(t, err, object.ErrNotFound)
	_, err = find(n.app(), "password", "x")
	assertRefused(t, err, object.InvalidRequest)
	other := n.suite.tenant(t, setup{})
	for _, name := range []string{p.User.Name, "nobody"} {
		_, err = find(other.app(), "name", name)
		assertRefused(t, err, object.AccessDenied)
		_, err = find(other.app(), "id", name)
		assertRefused(t, err, object.AccessDenied)
	}
	_, err = find(&object.Caller{Role: object.Global, Organization: "built-in"}, "name", p.User.Name)
	assert.NoError(t, err, "the built-in application may see all organizations")
}

func testUserinfo(t *testing.T, n *tenant) {
	token := n.signIn(t, "oInfo")
	n.exec(t, 1, `UPDATE "user" SET email='i@example.com', display_name='Info', phone='1' WHERE owner=? AND name=?`,
		n.name, token.UserName)
	p := n.principal(t, token)
	info, err := n.service.Userinfo(t.Context(), p, issuer)
	require.NoError(t, err)
	assert.Equal(t, &sdk.Userinfo{Sub: p.User.Id, Iss: issuer, Aud: "app-" + n.name}, info, "no scope, no claims")
	n.exec(t, 1, `UPDATE "token" SET scope='profile email phone' WHERE "user"=? AND organization=?`,
		token.UserName, n.name)
	info, err = n.service.Userinfo(t.Context(), n.principal(t, token), issuer)
	require.NoError(t, err)
	assert.Equal(t, []string{"wechat-oInfo", "Info", "i@example.com", "1"},
		[]string{info.Name, info.DisplayName, info.Email, info.Phone})
}

// testTexts writes a text with characters of four bytes to every text column of a user, and reads it.
func testTexts(t *testing.T, n *tenant) {
	const text = "中🐼👍🏽"
	want := &sdk.User{Owner: n.name, Name: text, Properties: map[string]string{text: text}}
	v := reflect.ValueOf(want).Elem()
	data := row{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Type.Kind() != reflect.String || field.Name == "Owner" {
			continue
		}
		v.Field(i).SetString(text)
		data[field.Tag.Get("json")] = text
	}
	want.Address, want.Groups = []string{text, ""}, []string{text}
	data["address"], data["groups"], data["properties"] = want.Address, want.Groups, want.Properties
	data["owner"] = n.name
	data["password"] = "" // which is stored as a hash
	n.apply(t, row{"users": []row{data}})
	got := n.find(t, text)
	hidden := []string{
		"Password", "PasswordSalt", "PasswordType", "Hash", "PreHash", "TotpSecret", "AccessToken", "OriginalToken",
		"OriginalRefreshToken",
	}
	for i := range v.NumField() {
		if field := v.Type().Field(i); field.Type.Kind() == reflect.String && !slices.Contains(hidden, field.Name) {
			assert.Equal(t, v.Field(i).String(), reflect.ValueOf(got).Elem().Field(i).String(), field.Name)
		}
	}
	assert.Equal(t, want.Address, got.Address)
	assert.Equal(t, want.Groups, got.Groups)
	assert.Equal(t, want.Properties, got.Properties)
}
