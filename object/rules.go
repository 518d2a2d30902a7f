package object

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
func rules() map[string]rule {
	return map[string]rule{
		"get-organizations":   {},
		"get-organization":    {admin: organization, app: organization},
		"add-organization":    {},
		"update-organization": {admin: organization, app: organization},
		"delete-organization": {},
		"get-providers":       {admin: shared, app: shared},
		"get-provider":        {anyone: everything, member: everything, admin: everything, app: everything},
		"add-provider":        {admin: organization, app: organization},
		"update-provider":     {admin: organization, app: organization},
		"delete-provider":     {admin: organization, app: organization},
		"set-password":        {member: self, admin: organization, app: organization},
		"check-user-password": {member: self, admin: organization, app: organization},
		"get-sign-ins":        {admin: organization, app: organization},
		"get-sessions":        {admin: organization, app: organization},
		"get-session":         {member: self, admin: organization, app: organization},
		"delete-session":      {member: self, admin: organization, app: organization},
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
}

// check refuses an action on a row that is out of the caller's reach.
func (c *Caller) check(action string, h home) error {
	reached := c.may(action)
	switch {
	case reached == everything,
		reached == shared && h.organization == adminOwner,
		reached >= organization && h.organization == c.Organization,
		reached >= self && h.userID != "" && h.userID == c.UserID:
		return nil
	}
	return notAllowed()
}
