package object

import (
	"context"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// rights are the roles and permissions of an organization in a Casdoor, which puts them into tokens (object/permission.go,
// object/role.go there). A nil *rights is that of a database of ours, which has none. It is shared: read it only.
type rights struct {
	roles       given[sdk.Role]
	permissions given[sdk.Permission]
}

// given finds rows by the ids, owner/name, of whom they are given to.
type given[T any] struct{ toUser, toGroup, toRole map[string][]*T }

func newGiven[T any]() given[T] {
	return given[T]{map[string][]*T{}, map[string][]*T{}, map[string][]*T{}}
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

// rights reads an organization's roles and permissions. Tokens do not say who else has one.
func (s *Store) rights(ctx context.Context, organization string) (*rights, error) {
	if s.roles == nil || s.permissions == nil {
		return nil, nil
	}
	const ofOrganization = "WHERE owner=? ORDER BY name"
	roles, err := s.roles.find(s.read(ctx), ofOrganization, organization)
	if err != nil {
		return nil, err
	}
	permissions, err := s.permissions.find(s.read(ctx), ofOrganization, organization)
	if err != nil {
		return nil, err
	}
	r := &rights{newGiven[sdk.Role](), newGiven[sdk.Permission]()}
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

// of returns the user with the roles and permissions that the user has: given to the user, to a group of the user's, and
// through a role to which another one is given.
func (r *rights) of(user *sdk.User) *sdk.User {
	if r == nil {
		return user
	}
	id, groups := user.Owner+"/"+user.Name, user.Groups
	roles := slices.Clone(r.roles.toUser[id])
	permissions := slices.Clone(r.permissions.toUser[id])
	for _, group := range groups {
		roles = append(roles, r.roles.toGroup[group]...)
	}
	if len(groups) > 0 {
		groups = append(slices.Clone(groups), "*", user.Owner+"/*") // any group
	}
	for _, group := range groups {
		permissions = append(permissions, r.permissions.toGroup[group]...)
	}
	roles = distinct(roles)
	for i := 0; i < len(roles); i++ { // it grows meanwhile
		id := roles[i].Owner + "/" + roles[i].Name
		roles = distinct(append(roles, r.roles.toRole[id]...))
		permissions = append(permissions, r.permissions.toRole[id]...)
	}
	whole := *user
	whole.Roles, whole.Permissions = roles, distinct(permissions)
	return &whole
}

// distinct leaves each row where it is for the first time.
func distinct[T any](rows []*T) []*T {
	var first []*T
	for _, row := range rows {
		if !slices.Contains(first, row) {
			first = append(first, row)
		}
	}
	return first
}
