package storetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

// testMemberBeside does with a Casdoor's rows what a user may ask for beside the profile, and deletes them.
func (s *besideSuite) testMemberBeside(t *testing.T, b *beside) {
	first := b.signIn(t, "oMember")
	p := b.principal(t, first)
	require.NoError(t, b.service.StorePhone(t.Context(), p, "", "86-13800000000"))
	stored := b.row(t, `SELECT * FROM "user" WHERE name=?`, p.User.Name)
	assert.Equal(t, "13800000000", stored["phone"])
	assert.Contains(t, stored["properties"], `"wechatPhoneVerified":"+8613800000000"`)
	assert.Contains(t, stored["properties"], `"wechatOpenId":"oMember"`)
	plain, err := b.service.Decrypt(t.Context(), p, "", provider.EncryptedData{Data: sessionKey("oMember").Reveal() + `{}`})
	require.NoError(t, err)
	assert.JSONEq(t, "{}", string(plain))

	export, err := b.service.Export(t.Context(), p)
	require.NoError(t, err)
	assert.Equal(t, "oMember", export.Identities[0].OpenID)
	require.Len(t, export.Tokens, 1)
	if s.kind != FromSDK { // which keeps no records
		require.Len(t, export.Records, 2)
		assert.Contains(t, []string{"update-user", "login/oauth/access_token"}, export.Records[0].Action)
		assert.Equal(t, "203.0.113.7", export.Records[0].ClientIP+export.Records[1].ClientIP)
	}
	before := b.row(t, `SELECT COUNT(*) AS n FROM "user"`)
	require.NoError(t, b.service.Delete(t.Context(), p, "", "oMember"))
	if s.kind != FromSDK {
		assert.Len(t, b.rows(t, `SELECT name FROM "record" WHERE action='delete-user' AND "user"=?`, p.User.Name), 1)
	}
	_, err = b.service.Authenticate(t.Context(), first.AccessToken)
	assertRefused(t, err, object.InvalidToken)
	assert.Empty(t, b.rows(t, `SELECT name FROM "user" WHERE name=?`, p.User.Name))
	assert.Empty(t, b.rows(t, `SELECT name FROM "token" WHERE "user"=?`, p.User.Name))
	assert.Empty(t, b.rows(t, `SELECT open_id FROM mini_program_identity WHERE open_id='oMember'`))
	assert.NotEqual(t, before, b.row(t, `SELECT COUNT(*) AS n FROM "user"`))
	assert.True(t, b.signIn(t, "oMember").NewUser)
}
