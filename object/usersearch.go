package object

import (
	"context"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// GlobalUsers are Users, as get-global-users lists them.
func (a *Authority) GlobalUsers() *Family[sdk.User] {
	f := a.Users()
	f.listing = "get-global-users"
	return f
}

// SortedUsers are Users, as get-sorted-users lists them.
func (a *Authority) SortedUsers() *Family[sdk.User] {
	f := a.Users()
	f.listing = "get-sorted-users"
	return f
}

// CountUsers returns how many users an organization has, or of all where owner is empty, as far as the caller reaches.
// online, where it is not nil, counts those only whose isOnline it is.
func (a *Authority) CountUsers(ctx context.Context, c *Caller, owner string, online *bool) (int, error) {
	f := a.Users()
	const action = "get-user-count"
	if err := f.open(c, action); err != nil {
		return 0, err
	}
	where, err := f.selection(ctx, c, action, ListQuery{Owner: owner})
	if err != nil {
		return 0, err
	}
	if online != nil {
		where = append(where, condition{"is_online=?", []any{*online}})
	}
	return f.count(ctx, where)
}

// searchUsers finds users by their OpenID, which must be whole: nothing else of theirs is looked up by it.
func (a *Authority) searchUsers(ctx context.Context, s searchFor) (condition, error) {
	if s.column == "wechat" || s.column == "openId" {
		return a.byOpenID(ctx, s.organization, s.value)
	}
	return condition{}, nil
}

// byOpenID is the condition for the users of an organization, or of all where it is empty, whose identity has an OpenID.
func (a *Authority) byOpenID(ctx context.Context, organization, openID string) (condition, error) {
	ids := a.store.identities
	query, args := "WHERE open_id=?", []any{openID}
	if organization != "" {
		query, args = query+" AND organization=?", append(args, organization)
	}
	rows, err := ids.find(a.store.read(ctx), query, args...)
	if err != nil || len(rows) == 0 {
		return condition{"1=0", nil}, err
	}
	found := condition{text: "id IN (?" + strings.Repeat(", ?", len(rows)-1) + ")"}
	for _, row := range rows {
		found.args = append(found.args, row.UserID)
	}
	return found, nil
}
