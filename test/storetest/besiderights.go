package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testRights checks that tokens hold what Casdoor's admins have given to the user, as Casdoor's own do: to the user, to
// groups of the user's, and to roles that are among the user's.
func (s *besideSuite) testRights(t *testing.T) {
	b := s.start(t)
	claims := decode(t, b.signIn(t, "oBuyer").AccessToken)
	assert.Empty(t, claims["roles"])
	assert.Empty(t, claims["permissions"])

	const buyer = `["shop/nobody","shop/wechat-oBuyer"]`
	b.addRole(t, "buyer", buyer, `null`, `[]`)
	b.addRole(t, "customer", `[]`, `[]`, `["shop/buyer"]`)
	b.addRole(t, "everybody", `[]`, `[]`, `["shop/customer","shop/everybody"]`)
	b.addRole(t, "member", `[]`, `["shop/vip"]`, `[]`)
	b.addRole(t, "stranger", `["shop/wechat-oBuyers","else/wechat-oBuyer"]`, `["shop/vips"]`, `["shop/nothing"]`)
	b.addPermission(t, "own", buyer, `null`, `null`)
	b.addPermission(t, "as customer", `[]`, `[]`, `["shop/customer","shop/buyer"]`)
	b.addPermission(t, "as member", `[]`, `[]`, `["shop/member"]`)
	b.addPermission(t, "in a group", `[]`, `["*"]`, `[]`)
	b.addPermission(t, "nobody's", `["*"]`, `["shop/vips"]`, `["shop/stranger"]`)

	for name, c := range map[string]struct {
		groups             string
		roles, permissions []string
	}{
		"of the user": {`[]`, []string{"buyer", "customer", "everybody"}, []string{"own", "as customer"}},
		"in groups": {
			`["shop/new","shop/vip"]`, []string{"buyer", "member", "customer", "everybody"},
			[]string{"own", "in a group", "as customer", "as member"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b.exec(t, 1, `UPDATE "user" SET "groups"=? WHERE name=?`, c.groups, "wechat-oBuyer")
			b.clock.advance(5 * time.Second)
			claims := decode(t, b.signIn(t, "oBuyer").AccessToken)
			assert.ElementsMatch(t, c.roles, namesIn(t, claims["roles"]))
			assert.ElementsMatch(t, c.permissions, namesIn(t, claims["permissions"]))
		})
	}
	stored := b.row(t, `SELECT roles, permissions FROM "user" WHERE name=?`, "wechat-oBuyer")
	assert.NotContains(t, stored["roles"]+stored["permissions"], "shop", "the user's row has none of them")
}

func (b *beside) addRole(t *testing.T, name, users, groups, roles string) {
	t.Helper()
	b.exec(t, 1, `INSERT INTO "role" (owner, name, users, "groups", roles, is_enabled) VALUES (?, ?, ?, ?, ?, ?)`,
		shop, name, users, groups, roles, true)
}

func (b *beside) addPermission(t *testing.T, name, users, groups, roles string) {
	t.Helper()
	b.exec(t, 1, `INSERT INTO "permission" (owner, name, users, "groups", roles, is_enabled) VALUES (?, ?, ?, ?, ?, ?)`,
		shop, name, users, groups, roles, true)
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
