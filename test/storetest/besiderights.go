package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// testRights checks that tokens hold what Casdoor's admins have given to the user, as Casdoor's own do: to the user, to
// groups of the user's, and to roles that are among the user's.
func (s *besideSuite) testRights(t *testing.T) {
	b := s.start(t)
	claims := decode(t, b.signIn(t, "oBuyer").AccessToken)
	assert.Empty(t, claims["roles"])
	assert.Empty(t, claims["permissions"])

	const buyer = `["shop/nobody","shop/wechat-oBuyer"]`
	b.give(t, "role", shop, "buyer", buyer, `null`, `[]`)
	b.give(t, "role", shop, "customer", `[]`, `[]`, `["shop/buyer"]`)
	b.give(t, "role", shop, "everybody", `[]`, `[]`, `["shop/customer","shop/everybody"]`)
	b.give(t, "role", shop, "member", `[]`, `["shop/vip"]`, `[]`)
	b.give(t, "role", shop, "stranger", `["shop/wechat-oBuyers","else/wechat-oBuyer"]`, `["shop/vips"]`, `["shop/nothing"]`)
	b.give(t, "permission", shop, "own", buyer, `null`, `null`)
	b.give(t, "permission", shop, "as customer", `[]`, `[]`, `["shop/customer","shop/buyer"]`)
	b.give(t, "permission", shop, "as member", `[]`, `[]`, `["shop/member"]`)
	b.give(t, "permission", shop, "in a group", `[]`, `["*"]`, `[]`)
	b.give(t, "permission", shop, "also in a group", `[]`, `["*"]`, `[]`)
	b.give(t, "permission", shop, "in a group of the shop", `[]`, `["shop/*"]`, `[]`)
	b.give(t, "permission", shop, "nobody's", `["*"]`, `["shop/vips"]`, `["shop/stranger"]`)
	b.give(t, "role", shop, "damaged", `["shop/wech`, `[]`, `[]`)
	b.give(t, "permission", shop, "damaged", buyer, `[]`, `{`)
	for _, table := range []string{"role", "permission"} {
		b.give(t, table, "else", "another organization's", buyer, `["shop/vip","*"]`, `["shop/buyer"]`)
	}

	for name, c := range map[string]struct {
		groups             string
		roles, permissions []string
	}{
		"of the user": {`[]`, []string{"everybody", "customer", "buyer"}, []string{"own", "as customer"}},
		"in groups": {
			`["shop/new","shop/vip"]`, []string{"member", "everybody", "customer", "buyer"},
			[]string{"own", "also in a group", "in a group", "in a group of the shop", "as member", "as customer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b.exec(t, 1, `UPDATE "user" SET "groups"=? WHERE name=?`, c.groups, "wechat-oBuyer")
			b.clock.Advance(5 * time.Second)
			claims := decode(t, b.signIn(t, "oBuyer").AccessToken)
			assert.Equal(t, c.roles, namesIn(t, claims["roles"]), "the newest is the first, as in Casdoor's list")
			assert.Equal(t, c.permissions, namesIn(t, claims["permissions"]), "by user, group, role")
		})
	}
	stored := b.row(t, `SELECT roles, permissions FROM "user" WHERE name=?`, "wechat-oBuyer")
	assert.NotContains(t, stored["roles"]+stored["permissions"], "shop", "the user's row has none of them")
}

// testGroups checks that Casdoor's page of a group, which reads the rules of casbin, shows those who signed up into it,
// until they are gone.
func (s *besideSuite) testGroups(t *testing.T) {
	b := s.start(t)
	const rules = `SELECT ptype, v0, v1, v2, v3, v4, v5 FROM casbin_user_rule`
	b.signIn(t, "oNoGroup")
	assert.Empty(t, b.rows(t, rules))
	b.exec(t, 1, `UPDATE "application" SET default_group=? WHERE organization=?`, "shop/vip", shop)
	b.clock.Advance(5 * time.Second)
	for range 2 {
		b.signIn(t, "oGroup")
		assert.Equal(t, []map[string]string{{
			"ptype": "g", "v0": "shop/wechat-oGroup", "v1": "group:shop/vip", "v2": "", "v3": "", "v4": "", "v5": "",
		}}, b.rows(t, rules))
	}
	for _, soft := range []bool{false, true} {
		b.exec(t, 1, `UPDATE "organization" SET enable_soft_deletion=?, display_name=? WHERE name=?`,
			soft, fmt.Sprint(soft), shop)
		b.clock.Advance(5 * time.Second)
		p := b.principal(t, b.signIn(t, "oGroup"))
		assert.Equal(t, []string{"shop/vip"}, p.User.Groups)
		assert.Len(t, b.rows(t, rules), 1)
		require.NoError(t, b.service.Delete(t.Context(), p, "", "oGroup"))
		assert.Empty(t, b.rows(t, rules))
	}
	b.exec(t, 1, `UPDATE "application" SET default_group=? WHERE organization=?`, "shop/"+strings.Repeat("長", 90), shop)
	b.clock.Advance(5 * time.Second)
	b.signIn(t, "oLongGroup")
	assert.Empty(t, b.rows(t, rules), "no column of the rules holds it")
}

// testNoAdminsAreMade checks that nobody signs up into the organization built-in, whose users a Casdoor takes for
// administrators, unless it would make them too.
func (s *besideSuite) testNoAdminsAreMade(t *testing.T) {
	b := s.start(t)
	b.signIn(t, "oCustomer")
	b.exec(t, 1, `UPDATE "application" SET organization=? WHERE organization=?`, "built-in", shop)
	b.clock.Advance(5 * time.Second)
	assertRefused(t, b.refused(t, "oStranger"), object.AccessDenied, "sign up")
	assert.Empty(t, b.rows(t, `SELECT name FROM "user" WHERE owner='built-in' AND name<>'admin'`))
	b.exec(t, 1, `UPDATE "organization" SET has_privilege_consent=? WHERE name='built-in'`, true)
	b.clock.Advance(5 * time.Second)
	b.signIn(t, "oStranger")
	b.exec(t, 1, `UPDATE "organization" SET has_privilege_consent=? WHERE name='built-in'`, false)
	b.clock.Advance(5 * time.Second)
	b.signIn(t, "oStranger")
}

// give adds a row to the table of roles or to that of permissions, newer than those that are there.
func (b *beside) give(t *testing.T, table, owner, name, users, groups, roles string) {
	t.Helper()
	created := fmt.Sprintf("2026-01-%02dT00:00:00Z", 10+len(b.rows(t, `SELECT name FROM "`+table+`"`)))
	b.exec(t, 1, `INSERT INTO "`+table+`" (owner, name, created_time, users, "groups", roles, is_enabled) `+
		`VALUES (?, ?, ?, ?, ?, ?, ?)`, owner, name, created, users, groups, roles, true)
}

// namesIn returns the names of the rows in a claim, which tell nobody else's.
func namesIn(t *testing.T, claim any) (names []string) {
	t.Helper()
	rows, ok := claim.([]any)
	require.True(t, ok, claim)
	for _, r := range rows {
		r := r.(map[string]any)
		assert.Nil(t, r["users"])
		assert.Equal(t, shop, r["owner"])
		names = append(names, r["name"].(string))
	}
	return names
}
