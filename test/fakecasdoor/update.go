package fakecasdoor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// updateUser writes the columns that are named, or all that there are rules for. With columns, what the body leaves out
// keeps its value; without, it becomes empty. As in Casdoor users may write their own wechat and score.
func (s *Server) updateUser(c *call) any {
	var in sdk.User
	if err := json.Unmarshal(c.body, &in); err != nil {
		return refuse(err.Error())
	}
	id := c.FormValue("id")
	if userID := c.FormValue("userId"); userID != "" {
		if id = s.userByID(c.FormValue("owner"), userID); id == "" {
			return noUser(userID)
		}
	}
	fill(&id, c.user)
	if id == "" {
		return refuse("Missing parameter")
	}
	old, found := s.User(id)
	if !found {
		return noUser(id)
	}
	columns := strings.FieldsFunc(c.FormValue("columns"), func(r rune) bool { return r == ',' })
	if len(columns) > 0 {
		in = clone(old)
		if err := json.Unmarshal(c.body, &in); err != nil {
			return refuse(err.Error())
		}
	}
	if !seesAll(c.user) && in.Owner != old.Owner {
		return refuse(unauthorized)
	}
	if in.Name != old.Name {
		if problem := s.checkName(in.Owner, in.Name); problem != "" {
			return refuse(problem)
		}
	}
	if problem := s.checkContacts(old, in); problem != "" {
		return refuse(problem)
	}
	if problem := s.checkChange(c.user, old, &in); problem != "" {
		return refuse(problem)
	}
	return s.store(id, in, columns, s.isAdmin(c.user))
}

func (s *Server) isAdmin(caller string) bool {
	u, _ := s.User(caller)
	return seesAll(caller) || u.IsAdmin
}

// checkContacts keeps an e-mail address or a phone number from being two users' of one organization (object/check.go).
func (s *Server) checkContacts(old, in sdk.User) string {
	for _, u := range s.Users() {
		switch {
		case u.Owner != old.Owner || u.Name == old.Name:
		case in.Email != "" && in.Email != old.Email && in.Email == u.Email:
			return "Email already exists"
		case in.Phone != "" && in.Phone+in.CountryCode != old.Phone+old.CountryCode &&
			in.Phone == u.Phone && in.CountryCode == u.CountryCode:
			return "Phone already exists"
		}
	}
	return ""
}

// checkChange applies the account items of the organization (object/user_util.go): what the caller does not see keeps
// its value, what may not be changed is refused.
func (s *Server) checkChange(caller string, old sdk.User, in *sdk.User) string {
	if in.DisplayName == "" && old.DisplayName != "" {
		return "Display name cannot be empty"
	}
	before, after := fields(old), fields(*in)
	for _, item := range s.items(old.Owner) {
		field := fieldOf(item.Name)
		if string(before[field]) == string(after[field]) {
			continue
		}
		switch {
		case item.ViewRule == "Admin" && !s.isAdmin(caller):
			after[field] = before[field]
		case item.ModifyRule == "Immutable":
			return fmt.Sprintf("The %s is immutable.", item.Name)
		case item.ModifyRule == "Admin" && !s.isAdmin(caller):
			return fmt.Sprintf("Only admin can modify the %s.", item.Name)
		}
	}
	*in = userOf(after)
	return ""
}

func (s *Server) items(organization string) []*sdk.AccountItem {
	s.mu.Lock()
	defer s.mu.Unlock()
	org, found := find(s.rows.Organizations, "admin/"+organization)
	if !found {
		return nil
	}
	return clone(org.AccountItems)
}

// fieldOf returns the JSON name of the field that an account item is about: "Is admin" → isAdmin.
func fieldOf(item string) string {
	switch item {
	case "Organization":
		return "owner"
	case "User type":
		return "type"
	case "ID":
		return "id"
	}
	words := strings.Fields(item)
	name := strings.ToLower(words[0])
	for _, word := range words[1:] {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name
}

// store writes columns of a row. Who is forbidden or deleted now loses the tokens.
func (s *Server) store(id string, in sdk.User, columns []string, admin bool) sdk.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.users[id]
	if !found {
		return affected(false)
	}
	before, after := fields(old), fields(in)
	for name, value := range after {
		if written(name, columns, admin) {
			before[name] = value
		}
	}
	u := userOf(before)
	u.UpdatedTime = s.now().UTC().Format(time.RFC3339)
	delete(s.users, id)
	s.users[u.GetId()] = u
	if !old.IsForbidden && !old.IsDeleted && (u.IsForbidden || u.IsDeleted) {
		s.expireTokens(id)
	}
	return affected(true)
}

// written reports whether an update writes a field.
func written(name string, columns []string, admin bool) bool {
	if len(columns) > 0 {
		return slices.Contains(columns, name)
	}
	switch name {
	case "createdTime", "password", "passwordSalt", "passwordType", "permanentAvatar", "preHash", "accessToken":
		return false
	case "name", "id", "email", "phone", "balance", "isAdmin", "isForbidden", "isDeleted":
		return admin
	}
	return true
}

func fields(u sdk.User) map[string]json.RawMessage { return convert[map[string]json.RawMessage](u) }

func userOf(fields map[string]json.RawMessage) sdk.User { return convert[sdk.User](fields) }
