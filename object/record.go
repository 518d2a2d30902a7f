package object

import (
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/google/uuid"
)

// signInRecord is what Casdoor's record table says of a sign-in, but for the code, and with the user.
func signInRecord(p *person, stamp string) *sdk.Record {
	app := p.request.Client.Application
	return &sdk.Record{
		CreatedTime: stamp, Organization: p.user.Owner, User: p.user.Name, ClientIp: p.request.ClientIP, Method: "POST",
		RequestUri: "/api/login/oauth/access_token", Action: "login/oauth/access_token",
		Object: "tag=" + p.request.Tag + "&client_id=" + app.ClientId + "&code=" + mask,
	}
}

// updateRecord is what it says of a user's own update-user, with the names of what changed in place of the values.
func updateRecord(p *Principal, columns []string) *sdk.Record {
	return &sdk.Record{
		CreatedTime: p.User.UpdatedTime, Organization: p.User.Owner, User: p.User.Name, ClientIp: p.ClientIP, Method: "POST",
		RequestUri: "/api/update-user", Action: "update-user", Object: "columns=" + strings.Join(columns, ","),
	}
}

// deleteRecord is what it says of a user's deletion of the own account.
func deleteRecord(p *Principal, stamp string) *sdk.Record {
	return &sdk.Record{
		CreatedTime: stamp, Organization: p.User.Owner, User: p.User.Name, ClientIp: p.ClientIP, Method: "POST",
		RequestUri: "/api/mini-program/account/delete", Action: "delete-user", Object: "code=" + mask,
	}
}

// recordChange tells in Casdoor's record table of what an admin has done: who, what, when and from where.
func (a *Authority) recordChange(tx *txn, c *Caller, action, id string) error {
	if a.tables.records == nil {
		return nil
	}
	method, path, _ := strings.Cut(c.Address, " ")
	r := completed(&sdk.Record{
		Owner: c.Organization, CreatedTime: a.stamp(), Organization: c.Organization, User: c.Name, ClientIp: c.ClientIP,
		Method: method, RequestUri: path, Action: action, Object: id,
	})
	_, err := a.tables.records.insert(tx, r, "")
	return err
}

// storeRecord adds a record of what a user has done, where a Casdoor keeps them.
func (t *tables) storeRecord(tx *txn, r *sdk.Record) error {
	if !t.beside || t.records == nil {
		return nil
	}
	return t.records.sendInsert(tx, completed(r), "", nil)
}

// completed adds what all records say. IsTriggered tells a Casdoor that no webhook waits for this one.
func completed(r *sdk.Record) *sdk.Record {
	r.Name, r.Language = uuid.NewString(), "en"
	r.Response, r.StatusCode, r.IsTriggered = `{status:"ok", msg:""}`, 200, true
	return r
}
