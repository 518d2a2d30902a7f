package object

import (
	"reflect"
	"slices"
	"strings"
	"unicode"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// custom are the claims that the application's tokenFields and tokenAttributes choose. Secrets cannot be chosen.
func (w *claimWriter) custom(app *sdk.Application, user *sdk.User, grant grantClaims) map[string]any {
	claims := map[string]any{"nonce": "", "scope": ""}
	for _, name := range app.TokenFields {
		property, isProperty := strings.CutPrefix(name, propertyPrefix)
		switch {
		case isProperty && isReserved(property) || name == "":
		case isProperty:
			setClaim(claims, property, chosen(user, name))
		case name == "provider" || name == "signinMethod":
			claims[name] = ""
		default:
			setClaim(claims, lowerFirst(name), chosen(user, name))
		}
	}
	for _, item := range app.TokenAttributes {
		if item != nil && (!isReserved(item.Name) || isItself(item)) {
			setClaim(claims, item.Name, attribute(user, item))
		}
	}
	if grant.Scope != "" {
		delete(claims, "scope")
	}
	return claims
}

// isReserved is true for the claims that make a token valid or say whose it is, in any case: Go's readers have none. An
// organization's admins choose properties and attributes, and other organizations may trust the same cert.
func isReserved(claim string) bool {
	return slices.ContainsFunc([]string{
		"tokenType", "azp", "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "owner", "name", "id",
	}, func(reserved string) bool { return strings.EqualFold(reserved, claim) })
}

// existingField is the category of an attribute whose value names a field of the user's.
const existingField = "Existing Field"

// isItself is true for an attribute that is the user's field of its name.
func isItself(item *sdk.JwtItem) bool {
	return item.Category == existingField && strings.EqualFold(item.Name, item.Value)
}

// setClaim sets a claim that has a name and a value.
func setClaim(claims map[string]any, name string, value any) {
	if name != "" && value != nil {
		claims[name] = value
	}
}

// attribute is the value of a claim that an application's tokenAttributes describe: one of the user's fields, or a text
// with the user's in place of its variables. A variable that stands for many makes a text of each.
func attribute(user *sdk.User, item *sdk.JwtItem) any {
	if item.Category == existingField {
		switch item.Value {
		case "Roles":
			return roleNames(user)
		case "Permissions":
			return permissionNames(user)
		}
		return chosen(user, item.Value)
	}
	texts := eachIn([]string{item.Value}, "$user.roles", roleNames(user))
	texts = eachIn(texts, "$user.permissions", permissionNames(user))
	texts = eachIn(texts, "$user.groups", user.Groups)
	one := strings.NewReplacer("$user.owner", user.Owner, "$user.name", user.Name, "$user.email", user.Email,
		"$user.id", user.Id, "$user.phone", user.Phone)
	for i := range texts {
		texts[i] = one.Replace(texts[i])
	}
	switch {
	case len(texts) == 0:
		return nil
	case item.Type == "String":
		return texts[0]
	}
	return texts
}

// eachIn returns texts with each of the values in the variable's place.
func eachIn(texts []string, variable string, values []string) []string {
	var filled []string
	for _, text := range texts {
		if !strings.Contains(text, variable) {
			filled = append(filled, text)
			continue
		}
		for _, value := range values {
			filled = append(filled, strings.ReplaceAll(text, variable, value))
		}
	}
	return filled
}

func roleNames(user *sdk.User) []string {
	names := []string{}
	for _, r := range user.Roles {
		names = append(names, r.Name)
	}
	return names
}

func permissionNames(user *sdk.User) []string {
	names := []string{}
	for _, p := range user.Permissions {
		names = append(names, p.Name)
	}
	return names
}

// propertyPrefix stands before the name of a user's property, where the fields of Casdoor's users go by their Go names.
const propertyPrefix = "Properties."

// chosen returns what an application's settings name of a user: a property, the names of the permissions or a field. It
// is nil when there is none or it is a secret.
func chosen(user *sdk.User, name string) any {
	if property, ok := strings.CutPrefix(name, propertyPrefix); ok {
		if value, ok := user.Properties[property]; ok {
			return value
		}
		return nil
	}
	if name == "permissionNames" {
		return permissionNames(user)
	}
	return userField(user, name)
}

// userField returns a field by its Go name, or nil when there is none or it is a secret.
func userField(user *sdk.User, name string) any {
	switch name {
	case "Password", "PasswordSalt", "PasswordType", "Hash", "PreHash", "AccessToken", "OriginalToken",
		"OriginalRefreshToken", "TotpSecret", "RecoveryCodes", "ManagedAccounts", "MfaAccounts", "FaceIds",
		"WebauthnCredentials":
		return nil
	}
	field := reflect.ValueOf(user).Elem().FieldByName(name)
	if !field.IsValid() {
		return nil
	}
	return field.Interface()
}

func lowerFirst(s string) string {
	r := []rune(s)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}
