package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testSecrets looks for what must not be in the database in clear.
func (s *suite) testSecrets(t *testing.T) {
	s.eachRefreshFormat(t, func(t *testing.T, n *tenant) {
		first := n.signIn(t, "oAlice")
		second := n.refresh(t, first)
		credentials, err := n.service.ClientToken(t.Context(), n.client(t), issuer, "")
		require.NoError(t, err)
		tokens := n.tokenRows(t)
		require.Len(t, tokens, 2)
		session := n.row(t, "SELECT * FROM mini_program_session WHERE organization=?", n.name)
		stored := fmt.Sprint(tokens, session, n.rows(t, `SELECT * FROM "user" WHERE owner=?`, n.name))
		for what, secret := range map[string]string{
			"access token": first.AccessToken, "refresh token": first.RefreshToken,
			"next access token": second.AccessToken, "next refresh token": second.RefreshToken,
			"client token": credentials.AccessToken, "session key": sessionKey("oAlice").Reveal(),
		} {
			assert.NotEmpty(t, secret, what)
			assert.NotContains(t, stored, secret, what)
		}
		for _, row := range tokens {
			assert.Empty(t, row["code"])
			assert.Len(t, row["access_token_hash"], 64)
		}
		assert.NotEmpty(t, session["sealed_key"])
		n.signIn(t, "oAlice")
		again := n.row(t, "SELECT * FROM mini_program_session WHERE organization=?", n.name)
		assert.NotEqual(t, session["sealed_key"], again["sealed_key"], "each sign-in brings a new key")
	})
}
