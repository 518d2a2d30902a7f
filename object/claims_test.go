package object

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secretive is a user whose every secret column is filled.
func secretive() *sdk.User {
	return &sdk.User{
		Owner: "org", Name: "wechat-oAlice", Id: "id", DisplayName: "小明 \"<&>\u2028", Email: "a@example.com",
		EmailVerified: true, Gender: "other", Address: []string{"1", "2"}, Score: -3, Tag: "staff", IsAdmin: true,
		Properties: map[string]string{
			"color": "red", "jti": "stolen", "EXP": "stolen", "owner": "stolen", "Name": "stolen", "id": "stolen",
		},
		Password: "SECRET", PasswordSalt: "SECRET", PasswordType: "SECRET", Hash: "SECRET", PreHash: "SECRET",
		TotpSecret: "SECRET", AccessToken: "SECRET", OriginalToken: "SECRET", OriginalRefreshToken: "SECRET",
		RecoveryCodes: []string{"SECRET"}, ManagedAccounts: []sdk.ManagedAccount{{Password: "SECRET"}},
		MfaAccounts: []sdk.MfaAccount{{SecretKey: "SECRET"}},
	}
}

func encode(t *testing.T, w *claimWriter, app *sdk.Application, user *sdk.User, scope string) map[string]any {
	t.Helper()
	at := jwt.NewNumericDate(time.Unix(1700000000, 0))
	text, err := w.encode(app, user, grantClaims{
		TokenType: accessTokenType, Scope: scope, Azp: "client",
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: user.Id, ID: "admin/x", Audience: jwt.ClaimStrings{"client"}, IssuedAt: at,
		},
	})
	require.NoError(t, err)
	assert.NotContains(t, string(text), "SECRET")
	var claims map[string]any
	require.NoError(t, json.Unmarshal(text, &claims))
	return claims
}

func TestEncode(t *testing.T) {
	t.Parallel()
	w := newClaimWriter()
	user := secretive()
	full := encode(t, w, &sdk.Application{}, user, "read")
	short := encode(t, w, &sdk.Application{TokenFormat: "JWT-Empty"}, user, "read")
	standard := encode(t, w, &sdk.Application{TokenFormat: "JWT-Standard"}, user, "profile address")
	bare := encode(t, w, &sdk.Application{TokenFormat: "JWT-Standard"}, user, "")
	for _, claims := range []map[string]any{full, short, standard, bare} {
		assert.Equal(t, []any{"id", "admin/x", "access-token", "client"},
			[]any{claims["sub"], claims["jti"], claims["tokenType"], claims["azp"]})
	}
	assert.Equal(t, user.DisplayName, full["displayName"])
	assert.Equal(t, true, full["email_verified"])
	assert.NotContains(t, full, "emailVerified")
	assert.Equal(t, -3.0, full["score"])
	assert.Equal(t, "staff", full["tag"])
	assert.Equal(t, []any{"1", "2"}, full["address"])
	assert.Equal(t, []any{}, full["groups"])
	assert.Nil(t, full["recoveryCodes"])
	assert.Equal(t, "", full["password"])
	assert.Equal(t, "read", full["scope"])
	assert.Equal(t, user.DisplayName, short["displayName"])
	assert.NotContains(t, short, "tag")
	assert.Equal(t, user.DisplayName, standard["name"])
	assert.Equal(t, "wechat-oAlice", standard["preferred_username"])
	assert.Equal(t, "other", standard["gender"])
	assert.Equal(t, "1\n2", standard["address"].(map[string]any)["street_address"])
	assert.NotContains(t, bare, "gender")
	assert.Equal(t, "", bare["address"].(map[string]any)["street_address"])
	_, err := w.encode(&sdk.Application{Name: "app", TokenFormat: "jwt"}, user, grantClaims{})
	assert.ErrorContains(t, err, `application app: unknown tokenFormat "jwt"`)
}

func TestEncodeCustom(t *testing.T) {
	t.Parallel()
	w := newClaimWriter()
	app := &sdk.Application{TokenFormat: "JWT-Custom", TokenFields: []string{
		"Owner", "EmailVerified", "Properties.color", "Properties.jti", "Properties.missing", "permissionNames", "provider",
		"signinMethod", "Password", "PasswordSalt", "PasswordType", "Hash", "PreHash", "AccessToken", "OriginalToken",
		"OriginalRefreshToken", "TotpSecret", "RecoveryCodes", "ManagedAccounts", "MfaAccounts", "FaceIds",
		"WebauthnCredentials", "NoSuchField", "", "owner", "Properties.owner", "Properties.Name", "Properties.id",
		"Properties.EXP",
	}}
	user := secretive()
	user.Permissions = []*sdk.Permission{{Name: "read"}}
	claims := encode(t, w, app, user, "")
	for _, standard := range []string{"sub", "aud", "iat"} {
		assert.Contains(t, claims, standard)
		delete(claims, standard)
	}
	assert.Equal(t, map[string]any{
		"owner": "org", "emailVerified": true, "color": "red", "permissionNames": []any{"read"}, "provider": "",
		"signinMethod": "", "nonce": "", "scope": "", "tokenType": "access-token", "azp": "client", "jti": "admin/x",
	}, claims)
	assert.Equal(t, "read", encode(t, w, app, user, "read")["scope"])
}

func TestEncodeAttributes(t *testing.T) {
	t.Parallel()
	existing := func(name, field string) *sdk.JwtItem {
		return &sdk.JwtItem{Name: name, Category: "Existing Field", Value: field}
	}
	app := &sdk.Application{
		TokenFormat: "JWT-Custom", TokenFields: []string{"Owner", "Properties.Level"},
		TokenAttributes: []*sdk.JwtItem{
			{Name: "plain", Value: "blue", Type: "String"},
			{Name: "list", Category: "Static Value", Value: "blue", Type: "Array"},
			{Name: "filled", Value: "$user.owner/$user.name <$user.email> $user.id", Type: "String"},
			{Name: "teams", Value: "team:$user.groups", Type: "Array"},
			{Name: "team", Value: "$user.groups", Type: "String"},
			{Name: "nobody's", Value: "$user.roles", Type: "Array"},
			{Name: "sub", Value: "somebody", Type: "String"}, {Name: "tokenType", Value: "x", Type: "String"},
			{Value: "without a name"}, nil,
			existing("nick", "DisplayName"), existing("colour", "Properties.color"), existing("may", "Permissions"),
			existing("are", "Roles"), existing("missing", "NoSuchField"), existing("secret", "Password"),
			existing("scope", "Tag"),
			existing("Name", "Name"), existing("id", "Owner"), {Name: "owner", Value: "stolen", Type: "String"},
		},
	}
	user := secretive()
	user.DisplayName, user.Properties["Level"] = "$user.id", "3"
	user.Email, user.Groups = "$user.id@example.com", []string{"org/red", "org/green"}
	user.Permissions = []*sdk.Permission{{Name: "read"}}
	claims := encode(t, newClaimWriter(), app, user, "")
	for _, always := range []string{"aud", "iat", "azp", "jti", "nonce"} {
		delete(claims, always)
	}
	assert.Equal(t, map[string]any{
		"owner": "org", "Level": "3", "plain": "blue", "list": []any{"blue"}, "nick": "$user.id", "colour": "red",
		"filled": "org/wechat-oAlice <$user.id@example.com> id", "teams": []any{"team:org/red", "team:org/green"},
		"team": "org/red", "may": []any{"read"}, "are": []any{}, "scope": "staff", "sub": "id",
		"tokenType": "access-token", "Name": "wechat-oAlice",
	}, claims)
	assert.Equal(t, "read", encode(t, newClaimWriter(), app, user, "read")["scope"], "what was granted, not the attribute")
}

// What says whose a token is, who made it, for whom and for how long, no choice of an organization's admins says, in
// whatever case.
func TestEncodeReserved(t *testing.T) {
	t.Parallel()
	w, user := newClaimWriter(), secretive()
	want := encode(t, w, &sdk.Application{TokenFormat: "JWT-Custom"}, user, "")
	for _, name := range []string{
		"tokenType", "azp", "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "owner", "name", "id",
	} {
		for _, spelled := range []string{name, strings.ToUpper(name)} {
			user.Properties[spelled] = "stolen"
			for what, app := range map[string]*sdk.Application{
				"property":       {TokenFields: []string{"Properties." + spelled}},
				"text":           {TokenAttributes: []*sdk.JwtItem{{Name: spelled, Value: "stolen", Type: "String"}}},
				"existing field": {TokenAttributes: []*sdk.JwtItem{{Name: spelled, Category: existingField, Value: "Tag"}}},
			} {
				app.TokenFormat = "JWT-Custom"
				assert.Equal(t, want, encode(t, w, app, user, ""), "%s %s", what, spelled)
			}
		}
	}
}

// What a user has none of is an empty list, over which a back end may loop.
func TestEncodeEmptyLists(t *testing.T) {
	t.Parallel()
	app := &sdk.Application{
		TokenFormat: "JWT-Custom", TokenFields: []string{"Roles", "Permissions", "Groups", "Address", "Properties"},
	}
	claims := encode(t, newClaimWriter(), app, &sdk.User{Owner: "org", Name: "a", Id: "id"}, "")
	for _, list := range []string{"roles", "permissions", "groups", "address"} {
		assert.Equal(t, []any{}, claims[list], list)
	}
	assert.Equal(t, map[string]any{}, claims["properties"])
}

// Variables in an attribute multiply; a token of any size would be an organization's means against the others.
func TestEncodeAttributesWithinBounds(t *testing.T) {
	t.Parallel()
	product := &sdk.JwtItem{Name: "product", Value: "$user.roles $user.permissions $user.groups", Type: "Array"}
	app := &sdk.Application{TokenFormat: "JWT-Custom", TokenAttributes: []*sdk.JwtItem{
		{Name: "first", Value: "$user.groups", Type: "Array"}, product, product,
		{Name: "long", Value: strings.Repeat("$user.groups", 1<<16), Type: "String"},
	}}
	user := &sdk.User{Owner: "org", Name: "a", Id: "id"}
	for range 300 {
		user.Roles = append(user.Roles, &sdk.Role{Name: "role"})
		user.Permissions = append(user.Permissions, &sdk.Permission{Name: "permission"})
		user.Groups = append(user.Groups, "org/group")
	}
	claims := encode(t, newClaimWriter(), app, user, "")
	assert.Len(t, claims["first"], 300)
	assert.NotContains(t, claims, "product")
	assert.NotContains(t, claims, "long")
}

func TestEveryClaimHasItsColumn(t *testing.T) {
	t.Parallel()
	columns := claimColumns(openStore(t).users)
	hidden := 0
	for _, field := range newClaimWriter().fields {
		if field.hidden {
			hidden++
		}
	}
	assert.Len(t, columns, len(newClaimWriter().fields)-hidden+1, "the tag is a claim in one format only")
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	assert.Subset(t, names, []string{"owner", "name", "id", "is_forbidden", "is_deleted", "properties", "avatar", "tag"})
	assert.NotContains(t, names, "password")
}

func TestScopeSet(t *testing.T) {
	t.Parallel()
	assert.Equal(t, map[string]bool{"openid": true, "profile": true, "email": true}, scopeSet("openid  profile,email"))
	assert.Empty(t, scopeSet(""))
}

// TestAccountWriter compares with encoding/json: nothing filled, one field filled, and all.
func TestAccountWriter(t *testing.T) {
	t.Parallel()
	w, all := newAccountWriter(), &sdk.User{}
	compare := func(user *sdk.User) {
		want, err := json.Marshal(user)
		require.NoError(t, err)
		got, err := w.full(user)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got))
	}
	compare(all)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[sdk.User]()) {
		one := &sdk.User{}
		fill(reflect.ValueOf(one).Elem().FieldByIndex(field.Index), "<&>\u2028", 0)
		compare(one)
		fill(reflect.ValueOf(all).Elem().FieldByIndex(field.Index), "<&>\u2028", 0)
	}
	compare(all)
}
