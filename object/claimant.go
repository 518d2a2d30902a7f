package object

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
)

// What Casdoor's own flow stores of a mini program's user, beside the column wechat: https://casdoor.org, "WeChat mini
// program" (object/token_oauth.go there).
const (
	wechatOpenID  = "wechatOpenId"
	wechatUnionID = "wechatUnionId"
)

// claimant is what a user's row says about the OpenID.
type claimant struct {
	owner, name, id string
	column          string // wechat
	registered      string // register_type, which Casdoor's mini-program flow leaves empty; empty where there is none
	openID, unionID string // of properties; both empty where these cannot be read
}

// scanClaimant reads a row of owner, name, id, wechat, properties and register_type. Properties that are no JSON, which
// Casdoor could not read either, are none.
func scanClaimant(rows *sql.Rows) (claimant, error) {
	var cells [6]sql.NullString
	if err := rows.Scan(&cells[0], &cells[1], &cells[2], &cells[3], &cells[4], &cells[5]); err != nil {
		return claimant{}, err
	}
	c := claimant{
		owner: cells[0].String, name: cells[1].String, id: cells[2].String, column: cells[3].String,
		registered: cells[5].String,
	}
	var properties map[string]string
	if err := json.Unmarshal([]byte(cells[4].String), &properties); err == nil {
		c.openID, c.unionID = properties[wechatOpenID], properties[wechatUnionID]
	}
	return c, nil
}

func (c claimant) fullName() string { return c.owner + "/" + c.name }

// doubted returns, of a row with an OpenID in its properties, the OpenIDs that it speaks of and why they are in doubt, or
// nothing. Casdoor v3.158 lets users write their own wechat column and properties: the name and the way that somebody
// has registered must not speak against them.
func (c claimant) doubted() (openIDs []string, reason string) {
	named, isNamed := strings.CutPrefix(c.name, "wechat-")
	switch {
	case c.column == "":
		openIDs = []string{c.openID}
	case c.column != c.openID && c.column != c.unionID:
		openIDs = []string{c.openID, c.column}
	case c.name == remoteName("wechat", c.openID) && c.id == remoteID(c.owner, c.name):
		return nil, "" // we made the user, through Casdoor's API
	case isNamed && !namesOpenID(named, c.openID):
		return []string{c.openID}, fmt.Sprintf("user %s: the name is another OpenID's", c.fullName())
	case c.registered != "":
		return []string{c.openID}, fmt.Sprintf("user %s: registered by %q, not by a mini program", c.fullName(), c.registered)
	default:
		return nil, ""
	}
	return openIDs, fmt.Sprintf("user %s: wechat is %q, properties.wechatOpenId is %.200q", c.fullName(), c.column, c.openID)
}

// namesOpenID reports whether what follows "wechat-" in a user's name is the OpenID, or that and the random end of a
// user whose name was taken: see makeUser.
func namesOpenID(named, openID string) bool {
	if n := len(openID); len(named) == n+len("-")+randomEnd && named[n] == '-' {
		named = named[:n]
	}
	return strings.EqualFold(named, openID)
}
