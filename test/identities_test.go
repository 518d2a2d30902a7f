package test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/testdb"
)

// checkIdentities looks past the server for users and identities that do not belong together.
func checkIdentities(t *testing.T, store object.StoreConfig) {
	t.Helper()
	db := testdb.Connect(t, store)
	for what, query := range identityProblems() {
		assert.Zero(t, count(t, db, store, query), what)
	}
}

// identityProblems are queries that count what must not be.
func identityProblems() map[string]string {
	const identityOfUser = "SELECT 1 FROM mini_program_identity i WHERE i.organization=u.owner AND i.user_id=u.id"
	return map[string]string{
		"users without identity": "SELECT COUNT(*) FROM {user} u WHERE u.name LIKE 'wechat-%' AND NOT EXISTS (" +
			identityOfUser + ")",
		"identities without user": "SELECT COUNT(*) FROM mini_program_identity i WHERE NOT EXISTS " +
			"(SELECT 1 FROM {user} u WHERE i.organization=u.owner AND i.user_id=u.id)",
		"identities that share a user": "SELECT COUNT(*)-COUNT(DISTINCT user_id) FROM mini_program_identity",
		"users that share an OpenID":   "SELECT COUNT(*)-COUNT(DISTINCT u.wechat) FROM {user} u WHERE u.name LIKE 'wechat-%'",
		"identities without session": "SELECT COUNT(*) FROM mini_program_identity i WHERE NOT EXISTS " +
			"(SELECT 1 FROM mini_program_session s WHERE s.organization=i.organization AND s.app_id=i.app_id " +
			"AND s.open_id=i.open_id)",
		"tokens without user": "SELECT COUNT(*) FROM token t WHERE NOT EXISTS " +
			"(SELECT 1 FROM {user} u WHERE u.owner=t.organization AND u.name=t.{user})",
	}
}

// count runs a query in which {user} stands for the word as the database wants it quoted.
func count(t *testing.T, db *sql.DB, store object.StoreConfig, query string) int {
	t.Helper()
	var n int
	query = strings.ReplaceAll(query, "{user}", quotedUser(store))
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n), query)
	return n
}

func quotedUser(store object.StoreConfig) string {
	if store.DriverName == "postgres" {
		return `"user"`
	}
	return "`user`"
}
