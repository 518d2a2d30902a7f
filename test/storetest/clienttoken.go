package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// clientToken returns what an application gets for itself.
func (n *tenant) clientToken(t *testing.T, c *object.Client) string {
	t.Helper()
	token, err := n.service.ClientToken(t.Context(), c, issuer, "")
	require.NoError(t, err)
	assert.True(t, n.introspect(t, c, token.AccessToken).Active)
	return token.AccessToken
}

func (n *tenant) assertManages(t *testing.T, token, application string) {
	t.Helper()
	caller, err := n.service.TokenCaller(t.Context(), token)
	require.NoError(t, err)
	assert.Equal(t, application, caller.Name)
}

func (n *tenant) assertManagesNoMore(t *testing.T, token string) {
	t.Helper()
	_, err := n.service.TokenCaller(t.Context(), token)
	assertRefused(t, err, object.InvalidToken)
}

// signFor signs a token anew that says that it is for another client, and has its row know it.
func (n *tenant) signFor(t *testing.T, token, clientID string) string {
	t.Helper()
	claims := decode(t, token)
	claims["aud"] = []string{clientID}
	signed := n.sign(t, fastCert, claims)
	_, name, _ := strings.Cut(claims["jti"].(string), "/")
	n.exec(t, 1, `UPDATE "token" SET access_token_hash=? WHERE name=?`, hashOf(signed), name)
	return signed
}

func builtInAdmin() *object.Caller {
	return &object.Caller{Role: object.Global, Organization: "built-in", Name: "admin"}
}

// changeApplication has an administrator of built-in change some fields of an application.
func (n *tenant) changeApplication(t *testing.T, name string, change row) {
	t.Helper()
	done, err := n.service.Applications().Update(t.Context(), builtInAdmin(), "admin", name, nil, jsonOf(t, change))
	require.NoError(t, err)
	assert.True(t, done)
}

// testClientTokens changes the client secret of an application: what the former one has got ends, and nothing else.
func (s *suite) testClientTokens(t *testing.T) {
	n, other := s.tenant(t, setup{}), s.tenant(t, setup{})
	app := "app-" + n.name
	user, others := n.signIn(t, "oStays"), n.clientToken(t, other.client(t))
	first := n.clientToken(t, n.client(t))
	n.assertManages(t, first, app)
	n.changeApplication(t, app, row{"clientSecret": "changed"})
	n.assertManagesNoMore(t, first)
	n.principal(t, user)
	n.assertManages(t, others, "app-"+other.name)

	second := n.clientToken(t, n.client(t))
	n.changeApplication(t, app, row{"clientSecret": "changed"}) // to what it is
	n.assertManages(t, second, app)
	s.apply(t, row{"applications": []row{{"owner": "admin", "name": app, "clientSecret": "by file"}}})
	n.assertManagesNoMore(t, second)

	n.exec(t, 1, "UPDATE application SET is_shared=? WHERE name=?", true, app)
	n.clock.Advance(time.Minute)
	third := n.clientToken(t, n.clientOf(t, app+"-org-"+other.name))
	_, err := n.service.TokenCaller(t.Context(), third)
	assertRefused(t, err, object.AccessDenied) // it speaks for the other organization, and looks after its own
	n.changeApplication(t, app, row{"clientSecret": "once more"})
	n.assertManagesNoMore(t, third)

	// Who has a cert may sign that a token is another client's: the row says whose it is.
	fourth := n.clientToken(t, n.client(t))
	n.assertManages(t, n.signFor(t, fourth, app), app)
	n.assertManagesNoMore(t, n.signFor(t, fourth, n.addApplication(t)))
	n.assertManagesNoMore(t, n.signFor(t, fourth, app+"-org-"+other.name))
}

// testClientTokensFollow changes the secret after other changes: they hide no token from it.
func (s *suite) testClientTokensFollow(t *testing.T) {
	n, other := s.tenant(t, setup{}), s.tenant(t, setup{})
	app, renamed := "app-"+n.name, "renamed-"+n.name

	token := n.clientToken(t, n.client(t))
	n.changeApplication(t, app, row{"name": renamed})
	n.assertManages(t, token, renamed)
	n.changeApplication(t, renamed, row{"clientSecret": "changed"})
	n.assertManagesNoMore(t, token)

	token = n.clientToken(t, n.client(t))
	require.NoError(t, n.service.Users().Add(t.Context(), n.app(), jsonOf(t, row{"owner": n.name, "name": renamed})))
	done, err := n.service.Users().Update(t.Context(), n.app(), n.name, renamed, nil, jsonOf(t, row{"name": "namesake"}))
	require.NoError(t, err)
	require.True(t, done)
	n.changeApplication(t, renamed, row{"clientSecret": "changed again"})
	n.assertManagesNoMore(t, token)

	token = n.clientToken(t, n.client(t))
	n.changeApplication(t, renamed, row{"organization": other.name})
	n.changeApplication(t, renamed, row{"clientSecret": "changed elsewhere"})
	n.changeApplication(t, renamed, row{"organization": n.name, "isShared": true})
	n.assertManagesNoMore(t, token)

	token = n.clientToken(t, n.clientOf(t, app+"-org-"+other.name))
	n.changeApplication(t, renamed, row{"isShared": false})
	n.changeApplication(t, renamed, row{"clientSecret": "changed alone"})
	n.changeApplication(t, renamed, row{"isShared": true})
	n.assertManagesNoMore(t, token)

	token = n.clientToken(t, n.client(t))
	done, err = n.service.Applications().Delete(t.Context(), builtInAdmin(), "admin", renamed)
	require.NoError(t, err)
	require.True(t, done)
	s.apply(t, row{"applications": []row{n.application("app-", "wx-", setup{application: row{"name": renamed}})}})
	n.clock.Advance(time.Minute)
	n.assertManagesNoMore(t, token)
}
