package object

import (
	"cmp"
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
		Object:   "tag=" + p.request.Tag + "&client_id=" + app.ClientId + "&code=" + mask,
		Response: `{status:"ok", msg:""}`, StatusCode: 200, IsTriggered: true,
	}
}

// updateRecord is what it says of a user's own update-user, with the names of what changed in place of the values.
func updateRecord(p *Principal, columns []string) *sdk.Record {
	return &sdk.Record{
		CreatedTime: p.User.UpdatedTime, Organization: p.User.Owner, User: p.User.Name, ClientIp: p.ClientIP, Method: "POST",
		RequestUri: "/api/update-user", Action: "update-user", Object: "columns=" + strings.Join(columns, ","),
		Response: `{status:"ok", msg:""}`, StatusCode: 200, IsTriggered: true,
	}
}

// deleteRecord is what it says of a user's deletion of the own account.
func deleteRecord(p *Principal, stamp string) *sdk.Record {
	return &sdk.Record{
		CreatedTime: stamp, Organization: p.User.Owner, User: p.User.Name, ClientIp: p.ClientIP, Method: "POST",
		RequestUri: "/api/mini-program/account/delete", Action: "delete-user", Object: "code=" + mask,
		Response: `{status:"ok", msg:""}`, StatusCode: 200, IsTriggered: true,
	}
}

// recordChange tells in Casdoor's record table of what an admin has done: who, what, when and from where.
func (a *Authority) recordChange(tx *txn, c *Caller, action, id string) error {
	if a.store.records == nil {
		return nil
	}
	method, path, _ := strings.Cut(c.Address, " ")
	_, err := a.store.records.insert(tx, &sdk.Record{
		Owner: c.Organization, Name: uuid.NewString(), CreatedTime: a.stamp(), Organization: c.Organization, User: c.Name, ClientIp: c.ClientIP,
		Method: method, RequestUri: path, Action: action, Language: "en", Object: id,
		Response: `{status:"ok", msg:""}`, StatusCode: 200, IsTriggered: true,
	}, "")
	return err
}

// storeRecord adds a record where a Casdoor keeps them. IsTriggered tells it that no webhook waits for this one.
func (t *tables) storeRecord(tx *txn, r *sdk.Record) error {
	if !t.beside || t.records == nil {
		return nil
	}
	r.Name = uuid.NewString()
	r.Language = cmp.Or(r.Language, "en")
	return t.records.sendInsert(tx, r, "", nil)
}
