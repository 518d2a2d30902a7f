package storetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// testPasswordBeside signs the captured admin in, with the hash that Casdoor made.
func (s *besideSuite) testPasswordBeside(t *testing.T, b *beside) {
	if s.kind == FromSDK {
		b.exec(t, 1, `INSERT INTO "user" (owner, name, id, password, password_type, is_admin, signup_application)
			VALUES ('shop', 'boss', 'boss-id', ?, 'bcrypt', ?, 'app-shop')`, quickHash(t, "boss123"), true)
		b.exec(t, 1, `UPDATE application SET enable_password=? WHERE name='app-shop'`, true)
	}
	signIn := func(password string) (*object.Caller, string, error) {
		token, c, err := b.service.SignInByPassword(t.Context(), object.PasswordSignIn{
			Application: "app-shop", Organization: "shop", Username: "boss", Password: password, ClientIP: "192.0.2.7",
		})
		return c, token, err
	}
	_, _, err := signIn("boss124")
	require.ErrorContains(t, err, wrong(4))
	c, token, err := signIn("boss123")
	require.NoError(t, err)
	assert.Equal(t, object.Admin, c.Role)
	again, err := b.service.SessionCaller(t.Context(), token)
	require.NoError(t, err)
	assert.Equal(t, []string{"shop", "boss"}, []string{again.Organization, again.Name})
	listed, err := b.service.Sessions(t.Context(), c, object.ListQuery{Field: "name", Value: "boss"})
	require.NoError(t, err)
	require.Len(t, listed.Rows, 1)
	assert.Equal(t, 1, listed.Total)
	assert.Len(t, listed.Rows[0].SessionId, 1)
	_, _, err = signIn("boss124")
	require.ErrorContains(t, err, wrong(4), "the right one gave the chances back")
	for range 4 {
		_, _, err = signIn("boss124")
	}
	require.ErrorContains(t, err, wrong(0))
	_, _, err = signIn("boss123")
	require.ErrorContains(t, err, frozen(15))
}
