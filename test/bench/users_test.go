package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/testdb"
)

func TestOpenIDsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for n := range 1000 {
		seen[openID(n)] = true
		assert.Len(t, openID(n), 28, "as long as WeChat's")
	}
	assert.Len(t, seen, 1000)
}

func TestNumbersSQLHasAllDigits(t *testing.T) {
	t.Parallel()
	for count, digits := range map[int]int{1: 0, 2: 1, 10: 1, 11: 2, 1000: 3, 1001: 4, 2000000: 7} {
		assert.Equal(t, digits*len("0123456789"), strings.Count(numbersSQL(count), "SELECT ")-1, "%d users", count)
	}
}

// TestMultiply copies a user in the server's real schema.
func TestMultiply(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, cfg object.StoreConfig) {
		store, _, err := object.Open(t.Context(), cfg)
		require.NoError(t, err)
		store.Close()
		db := testdb.Connect(t, cfg)
		user := syntaxOf(cfg.DriverName).quote("user")
		value := func(query string) (text string) {
			require.NoError(t, db.QueryRow(strings.ReplaceAll(query, "{user}", user)).Scan(&text), query)
			return text
		}
		first := openID(0)
		for _, statement := range []string{
			"INSERT INTO {user} (owner, name, id, wechat, properties) " +
				"VALUES ('bench', 'wechat-%[1]s', 'id-0', '%[1]s', '{\"wechatOpenId\":\"%[1]s\"}')",
			"INSERT INTO token (owner, name, organization, {user}, access_token_hash, refresh_token_hash) " +
				"VALUES ('admin', 'token-0', 'bench', 'wechat-%[1]s', 'access-0', 'refresh-0')",
			"INSERT INTO mini_program_identity (organization, app_id, open_id, user_id) " +
				"VALUES ('bench', 'wx1', '%[1]s', 'id-0')",
			"INSERT INTO mini_program_session (organization, app_id, open_id, sealed_key, key_id) " +
				"VALUES ('bench', 'wx1', '%[1]s', 'sealed', 'k')",
		} {
			_, err := db.Exec(fmt.Sprintf(strings.ReplaceAll(statement, "{user}", user), first))
			require.NoError(t, err)
		}

		const users = 50
		require.NoError(t, multiply(t.Context(), cfg, users))
		for n := range users {
			var properties, name string
			var tokens, sessions int
			query := "SELECT MAX(u.properties), MAX(t.{user}), COUNT(DISTINCT t.access_token_hash), " +
				"COUNT(DISTINCT s.open_id) FROM mini_program_identity i " +
				"JOIN {user} u ON u.owner=i.organization AND u.id=i.user_id JOIN mini_program_session s ON s.open_id=i.open_id " +
				"JOIN token t ON t.{user}=u.name WHERE i.open_id='" + openID(n) + "'"
			row := db.QueryRow(strings.ReplaceAll(query, "{user}", user))
			require.NoError(t, row.Scan(&properties, &name, &tokens, &sessions), "user %d", n)
			assert.Equal(t, fmt.Sprintf(`{"wechatOpenId":"%s"}`, openID(n)), properties)
			assert.Equal(t, "wechat-"+openID(n), name)
			assert.Equal(t, []int{1, 1}, []int{tokens, sessions})
		}
		for _, column := range []string{"id", "name", "wechat"} {
			assert.Equal(t, fmt.Sprint(users), value("SELECT COUNT(DISTINCT "+column+") FROM {user} WHERE owner='bench'"))
		}
		assert.Equal(t, fmt.Sprint(users), value("SELECT COUNT(DISTINCT refresh_token_hash) FROM token"))
	})
}
