package object

import (
	"maps"
	"slices"
	"sync"
)

// reach is whose rows a role may reach with an action. Each one holds those before it.
type reach int

const (
	nothing      reach = iota
	self               // the own user, and what is the own user's
	organization       // what belongs to the own organization
	shared             // as well what belongs to Casdoor's "admin": every organization may use it
	everything
)

// rule is what each role may do. Global callers may do everything that is in the table.
type rule struct{ anyone, member, admin, app reach }

// rules say who may do what, by the last part of Casdoor's paths. What is not in here nobody may do.
var rules = sync.OnceValue(makeRules)

func makeRules() map[string]rule {
	anyone := rule{everything, everything, everything, everything}
	own := rule{admin: organization, app: organization}
	usable := rule{admin: shared, app: shared}
	ownSelf := rule{member: self, admin: organization, app: organization}
	return map[string]rule{
		"get-organizations":      own,
		"get-organization":       own,
		"get-organization-names": own,
		"add-organization":       {},
		"update-organization":    own,
		"delete-organization":    {},

		"get-providers":   usable,
		"get-provider":    anyone,
		"add-provider":    own,
		"update-provider": own,
		"delete-provider": own,

		"get-applications":              own,
		"get-organization-applications": own,
		"get-application":               anyone,
		"get-default-application":       anyone,
		"get-app-login":                 anyone,
		"get-user-application":          ownSelf,
		"add-application":               own,
		"update-application":            own,
		"delete-application":            own,

		"get-certs":        usable,
		"get-global-certs": usable,
		"get-cert":         usable,
		"add-cert":         own,
		"update-cert":      own,
		"delete-cert":      own,

		"get-users":        own,
		"get-global-users": own,
		"get-sorted-users": own,
		"get-user-count":   own,
		"get-user":         ownSelf,
		"add-user":         own,
		"update-user":      ownSelf, // a member through UpdateAccount only
		"delete-user":      own,

		"get-tokens":   own,
		"get-token":    own,
		"add-token":    own,
		"update-token": own,
		"delete-token": own,

		"get-records": own,
		"get-record":  own,
		"add-record":  own,

		"get-resources":   ownSelf,
		"get-resource":    ownSelf,
		"add-resource":    own,
		"update-resource": own,
		"delete-resource": ownSelf,
		"upload-resource": ownSelf,

		"set-password":        ownSelf,
		"check-user-password": ownSelf,
		"get-sessions":        own,
		"get-session":         ownSelf,
		"delete-session":      ownSelf,

		"get-sign-ins": own,
	}
}

// may returns how far the caller reaches with an action.
func (c *Caller) may(action string) reach {
	r, known := rules()[action]
	switch {
	case !known:
		return nothing
	case c.Role == Global:
		return everything
	case c.Role == App:
		return r.app
	case c.Role == Admin:
		return r.admin
	case c.Role == Member:
		return r.member
	}
	return r.anyone
}

// home says whom a row belongs to.
type home struct {
	organization string // Casdoor's "admin": nobody's in particular
	userID       string // the id of the user whose it is; empty: none
	user         string // the name of the user in that organization; empty: none
}

// check refuses an action on a row that is out of the caller's reach.
func (c *Caller) check(action string, h home) error {
	reached := c.may(action)
	own := h.organization == c.Organization
	switch {
	case reached == everything,
		reached == shared && h.organization == adminOwner,
		reached >= organization && own,
		reached >= self && own && h.userID != "" && h.userID == c.UserID,
		reached >= self && own && h.user != "" && h.user == c.Name && c.UserID != "":
		return nil
	}
	return NotAllowed()
}

// Actions returns all that the rules are about, by the last part of Casdoor's paths, in order.
func Actions() []string { return slices.Sorted(maps.Keys(rules())) }
