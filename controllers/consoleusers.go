package controllers

import (
	"encoding/json"
	"net/http"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

func userPages() []consolePage {
	return []consolePage{
		{path: "/users", show: (*visit).listUsers},
		{path: "/users/view", show: (*visit).viewUser},
		{path: "/users/export", show: (*visit).exportUser},
		{path: "/users/forbid", show: (*visit).askForbid, change: (*visit).forbid, owner: true},
		{path: "/users/allow", show: (*visit).askAllow, change: (*visit).allow, owner: true},
		{path: "/users/end-sessions", show: (*visit).askEndSessions, change: (*visit).endSessions, owner: true},
		{path: "/users/delete", show: (*visit).askDeleteUser, change: (*visit).deleteUser, owner: true},
	}
}

func (v *visit) listUsers() error {
	organization, err := v.byOrganization()
	if err != nil {
		return err
	}
	columns := labelled("users.by.", "displayName", "name", "wechat", "phone")
	f := v.searchForm("users", append(searchBy(columns), organization...)...)
	data, err := list(v, f, v.Deps.Console.Users(), object.ListQuery{})
	if err != nil {
		return err
	}
	return v.showList("users", f, data)
}

// userData is what the page of a user shows.
type userData struct {
	Row        *sdk.User
	Identities []object.ExportIdentity
	Self       bool // it is the caller
}

func (v *visit) viewUser() error {
	owner, name := idOf(v.r.URL.Query())
	row, err := v.Deps.Console.Users().Get(v.r.Context(), v.caller, owner, name)
	if err != nil {
		return err
	}
	identities, err := v.Deps.Console.UserIdentities(v.r.Context(), v.caller, owner, name)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "user", userData{row, identities, row.Id == v.caller.UserID})
}

// exportUser sends all that is stored about a user.
func (v *visit) exportUser() error {
	owner, name := idOf(v.r.URL.Query())
	export, err := v.Deps.Console.ExportUser(v.r.Context(), v.caller, owner, name)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(export, "", "  ")
	if err != nil {
		return err
	}
	v.download("application/json; charset=utf-8", name+".json", text)
	return nil
}

// askUser asks before something is done to a user.
func (v *visit) askUser(key string, final bool) error {
	owner, name := idOf(v.r.URL.Query())
	row, err := v.Deps.Console.Users().Get(v.r.Context(), v.caller, owner, name)
	if err != nil {
		return err
	}
	subject := row.Owner + "/" + row.Name
	if row.DisplayName != "" {
		subject = row.DisplayName + " (" + subject + ")"
	}
	return v.confirm(confirmation{Key: key, Subject: subject, Final: final}, "/users/view", owner, name)
}

func (v *visit) askForbid() error      { return v.askUser("forbid", false) }
func (v *visit) askAllow() error       { return v.askUser("allow", false) }
func (v *visit) askEndSessions() error { return v.askUser("endSessions", true) }

func (v *visit) askDeleteUser() error {
	owner, name := idOf(v.r.URL.Query())
	err := v.Deps.Console.Users().MayDelete(v.r.Context(), v.caller, owner, name)
	if isInUse(err) {
		return v.cannot("ownUser", "/users/view", owner, name)
	}
	if err != nil {
		return err
	}
	return v.askUser("deleteUser", true)
}

func (v *visit) forbid() error { return v.setForbidden(true) }
func (v *visit) allow() error  { return v.setForbidden(false) }

func (v *visit) setForbidden(forbidden bool) error {
	return v.changeUser(func(owner, name string) (string, error) {
		found, err := v.Deps.Console.Users().Update(v.r.Context(), v.caller, owner, name, []string{"isForbidden"},
			toJSON(map[string]bool{"isForbidden": forbidden}))
		if forbidden {
			return "forbidden", orMissing(found, err)
		}
		return "allowed", orMissing(found, err)
	})
}

func (v *visit) endSessions() error {
	return v.changeUser(func(owner, name string) (string, error) {
		_, err := v.Deps.Console.EndUserSessions(v.r.Context(), v.caller, owner, name)
		return "sessionsEnded", err
	})
}

// changeUser does something to the user of a form. What an admin must not do to themselves is refused.
func (v *visit) changeUser(change func(owner, name string) (done string, err error)) error {
	in, err := v.form()
	if err != nil {
		return err
	}
	owner, name := idOf(in)
	done, err := change(owner, name)
	if isInUse(err) {
		return v.cannot("ownUser", "/users/view", owner, name)
	}
	if err != nil {
		return err
	}
	return v.leave("/users/view", idQuery(owner, name), done)
}

func (v *visit) deleteUser() error {
	return remove(v, v.Deps.Console.Users(), "ownUser", "/users/view", "/users")
}
