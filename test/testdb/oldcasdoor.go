package testdb

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// columnsV141 are the columns of Casdoor v1.41.0 (April 2022), as far as a v3.158 still has them.
func columnsV141() map[string]string {
	return map[string]string{
		"user": `owner name created_time updated_time id type password password_salt display_name first_name last_name
			avatar permanent_avatar email email_verified phone location address affiliation title id_card_type id_card
			homepage bio tag region language gender birthday education score karma ranking is_default_avatar is_online
			is_admin is_forbidden is_deleted signup_application hash pre_hash created_ip last_signin_time last_signin_ip
			github google qq wechat facebook dingtalk weibo gitee linkedin wecom lark gitlab adfs baidu alipay casdoor
			infoflow apple azuread slack steam ldap properties`,
		"token": `owner name created_time application organization user code access_token refresh_token expires_in scope
			token_type code_challenge code_is_used code_expire_in`,
		"application": `owner name created_time display_name logo homepage_url description organization cert
			enable_password enable_sign_up enable_signin_session enable_code_signin providers signup_items grant_types
			client_id client_secret redirect_uris token_format expire_in_hours refresh_expire_in_hours signup_url
			signin_url forget_url affiliation_url terms_of_use signup_html signin_html`,
		"cert": `owner name created_time display_name scope type crypto_algorithm bit_size expire_in_years private_key`,
		"provider": `owner name created_time display_name category type sub_type method client_id client_secret client_id2
			client_secret2 cert host port title content region_id sign_name template_code app_id endpoint
			intranet_endpoint domain bucket metadata id_p issuer_url enable_sign_authn_request provider_url`,
		"organization": `owner name created_time display_name website_url favicon password_type password_salt
			default_avatar tags master_password enable_soft_deletion`,
		"record": `id owner name created_time organization client_ip user method request_uri action is_triggered`,
	}
}

// OldCasdoor is Casdoor without the columns that came after v1.41. On MySQL its texts are of utf8mb3, as in a database
// that a Casdoor before v1.16.5 made, but for names with an emoji.
func (k Kind) OldCasdoor(t testing.TB) object.StoreConfig {
	t.Helper()
	cfg := k.Casdoor(t)
	db := Connect(t, cfg)
	for table, kept := range columnsV141() {
		dropOthers(t, db, k.Quote(table), table, strings.Fields(kept), k)
	}
	if k.Name == "mysql" {
		makeUTF8MB3(t, db)
	}
	return cfg
}

func makeUTF8MB3(t testing.TB, db *sql.DB) {
	t.Helper()
	for table := range columnsV141() {
		_, err := db.ExecContext(t.Context(), "ALTER TABLE `"+table+"` CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci")
		require.NoError(t, err, table)
	}
	_, err := db.ExecContext(t.Context(), "ALTER TABLE `user` MODIFY display_name varchar(100) CHARACTER SET utf8mb4")
	require.NoError(t, err)
}

// Quote quotes a name for a statement.
func (k Kind) Quote(name string) string {
	if k.Name == "postgres" {
		return `"` + name + `"`
	}
	return "`" + name + "`"
}

func dropOthers(t testing.TB, db *sql.DB, quoted, table string, kept []string, k Kind) {
	t.Helper()
	exec := func(statement string) {
		_, err := db.ExecContext(context.Background(), statement)
		require.NoError(t, err, statement)
	}
	rows, err := db.QueryContext(context.Background(), "SELECT * FROM "+quoted+" WHERE 1=0")
	require.NoError(t, err)
	columns, err := rows.Columns()
	require.NoError(t, err)
	require.NoError(t, rows.Close())
	require.Subset(t, columns, kept, "%s is not as expected", table)
	for _, column := range columns {
		if slices.Contains(kept, column) {
			continue
		}
		if k.Name == "sqlite" {
			exec("DROP INDEX IF EXISTS " + k.Quote("IDX_"+table+"_"+column))
		}
		exec("ALTER TABLE " + quoted + " DROP COLUMN " + k.Quote(column))
	}
}
