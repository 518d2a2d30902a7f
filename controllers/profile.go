package controllers

import (
	"encoding/json"
	"net/url"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/object"
)

// ProfileController serves changes of the own account.
type ProfileController struct{ Base }

// UpdateUser is Casdoor's POST /api/update-user. Admins and clients that show their secret change users of their
// organization, all of a user or the columns named: see object.Family.Update. Any other user changes the own account:
// named by id=owner/name in the query, by owner and name in the body, or by the token alone. With columns (camelCase or
// snake_case, comma-separated) only those fields of the body count. The answer is "Affected", or "Unaffected" when
// nothing has changed.
//
//	@router /api/update-user [post]
func (c *ProfileController) UpdateUser() {
	p, err := c.self()
	if err != nil {
		c.fail(err)
		return
	}
	if p == nil {
		c.updateAny()
		return
	}
	fields, err := c.object()
	if err == nil {
		err = aboutSelf(p.User, c.Ctx.Request.URL.Query(), fields)
	}
	if err != nil {
		c.fail(err)
		return
	}
	columns := listOf(c.Ctx.Request.URL.Query().Get("columns"))
	c.replyAffected(c.Deps.Service.UpdateAccount(c.Ctx.Request.Context(), p, fields, columns))
}

// self returns the user of the bearer token; nil where it is somebody who may change more than the own account.
func (c *ProfileController) self() (*object.Principal, error) {
	_, byToken := bearer(c.Ctx.Request)
	switch {
	case c.Deps.Authority == nil && !byToken: // the token of one that is too large for a gateway may be in the body
		if _, err := c.body(); err != nil {
			return nil, err
		}
	case c.Deps.Authority == nil:
	case byToken:
		return c.member()
	default:
		caller, err := c.identify()
		if err != nil || caller.Role != object.Nobody {
			return nil, err
		}
	}
	return c.principal()
}

// updateAny changes the user that id=owner/name names in the query or, where it is missing, owner and userId.
func (c *ProfileController) updateAny() {
	caller, body, err := c.change()
	if err != nil {
		c.fail(err)
		return
	}
	query := c.Ctx.Request.URL.Query()
	columns, ctx := listOf(query.Get("columns")), c.Ctx.Request.Context()
	var affected bool
	if owner, name, named := strings.Cut(query.Get("id"), "/"); named {
		affected, err = c.Deps.Authority.Users().Update(ctx, caller, owner, name, columns, body)
	} else {
		affected, err = c.Deps.Authority.UpdateUserByID(ctx, caller, query.Get("owner"), query.Get("userId"), columns, body)
	}
	c.replyAffected(affected, err)
}

// aboutSelf refuses an update-user that is about somebody else.
func aboutSelf(user *sdk.User, query url.Values, fields map[string]json.RawMessage) error {
	for name, self := range map[string]string{"id": user.GetId(), "userId": user.Id, "owner": user.Owner} {
		if named := query.Get(name); named != "" && named != self {
			return object.NotAllowed()
		}
	}
	if query.Get("id") != "" || query.Get("userId") != "" {
		return nil // a name in the body is a new name then, which is refused as such
	}
	for name, self := range map[string]string{"owner": user.Owner, "name": user.Name} {
		var named string
		if raw, ok := fields[name]; ok && (json.Unmarshal(raw, &named) != nil || named != "" && named != self) {
			return object.NotAllowed()
		}
	}
	return nil
}

// Profile is POST /api/mini-program/profile with wx's {"nickName", "avatarUrl"}, as JSON or as a form, either of
// which may be left out or empty, as what the user has not filled in is. It answers with the account.
//
//	@router /api/mini-program/profile [post]
func (c *ProfileController) Profile() {
	p, err := c.principal()
	if err != nil {
		c.fail(err)
		return
	}
	sent, err := c.wxProfile()
	if err == nil {
		_, err = c.Deps.Service.UpdateProfile(c.Ctx.Request.Context(), p, sent)
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.replyAccount(p)
}

// nickname is what wx calls the displayName.
const nickname = "nickName"

func (c *ProfileController) wxProfile() ([]object.Change, error) {
	sent, err := c.params()
	if err != nil {
		return nil, err
	}
	var changes []object.Change
	for name, field := range map[string]string{nickname: "displayName", "avatarUrl": "avatar"} {
		if value := sent[name]; value != "" {
			changes = append(changes, object.Change{Field: field, Value: value, Sent: name})
		}
	}
	if len(changes) == 0 {
		return nil, badRequest("nickName or avatarUrl is required")
	}
	return changes, nil
}

// object reads the body as a JSON object.
func (b *Base) object() (map[string]json.RawMessage, error) {
	body, err := b.body()
	if err != nil {
		return nil, err
	}
	return decodeObject(body)
}
