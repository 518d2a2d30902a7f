package object

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// rights are the roles and permissions of an organization in a Casdoor, which puts them into tokens
// (object/permission.go, object/role.go there). They are shared: read them only.
type rights struct {
	digest      [sha256.Size]byte // of the rows as they are stored
	all         []*sdk.Role       // the newest first, as Casdoor lists them
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

// rights reads an organization's roles and permissions, unless they are what was last read. Their lists of users are
// emptied, lest tokens say who else has one.
func (s *Store) rights(ctx context.Context, organization string, last *rights) (*rights, error) {
	digest, err := s.rightsDigest(ctx, organization)
	if err != nil || last != nil && last.digest == digest {
		return last, err
	}
	leave := func(table, name string, columns []string) bool {
		s.log.WarnContext(ctx, "left out of tokens: "+damagedRow, "table", table,
			"row", organization+"/"+name, "columns", strings.Join(columns, ", "))
		return false
	}
	roles, err := s.roles.findReadable(s.read(ctx), s.roles.columns, func(row *sdk.Role, columns []string) bool {
		return leave("role", row.Name, columns)
	}, s.roles.name+" WHERE owner=? ORDER BY created_time DESC, name", organization)
	if err != nil {
		return nil, err
	}
	all := s.permissions.columns
	permissions, err := s.permissions.findReadable(s.read(ctx), all, func(row *sdk.Permission, columns []string) bool {
		return leave("permission", row.Name, columns)
	}, s.permissions.name+" WHERE owner=? ORDER BY name", organization)
	if err != nil {
		return nil, err
	}
	r := &rights{digest, roles, newGiven[sdk.Role](), newGiven[sdk.Permission]()}
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

// rightsDigest tells whether an organization's roles and permissions have changed. A role may have hundreds of
// thousands of users, whom it takes far longer to find again by their ids.
func (s *Store) rightsDigest(ctx context.Context, organization string) (sum [sha256.Size]byte, err error) {
	hash := sha256.New()
	err = errors.Join(digestRows(s.read(ctx), s.roles, organization, hash),
		digestRows(s.read(ctx), s.permissions, organization, hash))
	return [sha256.Size]byte(hash.Sum(nil)), err
}

// digestRows adds the rows of an owner to a hash.
func digestRows[T any](q querier, t *table[T], owner string, hash hash.Hash) error {
	cells, dest := make([]sql.RawBytes, len(t.columns)), []any{}
	for i := range cells {
		dest = append(dest, &cells[i])
	}
	return eachRow(q, func(rows *sql.Rows) error {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for _, cell := range cells {
			_, _ = fmt.Fprintf(hash, "%d ", len(cell)) // a hash never fails
			_, _ = hash.Write(cell)
		}
		return nil
	}, "SELECT "+t.list(t.columns, "")+" FROM "+t.name+" WHERE owner=? ORDER BY name", owner)
}

// withRights returns the user of a token in that format with the roles and permissions that the format shows.
func (s *Service) withRights(ctx context.Context, format string, user *sdk.User) (*sdk.User, error) {
	t := s.tables
	shown := format != "JWT-Empty" && format != "JWT-Standard"
	if !shown || t == nil || t.roles == nil {
		return user, nil
	}
	name := "rights/" + user.Owner
	r, err := load(ctx, s.settings.cache, name, func(ctx context.Context) (*rights, error) {
		last, _ := s.settings.rights.Get(user.Owner)
		r, err := t.rights(ctx, user.Owner, last)
		if err == nil {
			s.settings.rights.Add(user.Owner, r)
		}
		return r, err
	})
	if err != nil {
		return nil, err
	}
	return r.of(user), nil
}

// of returns a copy of the user with the roles and permissions that are given to the user, to a group of the user's, or
// to a role of the user's, in Casdoor's order. Whoever has a role has those that hold it, too.
func (r *rights) of(user *sdk.User) *sdk.User {
	id, groups := user.GetId(), user.Groups
	next := slices.Clone(r.roles.toUser[id])
	for _, group := range groups {
		next = append(next, r.roles.toGroup[group]...)
	}
	has := map[*sdk.Role]bool{}
	for len(next) > 0 {
		role := next[0]
		if next = next[1:]; !has[role] {
			has[role] = true
			next = append(next, r.roles.toRole[roleID(role)]...)
		}
	}
	entitled := *user
	entitled.Roles = nil
	permissions := slices.Clone(r.permissions.toUser[id])
	if len(groups) > 0 {
		groups = append(slices.Clone(groups), "*", user.Owner+"/*") // any group
	}
	for _, group := range groups {
		permissions = append(permissions, r.permissions.toGroup[group]...)
	}
	for _, role := range r.all {
		if has[role] {
			entitled.Roles = append(entitled.Roles, role)
			permissions = append(permissions, r.permissions.toRole[roleID(role)]...)
		}
	}
	seen := map[*sdk.Permission]bool{}
	entitled.Permissions = slices.DeleteFunc(permissions, func(p *sdk.Permission) bool {
		again := seen[p]
		seen[p] = true
		return again
	})
	return &entitled
}

func roleID(role *sdk.Role) string { return role.Owner + "/" + role.Name }
