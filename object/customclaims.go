package object

import (
	"reflect"
	"slices"
	"strings"
	"unicode"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// customClaims are the claims that the application's tokenFields and tokenAttributes choose. Secrets cannot be chosen.
func customClaims(app *sdk.Application, user *sdk.User, grant grantClaims) map[string]any {
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
	room := attributeRoom
	for _, item := range app.TokenAttributes {
		switch {
		case item == nil || isReserved(item.Name) && !isItself(item):
		case item.Category == existingField:
			setClaim(claims, item.Name, fieldAttribute(user, item.Value))
		default:
			setClaim(claims, item.Name, textAttribute(user, item, &room))
		}
	}
	if grant.Scope != "" {
		delete(claims, "scope")
	}
	return claims
}

// isReserved is true for the claims that make a token valid or say whose it is, whatever their case, which Go's JSON
// readers ignore. An organization's admins choose properties and attributes, and others may trust the same cert.
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

// fieldAttribute is the value of an attribute that one of the user's fields is.
func fieldAttribute(user *sdk.User, field string) any {
	switch field {
	case "Roles":
		return roleNames(user)
	case "Permissions":
		return permissionNames(user)
	}
	return chosen(user, field)
}

// attributeRoom bounds the texts that a token's attributes are made of, in bytes: variables in variables multiply.
// Those that take more are left out.
const attributeRoom = 64 << 10

// textAttribute is the value of an attribute that is a text with what the user has in place of its variables. A
// variable that stands for many makes a text of each.
func textAttribute(user *sdk.User, item *sdk.JwtItem, room *int) any {
	texts := eachIn([]string{item.Value}, "$user.roles", roleNames(user), room)
	texts = eachIn(texts, "$user.permissions", permissionNames(user), room)
	texts = eachIn(texts, "$user.groups", user.Groups, room)
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

// eachIn returns texts with each of the values in the variable's place, or nothing where there is no room for them.
func eachIn(texts []string, variable string, values []string, room *int) []string {
	var filled []string
	for _, text := range texts {
		n, fill := strings.Count(text, variable), values
		if n == 0 {
			fill = []string{""} // it stays as it is
		}
		for _, value := range fill {
			if *room -= len(text) + n*len(value); *room < 0 {
				return nil
			}
			filled = append(filled, strings.ReplaceAll(text, variable, value))
		}
	}
	return filled
}

func roleNames(user *sdk.User) []string {
	names := []string{}
	for _, r := range user.Roles {
		if r != nil {
			names = append(names, r.Name)
		}
	}
	return names
}

func permissionNames(user *sdk.User) []string {
	names := []string{}
	for _, p := range user.Permissions {
		if p != nil {
			names = append(names, p.Name)
		}
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
	switch {
	case !field.IsValid():
		return nil
	case field.Kind() == reflect.Map && field.IsNil():
		field = reflect.MakeMap(field.Type())
	case field.Kind() == reflect.Slice && field.IsNil():
		field = reflect.MakeSlice(field.Type(), 0, 0)
	}
	return field.Interface()
}

func lowerFirst(s string) string {
	r := []rune(s)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}
