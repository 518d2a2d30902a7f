package main

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// TestMultiply copies a user in the server's real schema.
func TestMultiply(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users.db")
	store, _, err := object.Open(t.Context(), object.StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + file})
	require.NoError(t, err)
	store.Close()
	db, err := sql.Open("sqlite", "file:"+file)
	require.NoError(t, err)
	defer db.Close()
	first := openID(0)
	for _, statement := range []string{
		"INSERT INTO user (owner, name, id, wechat, properties, is_admin) " +
			"VALUES ('bench', 'wechat-%[1]s', 'id-0', '%[1]s', '{\"wechatOpenId\":\"%[1]s\"}', 0)",
		"INSERT INTO token (owner, name, organization, user, access_token_hash, refresh_token_hash) " +
			"VALUES ('admin', 'token-0', 'bench', 'wechat-%[1]s', 'access-0', 'refresh-0')",
		"INSERT INTO mini_program_identity (organization, app_id, open_id, user_id) VALUES ('bench', 'wx1', '%[1]s', 'id-0')",
		"INSERT INTO mini_program_session (organization, app_id, open_id, sealed_key, key_id) " +
			"VALUES ('bench', 'wx1', '%[1]s', 'sealed', 'k')",
	} {
		_, err := db.Exec(fmt.Sprintf(statement, first))
		require.NoError(t, err)
	}

	const users = 50
	require.NoError(t, multiply(t.Context(), file, users))
	for n := range users {
		var properties, user string
		var tokens, sessions int
		err := db.QueryRow("SELECT u.properties, t.user, COUNT(DISTINCT t.access_token_hash), COUNT(DISTINCT s.open_id) "+
			"FROM mini_program_identity i JOIN user u ON u.owner=i.organization AND u.id=i.user_id "+
			"JOIN mini_program_session s ON s.open_id=i.open_id JOIN token t ON t.user=u.name WHERE i.open_id=?", openID(n)).
			Scan(&properties, &user, &tokens, &sessions)
		require.NoError(t, err, "user %d", n)
		assert.Equal(t, fmt.Sprintf(`{"wechatOpenId":"%s"}`, openID(n)), properties)
		assert.Equal(t, "wechat-"+openID(n), user)
		assert.Equal(t, []int{1, 1}, []int{tokens, sessions})
	}
	for _, column := range []string{"id", "name", "wechat"} {
		var distinct int
		require.NoError(t, db.QueryRow("SELECT COUNT(DISTINCT "+column+") FROM user WHERE owner='bench'").Scan(&distinct))
		assert.Equal(t, users, distinct, column)
	}
}
