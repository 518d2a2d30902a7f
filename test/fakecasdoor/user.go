package fakecasdoor

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/google/uuid"
)

// User returns a copy of the user "owner/name", or false.
func (s *Server) User(id string) (sdk.User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, found := s.users[id]
	if !found {
		return sdk.User{}, false
	}
	return clone(u), true
}

// Users returns copies of all users, in the order of their ids.
func (s *Server) Users() []sdk.User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := []sdk.User{}
	for _, id := range slices.Sorted(maps.Keys(s.users)) {
		users = append(users, clone(s.users[id]))
	}
	return users
}

// SetUser adds a user or replaces the one with the same owner and name, without any check.
func (s *Server) SetUser(u sdk.User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.GetId()] = clone(u)
}

// getUser finds by id or by owner and userId, for clients, admins and the user; others are refused if there is one.
func (s *Server) getUser(c *call) any {
	id := c.FormValue("id")
	if owner, userID := c.FormValue("owner"), c.FormValue("userId"); owner != "" && userID != "" {
		id = s.userByID(owner, userID)
	}
	u, found := s.User(id)
	switch {
	case !found:
		return done(nil)
	case c.user == "":
		return refuse(loginFirst)
	case !s.sees(c.user, u):
		return refuse(unauthorized)
	}
	return done(maskedUser(u))
}

// userByID returns the id "owner/name" of a user, or "".
func (s *Server) userByID(owner, userID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u.Owner == owner && u.Id == userID {
			return u.GetId()
		}
	}
	return ""
}

func (s *Server) sees(caller string, u sdk.User) bool {
	if seesAll(caller) || caller == u.GetId() {
		return true
	}
	asks, found := s.User(caller)
	return found && asks.IsAdmin && asks.Owner == u.Owner
}

// maskedUser is what the API shows of a user: no secrets, and lists where there is nothing.
func maskedUser(u sdk.User) sdk.User {
	if u.Password != "" {
		u.Password = masked
	}
	u.TotpSecret, u.RecoveryCodes = "", nil
	u.Groups = append([]string{}, u.Groups...)
	u.Roles = append([]*sdk.Role{}, u.Roles...)
	u.Permissions = append([]*sdk.Permission{}, u.Permissions...)
	return u
}

// getAccount signs a new access token each time, as Casdoor does without a session.
func (s *Server) getAccount(c *call) any {
	if c.user == "" {
		return sdk.Response{Status: "error", Msg: loginFirst, Data: loginFirst}
	}
	u, found := s.User(c.user)
	if !found {
		return noUser(c.user)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	app, found := find(s.rows.Applications, "admin/"+u.SignupApplication)
	if found {
		u.AccessToken = s.sign(app, u, grant{kind: accessKind, row: uuid.NewString(), host: c.Host})
	}
	u.Address = append([]string{}, u.Address...)
	answer := sdk.Response{Status: "ok", Sub: u.Id, Name: u.Name, Data: maskedUser(u)}
	if org, found := find(s.rows.Organizations, "admin/"+u.Owner); found {
		answer.Data2 = clone(*org)
	}
	return answer
}

// addUser looks whether the name is free before it inserts; who loses a race gets the words of the database.
func (s *Server) addUser(c *call) any {
	var u sdk.User
	if err := json.Unmarshal(c.body, &u); err != nil {
		return refuse(err.Error())
	}
	if problem := s.checkName(u.Owner, u.Name); problem != "" {
		return refuse(problem)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.users[u.GetId()]; taken {
		return refuse(uniqueFailed("user"))
	}
	now := s.now().UTC().Format(time.RFC3339)
	fill(&u.Id, uuid.NewString())
	fill(&u.CreatedTime, now)
	fill(&u.UpdatedTime, u.CreatedTime)
	fill(&u.BalanceCurrency, "USD")
	fill(&u.RegisterType, "Add User")
	u.Ranking = len(s.users) + 1
	s.users[u.GetId()] = clone(u)
	return affected(true)
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// uniqueFailed is what SQLite says, and Casdoor passes on.
func uniqueFailed(table string) string {
	return fmt.Sprintf("constraint failed: UNIQUE constraint failed: %s.owner, %[1]s.name (1555)", table)
}

// checkName applies Casdoor's rules for the name of a new user (object/check.go): an OpenID with two of "-" and "_" in
// a row, or one at its end, makes no name that the API accepts unless the organization uses e-mail addresses as names.
func (s *Server) checkName(owner, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	org, found := find(s.rows.Organizations, "admin/"+owner)
	switch {
	case !found:
		return fmt.Sprintf("The organization: %s does not exist", owner)
	case name == "":
		return "Empty username."
	case len(name) > 255:
		return "Username is too long (maximum is 255 characters)."
	case !org.UseEmailAsUsername && !regexp.MustCompile(`^[a-zA-Z0-9]+([-._][a-zA-Z0-9]+)*$`).MatchString(name):
		return "The username may only contain alphanumeric characters, underlines or hyphens, cannot have consecutive " +
			"hyphens or underlines, and cannot begin or end with a hyphen or underline."
	}
	if _, taken := s.users[owner+"/"+name]; taken {
		return "Username already exists"
	}
	return ""
}

// deleteUser takes the tokens of the user along.
func (s *Server) deleteUser(c *call) any {
	var u sdk.User
	if err := json.Unmarshal(c.body, &u); err != nil {
		return refuse(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.users[u.GetId()]
	delete(s.users, u.GetId())
	s.expireTokens(u.GetId())
	return affected(found)
}

// expireTokens ends the tokens of a user. The caller holds s.mu.
func (s *Server) expireTokens(user string) {
	owner, name, _ := strings.Cut(user, "/")
	for id, t := range s.tokens {
		if t.Organization == owner && t.User == name {
			t.ExpiresIn = 0
			s.tokens[id] = t
		}
	}
}
