package object

import (
	"cmp"
	"crypto/rand"
	"reflect"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Casdoor's values for a user.
const (
	normalUser      = "normal-user"
	defaultCurrency = "USD"
)

// What the names of the user's properties end in that hold OpenID and UnionID, such as wechatOpenId. They begin with
// the platform's prefix.
const (
	openIDProperty  = "OpenId"
	unionIDProperty = "UnionId"
)

// randomEnd is how long the random end of a user's name is.
const randomEnd = 8

// makeUser prepares the user of an OpenID that has none, with what organization and application give to new users.
// The name gets a random end when somebody has it already: an account made otherwise or, in a database that ignores
// case, another OpenID's.
func (s *Service) makeUser(p *person) {
	name := cmp.Or(p.name, p.userName())
	if p.nameTaken {
		name += "-" + strings.ToLower(rand.Text()[:randomEnd])
	}
	app, org, stamp := p.request.Client.Application, p.request.Client.Organization, s.stamp()
	user := &sdk.User{
		Owner: org.Name, Name: name, CreatedTime: stamp, UpdatedTime: stamp, Id: cmp.Or(p.id, newID()), Type: normalUser,
		Avatar: org.DefaultAvatar, Tag: app.DefaultTag, Score: org.InitScore, SignupApplication: app.Name,
		BalanceCurrency: cmp.Or(org.BalanceCurrency, defaultCurrency), CreatedIp: p.request.ClientIP,
		Properties: map[string]string{
			p.platform.Prefix + openIDProperty: p.session.OpenID,
			p.unionKey():                       p.session.UnionID,
		},
	}
	if group := cmp.Or(p.program.item.SignupGroup, app.DefaultGroup); group != "" {
		user.Groups = []string{group}
	}
	if field, ok := s.accountFields[p.platform.Prefix]; ok {
		reflect.ValueOf(user).Elem().FieldByIndex(field).SetString(p.session.OpenID)
	}
	p.user = user
}

// userName returns the name that the user of an OpenID has, unless it was taken.
func (p *person) userName() string { return p.platform.Prefix + "-" + p.session.OpenID }

// IsMiniProgramUser reports whether a user has come by a mini program.
func (s *Service) IsMiniProgramUser(user *sdk.User) bool {
	for name, value := range user.Properties {
		if value != "" && s.isPlatforms(name, openIDProperty) {
			return true
		}
	}
	return false
}

// isPlatforms reports whether the name of a user's property is a platform's prefix with one of these ends.
func (s *Service) isPlatforms(property string, ends ...string) bool {
	return slices.ContainsFunc(ends, func(end string) bool {
		prefix, ok := strings.CutSuffix(property, end)
		_, known := s.registry.ByPrefix(prefix)
		return ok && known
	})
}

// publicUser returns a copy of the user as others may see it: without secrets, and with empty lists rather than null.
func publicUser(user *sdk.User) *sdk.User {
	u := *user
	if u.Password != "" {
		u.Password = mask
	}
	u.PasswordSalt, u.TotpSecret, u.Hash, u.PreHash = "", "", "", ""
	u.AccessToken, u.OriginalToken, u.OriginalRefreshToken = "", "", ""
	u.RecoveryCodes, u.ManagedAccounts, u.MfaAccounts, u.FaceIds, u.WebauthnCredentials = nil, nil, nil, nil, nil
	u.Address, u.Groups = notNil(u.Address), notNil(u.Groups)
	u.Roles, u.Permissions = notNil(u.Roles), notNil(u.Permissions)
	if u.Properties == nil {
		u.Properties = map[string]string{}
	}
	return &u
}

// mask is what Casdoor shows in place of a secret; sent back, it means "unchanged".
const mask = "***"
