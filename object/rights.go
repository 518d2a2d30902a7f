package object

import (
	"context"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// rights are the roles and permissions of an organization in a Casdoor, which puts them into tokens (object/permission.go,
// object/role.go there). They are shared: read them only.
type rights struct {
	roles       given[sdk.Role]
	permissions given[sdk.Permission]
}

// given are rows, and by the ids, owner/name, of whom they are given to.
type given[T any] struct {
	rows                    []*T
	toUser, toGroup, toRole map[string][]*T
}

func newGiven[T any](rows []*T) given[T] {
	return given[T]{rows, map[string][]*T{}, map[string][]*T{}, map[string][]*T{}}
}

func (g given[T]) add(row *T, users, groups, roles []string) {
	give := func(to map[string][]*T, ids []string) {
		for _, id := range ids {
			to[id] = append(to[id], row)
		}
	}
	give(g.toUser, users)
	give(g.toGroup, groups)
	give(g.toRole, roles)
}

// those returns the rows in a set, in their order.
func (g given[T]) those(set map[*T]bool) (rows []*T) {
	for _, row := range g.rows {
		if set[row] {
			rows = append(rows, row)
		}
	}
	return rows
}

// rights reads an organization's roles and permissions. Tokens do not say who else has one.
func (s *Store) rights(ctx context.Context, organization string) (*rights, error) {
	const asCasdoorLists = "WHERE owner=? ORDER BY created_time DESC, name"
	roles, err := s.roles.find(s.read(ctx), asCasdoorLists, organization)
	if err != nil {
		return nil, err
	}
	permissions, err := s.permissions.find(s.read(ctx), asCasdoorLists, organization)
	if err != nil {
		return nil, err
	}
	r := &rights{newGiven(roles), newGiven(permissions)}
	for _, row := range roles {
		r.roles.add(row, row.Users, row.Groups, row.Roles)
		row.Users = nil
	}
	for _, row := range permissions {
		r.permissions.add(row, row.Users, row.Groups, row.Roles)
		row.Users = nil
	}
	return r, nil
}

// withRights returns the user of a token in that format with the roles and permissions that the format shows.
func (s *Service) withRights(ctx context.Context, format string, user *sdk.User) (*sdk.User, error) {
	t := s.tables
	shown := format != "JWT-Empty" && format != "JWT-Standard"
	if !shown || t == nil || t.roles == nil {
		return user, nil
	}
	r, err := load(ctx, s.settings.cache, "rights/"+user.Owner, func(ctx context.Context) (*rights, error) {
		return t.rights(ctx, user.Owner)
	})
	if err != nil {
		return nil, err
	}
	return r.of(user), nil
}

// of returns a copy of the user with the roles and permissions that are given to the user, to a group of the user's, or to
// a role of the user's: whoever has a role has those that hold it, too.
func (r *rights) of(user *sdk.User) *sdk.User {
	id, groups := user.Owner+"/"+user.Name, user.Groups
	roles := map[*sdk.Role]bool{}
	next := slices.Clone(r.roles.toUser[id])
	for _, group := range groups {
		next = append(next, r.roles.toGroup[group]...)
	}
	may := slices.Clone(r.permissions.toUser[id])
	for len(next) > 0 {
		role := next[0]
		if next = next[1:]; roles[role] {
			continue
		}
		roles[role] = true
		id := role.Owner + "/" + role.Name
		next = append(next, r.roles.toRole[id]...)
		may = append(may, r.permissions.toRole[id]...)
	}
	if len(groups) > 0 {
		groups = append(slices.Clone(groups), "*", user.Owner+"/*") // any group
	}
	for _, group := range groups {
		may = append(may, r.permissions.toGroup[group]...)
	}
	permissions := map[*sdk.Permission]bool{}
	for _, permission := range may {
		permissions[permission] = true
	}
	entitled := *user
	entitled.Roles, entitled.Permissions = r.roles.those(roles), r.permissions.those(permissions)
	return &entitled
}
