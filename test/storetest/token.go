package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// eachRefreshFormat runs a test with opaque refresh tokens and with JWTs.
func (s *suite) eachRefreshFormat(t *testing.T, test func(t *testing.T, n *tenant)) {
	t.Helper()
	for name, isJWT := range map[string]bool{"opaque": false, "jwt": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s.tenant(t, setup{refreshJWT: isJWT}))
		})
	}
}

func (n *tenant) refresh(t *testing.T, token *object.Token) *object.Token {
	t.Helper()
	next, err := n.service.Refresh(t.Context(), n.client(t), token.RefreshToken, issuer)
	require.NoError(t, err)
	return next
}

func (s *suite) testRefresh(t *testing.T) {
	s.eachRefreshFormat(t, func(t *testing.T, n *tenant) {
		t.Run("rotation", func(t *testing.T) { testRotation(t, n) })
		t.Run("reuse ends the family", func(t *testing.T) { testReuse(t, n) })
		t.Run("refused", func(t *testing.T) { testRefreshRefused(t, n) })
		t.Run("forged", func(t *testing.T) { testForgedRefresh(t, n) })
		t.Run("earlier row", func(t *testing.T) { testEarlierRow(t, n) })
	})
}

func testRotation(t *testing.T, n *tenant) {
	first := n.signIn(t, "oRotation")
	second := n.refresh(t, first)
	assert.NotEqual(t, first.AccessToken, second.AccessToken)
	assert.NotEqual(t, first.RefreshToken, second.RefreshToken)
	assert.Equal(t, strings.Count(first.RefreshToken, "."), strings.Count(second.RefreshToken, "."))
	assert.Equal(t, first.UserName, second.UserName)
	assert.Equal(t, "wechat-oRotation", n.principal(t, second).User.Name)
	_, err := n.service.Authenticate(t.Context(), first.AccessToken)
	assertRefused(t, err, object.InvalidToken)
	third := n.refresh(t, second)
	n.principal(t, third)
	assert.Len(t, n.rows(t, `SELECT name FROM "token" WHERE organization=? AND "user"=?`, n.name, "wechat-oRotation"), 1,
		"a family is one row, however often it is refreshed")
}

func testReuse(t *testing.T, n *tenant) {
	other := n.signIn(t, "oVictim")
	first := n.signIn(t, "oVictim")
	second := n.refresh(t, first)
	third := n.refresh(t, second)
	_, err := n.service.Refresh(t.Context(), n.client(t), first.RefreshToken, issuer)
	assertRefused(t, err, object.InvalidGrant)
	for _, token := range []*object.Token{first, second, third} {
		n.assertDead(t, token)
	}
	n.principal(t, other) // another sign-in of the same user goes on
	n.refresh(t, other)
}

func testRefreshRefused(t *testing.T, n *tenant) {
	token := n.signIn(t, "oRefused")
	for name, text := range map[string]string{
		"empty": "", "access token": token.AccessToken, "made up": "x", "truncated": token.RefreshToken[1:],
		"damaged": token.RefreshToken + "A",
	} {
		_, err := n.service.Refresh(t.Context(), n.client(t), text, issuer)
		assertRefused(t, err, object.InvalidGrant)
		assert.NotContains(t, err.Error(), token.RefreshToken, name)
	}
	_, err := n.service.Refresh(t.Context(), n.clientOf(t, n.addApplication(t)), token.RefreshToken, issuer)
	assertRefused(t, err, object.InvalidGrant)
	other := n.suite.tenant(t, setup{refreshJWT: n.setup.refreshJWT})
	_, err = n.service.Refresh(t.Context(), other.client(t), token.RefreshToken, issuer)
	assertRefused(t, err, object.InvalidGrant)
	_, err = n.service.Authenticate(t.Context(), token.RefreshToken)
	assertRefused(t, err, object.InvalidToken)
	n.exec(t, 1, `UPDATE "application" SET is_shared=? WHERE name=?`, true, "app-"+n.name)
	n.clock.Advance(time.Minute)
	_, err = n.service.Refresh(t.Context(), n.clientOf(t, "app-"+n.name+"-org-"+other.name), token.RefreshToken, issuer)
	assertRefused(t, err, object.InvalidGrant)
	n.refresh(t, token) // none of this has spent it
}

// A tenant may bring a cert of its own, and so sign what it likes.
func testForgedRefresh(t *testing.T, n *tenant) {
	evil := n.suite.tenant(t, setup{})
	evil.apply(t, row{"certs": []row{{"owner": evil.name, "name": "cert-" + evil.name, "cryptoAlgorithm": "ES256"}}})
	token := n.signIn(t, "oForged")
	name := n.row(t, `SELECT name FROM "token" WHERE organization=? AND "user"=?`, n.name, token.UserName)["name"]
	subject := n.principal(t, token).User.Id
	forge := func(jti string) string {
		return n.sign(t, "cert-"+evil.name, jwt.MapClaims{
			"tokenType": "refresh-token", "jti": jti, "sub": subject, "exp": n.clock.Now().Add(time.Hour).Unix(),
		})
	}
	for _, jti := range []string{"admin/" + name, "admin/\x00" + name, "admin/" + name + "\x00", "", "/", "\x00"} {
		for _, client := range []*object.Client{evil.client(t), n.client(t)} { // anybody may know a client id
			_, err := n.service.Refresh(t.Context(), client, forge(jti), issuer)
			assertRefused(t, err, object.InvalidGrant)
		}
		_, err := n.service.Authenticate(t.Context(), forge(jti))
		assertRefused(t, err, object.InvalidToken)
		n.assertInactive(t, n.client(t), forge(jti))
	}
	n.principal(t, token) // nobody else has ended it

	// A row that an admin has made, by whatever name, is no sign-in.
	odd := forge("admin/odd-" + n.name)
	n.exec(t, 1, `UPDATE "token" SET name=?, refresh_token_hash=? WHERE organization=? AND name=?`,
		"odd-"+n.name, hashOf(odd), n.name, name)
	_, err := n.service.Refresh(t.Context(), n.client(t), odd, issuer)
	assertRefused(t, err, object.InvalidGrant)
	// It may lack times.
	bare := n.sign(t, fastCert, jwt.MapClaims{"jti": "admin/odd-" + n.name, "exp": n.clock.Now().Add(time.Hour).Unix()})
	n.exec(t, 1, `UPDATE "token" SET access_token_hash=?, grant_type='client_credentials' WHERE organization=? AND name=?`,
		hashOf(bare), n.name, "odd-"+n.name)
	answer := n.introspect(t, n.client(t), bare)
	assert.True(t, answer.Active)
	assert.Zero(t, answer.Iat)
}

// sign makes a token with the key of a cert.
func (s *suite) sign(t *testing.T, cert string, claims jwt.MapClaims) string {
	t.Helper()
	key, err := jwt.ParseECPrivateKeyFromPEM([]byte(s.row(t, `SELECT private_key FROM "cert" WHERE name=?`, cert)["private_key"]))
	require.NoError(t, err)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = cert
	text, err := token.SignedString(key)
	require.NoError(t, err)
	return text
}

// A row of an earlier version, whose hash the row's id precedes, is refreshed as any other.
func testEarlierRow(t *testing.T, n *tenant) {
	first := n.signIn(t, "oEarlier")
	row := n.row(t, `SELECT name, refresh_token_hash FROM "token" WHERE organization=? AND "user"=?`, n.name, first.UserName)
	require.Len(t, row["refresh_token_hash"], 64)
	n.exec(t, 1, `UPDATE "token" SET refresh_token_hash=? WHERE organization=? AND name=?`,
		strings.ReplaceAll(row["name"], "-", "")+row["refresh_token_hash"], n.name, row["name"])
	second := n.refresh(t, first)
	n.refresh(t, second)
	_, err := n.service.Refresh(t.Context(), n.client(t), first.RefreshToken, issuer)
	assertRefused(t, err, object.InvalidGrant)
	n.assertDead(t, second)
}

func (s *suite) testTokenLife(t *testing.T) {
	s.eachRefreshFormat(t, func(t *testing.T, n *tenant) {
		t.Run("expiry", func(t *testing.T) { testExpiry(t, n) })
		t.Run("clocks", func(t *testing.T) { testClocks(t, n) })
		t.Run("logout", func(t *testing.T) { testLogout(t, n) })
		t.Run("user made again", func(t *testing.T) { testUserMadeAgain(t, n) })
		t.Run("cert deleted", func(t *testing.T) { testCertDeleted(t, n) })
	})
}

func testExpiry(t *testing.T, n *tenant) {
	token := n.signIn(t, "oExpiry")
	n.clock.Advance(time.Hour - 2*time.Second)
	n.principal(t, token)
	n.clock.Advance(2 * time.Second)
	_, err := n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.InvalidToken, "expired")
	n.assertInactive(t, n.client(t), token.AccessToken)
	token = n.refresh(t, token)
	n.principal(t, token)
	n.clock.Advance(24*time.Hour - 2*time.Second)
	token = n.refresh(t, token)
	n.clock.Advance(24 * time.Hour)
	n.assertInactive(t, n.client(t), token.RefreshToken)
	_, err = n.service.Refresh(t.Context(), n.client(t), token.RefreshToken, issuer)
	assertRefused(t, err, object.InvalidGrant, "expired")
}

// testClocks has a token used at once on an instance whose clock is behind, which must not lengthen its life either.
func testClocks(t *testing.T, n *tenant) {
	n.clock.Advance(30 * time.Second)
	token := n.signIn(t, "oClocks")
	n.clock.Advance(-30 * time.Second)
	n.principal(t, token)
	n.clock.Advance(-time.Second)
	n.service = n.newService(t, n.sealer) // which has not verified it yet
	_, err := n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.InvalidToken)
	n.clock.Advance(31*time.Second + time.Hour)
	_, err = n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.InvalidToken, "expired")
}

func testLogout(t *testing.T, n *tenant) {
	token, other := n.signIn(t, "oLeaver"), n.signIn(t, "oLeaver")
	_, err := n.service.Logout(t.Context(), token.AccessToken)
	require.NoError(t, err)
	n.assertDead(t, token)
	n.principal(t, other)
}

func testUserMadeAgain(t *testing.T, n *tenant) {
	token := n.signIn(t, "oAgain")
	n.exec(t, 1, `UPDATE "user" SET id=? WHERE owner=? AND name=?`, "another", n.name, token.UserName)
	n.assertDead(t, token)
	n.exec(t, 1, `DELETE FROM "user" WHERE owner=? AND name=?`, n.name, token.UserName)
	n.assertDead(t, token)
}

// testCertDeleted takes a cert away: what it has signed is refused, also where it was verified before.
func testCertDeleted(t *testing.T, n *tenant) {
	old := "old-" + n.name
	n.apply(t, row{"certs": []row{{"owner": "admin", "name": old, "cryptoAlgorithm": "ES256"}}})
	n.changeApplication(t, "app-"+n.name, row{"cert": old})
	token := n.signIn(t, "oOldCert")
	n.principal(t, token)
	n.changeApplication(t, "app-"+n.name, row{"cert": fastCert})
	n.principal(t, token)
	done, err := n.service.Certs().Delete(t.Context(), builtInAdmin(), "admin", old)
	require.NoError(t, err)
	require.True(t, done)
	_, err = n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.InvalidToken)
}

func (n *tenant) introspect(t *testing.T, c *object.Client, token string) object.Introspection {
	t.Helper()
	answer, err := n.service.Introspect(t.Context(), c, token)
	require.NoError(t, err)
	return answer
}

func (n *tenant) assertInactive(t *testing.T, c *object.Client, token string) {
	t.Helper()
	assert.Equal(t, object.Introspection{}, n.introspect(t, c, token))
}

func (s *suite) testIntrospect(t *testing.T) {
	s.eachRefreshFormat(t, func(t *testing.T, n *tenant) {
		token := n.signIn(t, "oAlice")
		t.Run("access token", func(t *testing.T) { testIntrospectAccess(t, n, token) })
		t.Run("refresh token", func(t *testing.T) {
			answer := n.introspect(t, n.client(t), token.RefreshToken)
			assert.True(t, answer.Active)
			assert.Equal(t, "wechat-oAlice", answer.Username)
			assert.Equal(t, n.setup.refreshJWT, answer.Exp != 0)
		})
		t.Run("inactive", func(t *testing.T) {
			other := s.tenant(t, setup{})
			for _, text := range []string{token.AccessToken, token.RefreshToken} {
				n.assertInactive(t, other.client(t), text)
			}
			for _, text := range []string{"", "x", token.AccessToken + "x", "a.b.c"} {
				n.assertInactive(t, n.client(t), text)
			}
			ended := n.signIn(t, "oEnded")
			n.exec(t, 1, `UPDATE "token" SET expires_in=0 WHERE organization=? AND "user"=?`, n.name, ended.UserName)
			n.assertDead(t, ended)
			n.exec(t, 1, `UPDATE "user" SET is_forbidden=? WHERE owner=? AND name=?`, true, n.name, token.UserName)
			for _, text := range []string{token.AccessToken, token.RefreshToken} {
				n.assertInactive(t, n.client(t), text)
			}
		})
		t.Run("client credentials", func(t *testing.T) { testClientToken(t, n) })
	})
}

func testIntrospectAccess(t *testing.T, n *tenant, token *object.Token) {
	answer := n.introspect(t, n.client(t), token.AccessToken)
	assert.NotEmpty(t, answer.Jti)
	now := n.clock.Now().Unix()
	assert.Equal(t, object.Introspection{
		Active: true, ClientID: "app-" + n.name, Username: "wechat-oAlice", TokenType: "Bearer",
		Iat: now, Nbf: now, Exp: now + 3600, Sub: n.principal(t, token).User.Id, Aud: []string{"app-" + n.name},
		Iss: issuer, Jti: answer.Jti,
	}, answer)
	second := n.clientOf(t, n.addApplication(t))
	assert.Equal(t, answer, n.introspect(t, second, token.AccessToken), "an application of the same organization may ask")
}

func testClientToken(t *testing.T, n *tenant) {
	token, err := n.service.ClientToken(t.Context(), n.client(t), issuer, "read")
	require.NoError(t, err)
	assert.Empty(t, token.RefreshToken)
	answer := n.introspect(t, n.client(t), token.AccessToken)
	assert.True(t, answer.Active)
	assert.Equal(t, "read", answer.Scope)
	_, err = n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.InvalidToken)
	n.clock.Advance(2 * time.Hour)
	n.assertInactive(t, n.client(t), token.AccessToken)
}
