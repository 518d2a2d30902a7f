package storetest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

func isOurs(table string) bool { return strings.HasPrefix(table, "mini_program_") }

// testSchemaUntouched compares the whole schema, and what is in Casdoor's tables, before and after.
func (s *besideSuite) testSchemaUntouched(t *testing.T) {
	b := s.attach(t)
	schema, users := b.schema(t), b.rows(t, `SELECT * FROM "user" ORDER BY owner, name`)
	look, err := object.OpenAsItIs(t.Context(), b.cfg)
	require.NoError(t, err)
	_, err = look.DiagnoseApplications(t.Context())
	assert.NoError(t, err)
	assert.True(t, look.Bare())
	look.Close()
	assert.Empty(t, b.ownTables(t), "who only looks makes none")
	b.open(t)
	assert.Equal(t, users, b.rows(t, `SELECT * FROM "user" ORDER BY owner, name`), "a start changes no user")
	token := b.signIn(t, "oSchema")
	p := b.principal(t, token)
	_, err = b.service.UpdateProfile(t.Context(), p, []object.Change{{Field: "displayName", Value: "x"}})
	require.NoError(t, err)
	_, err = b.service.Logout(t.Context(), token.AccessToken)
	require.NoError(t, err)
	assert.Equal(t, schema, b.schema(t))
	assert.Len(t, b.ownTables(t), 14)
}

// schema describes all tables but ours: columns with types and defaults, and indexes.
func (b *beside) schema(t *testing.T) []string {
	t.Helper()
	var lines []string
	add := func(query string) {
		for _, row := range b.rows(t, query) {
			if !isOurs(row["tbl"]) {
				lines = append(lines, fmt.Sprint(row))
			}
		}
	}
	switch b.cfg.DriverName {
	case "sqlite":
		add("SELECT tbl_name AS tbl, name, sql FROM sqlite_master")
	case "mysql":
		for _, name := range tableNames(t, b.db, "mysql") {
			if !isOurs(name) {
				created := b.row(t, `SHOW CREATE TABLE "`+name+`"`)["Create Table"]
				lines = append(lines, regexp.MustCompile(` AUTO_INCREMENT=\d+`).ReplaceAllString(created, ""))
			}
		}
	default:
		add("SELECT table_name AS tbl, column_name, data_type, character_maximum_length, is_nullable, column_default " +
			"FROM information_schema.columns WHERE table_schema='public'")
		add("SELECT tablename AS tbl, indexname, indexdef FROM pg_indexes WHERE schemaname='public'")
	}
	require.Greater(t, len(lines), 6)
	slices.Sort(lines)
	return lines
}

// rowDifferences compares two rows, and returns the columns in which they differ as "theirs -> ours".
func rowDifferences(theirs, ours map[string]string) map[string]string {
	found := map[string]string{}
	for column, value := range theirs {
		if ours[column] != value {
			found[column] = value + " -> " + ours[column]
		}
	}
	return found
}

// testNewRow compares a user whom we make with one whom Casdoor made, column by column. README.md has this table.
func (s *besideSuite) testNewRow(t *testing.T, b *beside) {
	b.signIn(t, "oNew")
	theirs := b.row(t, `SELECT * FROM "user" WHERE name=?`, "wechat-oShopper2")
	ours := b.row(t, `SELECT * FROM "user" WHERE name=?`, "wechat-oNew")
	assert.Equal(t, "oNew", ours["wechat"])
	assert.Equal(t, openIDProperty("oNew"), ours["properties"])
	differ := rowDifferences(theirs, ours)
	for _, own := range []string{"id", "name", "wechat", "properties", "created_time", "updated_time"} {
		assert.Contains(t, differ, own)
		delete(differ, own)
	}
	expected := map[string]string{
		"ranking":          "3 -> 0",
		"created_ip":       " -> 203.0.113.7",
		"last_signin_ip":   " -> 203.0.113.7",
		"last_signin_time": " -> " + ours["last_signin_time"],
	}
	switch s.kind {
	case Captured: // casdoor-go-sdk does not know these columns. Casdoor reads NULL as the zero value.
		expected["uid_number"], expected["application_scopes"] = "0 -> ", "null -> "
	case FromSDK: // xorm, not Casdoor, has written the other row
		expected["webauthnCredentials"] = " -> null"
	}
	for column, change := range differ {
		assert.Equal(t, expected[column], change, column)
	}
	assert.NotEmpty(t, ours["last_signin_time"])
}

// testTokenRow compares token rows in the same way.
func (s *besideSuite) testTokenRow(t *testing.T, b *beside) {
	theirs := b.row(t, `SELECT * FROM "token" WHERE "user"=? AND code<>''`, "wechat-oShopper1")
	token := b.signIn(t, "oToken")
	ours := b.row(t, `SELECT * FROM "token" WHERE "user"=?`, "wechat-oToken")
	differ := rowDifferences(theirs, ours)
	for _, own := range []string{"name", "user", "created_time"} {
		assert.Contains(t, differ, own)
		delete(differ, own)
	}
	assert.NotEmpty(t, theirs["code"])
	assert.Empty(t, ours["code"], "the SessionKey is not kept in the clear")
	delete(differ, "code")
	if s.kind == V141 {
		assert.Equal(t, token.AccessToken, ours["access_token"])
		assert.Equal(t, token.RefreshToken, ours["refresh_token"])
	} else {
		assert.Empty(t, ours["access_token"]+ours["refresh_token"], "no token is kept in the clear")
		for _, hash := range []string{"access_token_hash", "refresh_token_hash"} {
			assert.Len(t, ours[hash], 64)
			delete(differ, hash)
		}
	}
	delete(differ, "access_token")
	delete(differ, "refresh_token")
	assert.Empty(t, differ)
}

// testRecordRow compares the records.
func (s *besideSuite) testRecordRow(t *testing.T, b *beside) {
	known := b.rows(t, `SELECT * FROM "record" ORDER BY id`)
	require.NotEmpty(t, known)
	b.signIn(t, "oRecord")
	after := b.rows(t, `SELECT * FROM "record" ORDER BY id`)
	require.Len(t, after, len(known)+1)
	ours := after[len(known)]
	differ := rowDifferences(known[0], ours)
	for _, own := range []string{"id", "name", "created_time"} {
		assert.Contains(t, differ, own)
		delete(differ, own)
	}
	expected := map[string]string{
		"client_ip":    known[0]["client_ip"] + " -> 203.0.113.7",
		"organization": " -> shop",
		"user":         " -> wechat-oRecord",
	}
	if s.kind != V141 {
		expected["object"] = known[0]["object"] + " -> tag=wechat_miniprogram&client_id=" + shopClient + "&code=***"
		expected["response"] = known[0]["response"] + ` -> {status:"ok", msg:""}`
	}
	assert.Equal(t, expected, differ)
}
