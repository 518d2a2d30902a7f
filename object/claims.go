package object

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/golang-jwt/jwt/v5"
)

// Casdoor's values of the tokenType claim.
const (
	accessTokenType  = "access-token"
	refreshTokenType = "refresh-token"
)

// grantClaims is the end of every token, in each of Casdoor's formats.
type grantClaims struct {
	TokenType string  `json:"tokenType"`
	Tag       *string `json:"tag,omitempty"` // in format JWT only, where it is there even when empty
	Scope     string  `json:"scope,omitempty"`
	Azp       string  `json:"azp"`
	jwt.RegisteredClaims
}

// encode returns the claims as JSON: those about the user, in the application's token format, before those about the
// grant.
func (w *claimWriter) encode(app *sdk.Application, user *sdk.User, grant grantClaims) ([]byte, error) {
	var about []byte
	var err error
	switch app.TokenFormat {
	case "", "JWT":
		about, err = w.full(user)
		grant.Tag = &user.Tag
	case "JWT-Empty":
		about, err = json.Marshal(shortClaims(user))
	case "JWT-Standard":
		about, err = json.Marshal(standardClaims(user, grant.Scope))
	case "JWT-Custom":
		about, err = json.Marshal(customClaims(app, user, grant))
	default:
		err = fmt.Errorf("application %s: unknown tokenFormat %q", app.Name, app.TokenFormat)
	}
	if err != nil {
		return nil, err
	}
	end, err := json.Marshal(grant)
	if err != nil {
		return nil, err
	}
	text := append(about[:len(about)-1], ',')
	return append(text, end[1:]...), nil
}

// claimWriter writes a user as the claims of format JWT, which are about 80 of the row's fields.
type claimWriter struct {
	fields []claimField
}

type claimField struct {
	key      string // `"displayName":`
	index    []int
	hidden   bool // a secret, or no business of who reads the token: the claim is there, and empty
	listed   bool // a nil list or map is [] or {}, not null
	optional bool // left out when it is empty
}

// fullClaims names the claims of format JWT in Casdoor's order. A minus hides the value, a plus makes nil empty.
const fullClaims = `owner name createdTime updatedTime deletedTime id type -password -passwordSalt -passwordType
displayName firstName lastName avatar avatarType permanentAvatar email emailVerified phone countryCode region location
+address affiliation title idCardType idCard homepage bio language gender birthday education score karma ranking
isDefaultAvatar isOnline isAdmin isForbidden isDeleted signupApplication -hash -preHash registerType registerSource
github google qq wechat facebook dingtalk weibo gitee linkedin wecom lark gitlab createdIp lastSigninTime lastSigninIp
preferredMfaType -recoveryCodes -totpSecret mfaPhoneEnabled mfaEmailEnabled ldap +properties +roles +permissions
+groups lastSigninWrongTime signinWrongTimes -managedAccounts`

func newClaimWriter() *claimWriter {
	w := &claimWriter{}
	t := reflect.TypeFor[sdk.User]()
	for _, word := range strings.Fields(fullClaims) {
		name := strings.TrimLeft(word, "-+")
		field, ok := t.FieldByNameFunc(func(n string) bool {
			f, _ := t.FieldByName(n)
			return f.Tag.Get("json") == name
		})
		if !ok {
			panic("no field of a Casdoor user has the JSON name " + name)
		}
		if name == "emailVerified" {
			name = "email_verified"
		}
		w.fields = append(w.fields, claimField{
			key: strconv.Quote(name) + ":", index: field.Index, hidden: word[0] == '-', listed: word[0] == '+',
		})
	}
	return w
}

// newAccountWriter writes a user as encoding/json does, several times as fast: most fields of most users are empty.
func newAccountWriter() *claimWriter {
	w := &claimWriter{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[sdk.User]()) {
		name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
		w.fields = append(w.fields, claimField{
			key: strconv.Quote(name) + ":", index: field.Index, optional: option == "omitempty",
		})
	}
	return w
}

// claimColumns returns the columns of a user that the claims are made of.
func claimColumns(users *table[sdk.User]) []column {
	columnOf := map[string]column{}
	for _, c := range users.columns {
		columnOf[fmt.Sprint(c.field)] = c
	}
	picked := users.pick("tag")
	for _, f := range newClaimWriter().fields {
		if c, ok := columnOf[fmt.Sprint(f.index)]; ok && !f.hidden {
			picked = append(picked, c)
		}
	}
	return picked
}

func (w *claimWriter) full(user *sdk.User) ([]byte, error) {
	text := make([]byte, 1, 4096)
	text[0] = '{'
	v := reflect.ValueOf(user).Elem()
	var err error
	for _, f := range w.fields {
		value := v.FieldByIndex(f.index)
		if f.optional && value.IsZero() {
			continue
		}
		text = append(text, f.key...)
		if text, err = f.appendValue(text, value); err != nil {
			return nil, err
		}
		text = append(text, ',')
	}
	text[len(text)-1] = '}'
	return text, nil
}

func (f claimField) appendValue(text []byte, v reflect.Value) ([]byte, error) {
	if f.hidden {
		v = reflect.Zero(v.Type())
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(text, v.Bool()), nil
	case reflect.Int:
		return strconv.AppendInt(text, v.Int(), 10), nil
	case reflect.String:
		if v.Len() == 0 {
			return append(text, `""`...), nil
		}
	case reflect.Slice, reflect.Map, reflect.Pointer:
		switch {
		case !v.IsNil():
		case !f.listed:
			return append(text, "null"...), nil
		case v.Kind() == reflect.Map:
			return append(text, "{}"...), nil
		default:
			return append(text, "[]"...), nil
		}
	}
	value, err := json.Marshal(v.Interface())
	return append(text, value...), err
}

func shortClaims(u *sdk.User) any {
	return struct {
		Owner         string `json:"owner"`
		Name          string `json:"name"`
		ID            string `json:"id"`
		DisplayName   string `json:"displayName"`
		Avatar        string `json:"avatar"`
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified,omitempty"`
		Phone         string `json:"phone"`
	}{u.Owner, u.Name, u.Id, u.DisplayName, u.Avatar, u.Email, u.EmailVerified, u.Phone}
}

// address is the claim of OpenID Connect Core §5.1.1.
type address struct {
	Formatted     string `json:"formatted"`
	StreetAddress string `json:"street_address"`
	Locality      string `json:"locality"`
	Region        string `json:"region"`
	PostalCode    string `json:"postal_code"`
	Country       string `json:"country"`
}

func standardClaims(u *sdk.User, scope string) any {
	scopes := scopeSet(scope)
	claims := struct {
		Owner         string  `json:"owner"`
		Username      string  `json:"preferred_username,omitempty"`
		ID            string  `json:"id"`
		DisplayName   string  `json:"name,omitempty"`
		Avatar        string  `json:"picture,omitempty"`
		Email         string  `json:"email,omitempty"`
		EmailVerified bool    `json:"email_verified,omitempty"`
		Gender        string  `json:"gender,omitempty"`
		Address       address `json:"address"`
	}{Owner: u.Owner, Username: u.Name, ID: u.Id, DisplayName: u.DisplayName, Avatar: u.Avatar,
		Email: u.Email, EmailVerified: u.EmailVerified}
	if scopes["profile"] {
		claims.Gender = u.Gender
	}
	if scopes["address"] {
		claims.Address.StreetAddress = strings.Join(u.Address, "\n")
	}
	return claims
}

// scopeSet splits a scope (RFC 6749 §3.3). Casdoor takes commas between scopes too.
func scopeSet(scope string) map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.FieldsFunc(scope, func(r rune) bool { return r == ' ' || r == ',' }) {
		set[name] = true
	}
	return set
}

func (g grant) registered(id string, issued time.Time, life time.Duration) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{
		Issuer: g.issuer, Subject: g.user.Id, Audience: jwt.ClaimStrings{g.client.ID()}, ID: id,
		IssuedAt: jwt.NewNumericDate(issued), NotBefore: jwt.NewNumericDate(issued),
		ExpiresAt: jwt.NewNumericDate(issued.Add(life)),
	}
}
