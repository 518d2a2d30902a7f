package storetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// kids are the keys that an application's tokens are verified with.
func (n *tenant) kids(t *testing.T, application string) []string {
	t.Helper()
	signer, err := n.service.Signer(t.Context(), application)
	require.NoError(t, err)
	kids := []string{}
	for _, key := range signer.Keys.Keys {
		assert.True(t, key.IsPublic(), key.KeyID)
		kids = append(kids, key.KeyID)
	}
	return kids
}

// addCert makes a cert of an organization's.
func (s *suite) addCert(t *testing.T, owner, name, algorithm string) string {
	t.Helper()
	s.apply(t, row{"certs": []row{{"owner": owner, "name": name, "cryptoAlgorithm": algorithm}}})
	return name
}

func (s *suite) testSigner(t *testing.T) {
	t.Run("names", s.testSignerNames)
	t.Run("former keys", s.testFormerKeys)
	t.Run("former keys follow", s.testFormerKeysFollow)
	t.Run("other signing methods", s.testSigningMethods)
	t.Run("no cert", func(t *testing.T) {
		n := s.tenant(t, setup{})
		n.exec(t, 1, `UPDATE "application" SET cert='nowhere' WHERE name=?`, "app-"+n.name)
		signer, err := n.service.Signer(t.Context(), "app-"+n.name)
		require.NoError(t, err)
		text, err := json.Marshal(signer.Keys)
		require.NoError(t, err)
		assert.JSONEq(t, `{"keys":[]}`, string(text))
		n.exec(t, 1, `UPDATE "application" SET cert='' WHERE name=?`, "app-"+n.name)
		n.clock.Advance(settingsAge)
		assert.Equal(t, []string{"cert-built-in"}, n.kids(t, "app-"+n.name))
	})
}

// testSignerNames looks applications up by their very names, and shared ones with an organization's too.
func (s *suite) testSignerNames(t *testing.T) {
	n, other := s.tenant(t, setup{}), s.tenant(t, setup{})
	own := "app-" + n.name
	assert.Equal(t, []string{fastCert}, n.kids(t, own))
	joined := own + "-org-" + other.name
	for _, name := range []string{
		"", "nope", strings.ToUpper(own), own + " ", joined, own + "-org-", "-org-" + n.name, own + "\x00", own + "\xff",
		"小程序", strings.Repeat("x", 10_000),
	} {
		_, err := n.service.Signer(t.Context(), name)
		assert.ErrorIs(t, err, object.ErrNotFound, "%.40q", name)
	}
	n.changeApplication(t, own, row{"isShared": true})
	assert.Equal(t, []string{fastCert}, n.kids(t, joined))
	for _, organization := range []string{"nope", strings.ToUpper(other.name), ""} {
		name := own + "-org-" + organization
		_, err := n.service.Signer(t.Context(), name)
		assert.ErrorIs(t, err, object.ErrNotFound, name)
	}
	evil := s.addCert(t, n.name, "evil-"+n.name, "ES256")
	s.apply(t, row{"applications": []row{
		fields(n.application("app-", "wx-", setup{})).with(row{"name": joined, "clientId": "evil-" + n.name, "cert": evil}),
	}})
	n.clock.Advance(settingsAge)
	assert.Equal(t, []string{fastCert}, n.kids(t, joined), "somebody has called an application like the shared one")
	n.changeApplication(t, own, row{"isShared": false})
	assert.Equal(t, []string{evil}, n.kids(t, joined))
}

// testFormerKeys has a key listed until the last token that it has signed has ended.
func (s *suite) testFormerKeys(t *testing.T) {
	n := s.tenant(t, setup{application: row{"expireInHours": 1, "refreshExpireInHours": 24}})
	app := "app-" + n.name
	second, third := s.addCert(t, "admin", "second-"+n.name, "ES256"), s.addCert(t, n.name, "third-"+n.name, "ES384")
	elsewhere := n.newService(t, s.sealer)
	_, err := elsewhere.Signer(t.Context(), app) // it knows the application as it was
	require.NoError(t, err)

	s.apply(t, row{"applications": []row{{"owner": "admin", "name": app, "cert": second}}})
	n.clock.Advance(settingsAge)
	assert.Equal(t, []string{second, fastCert}, n.kids(t, app))
	n.clock.Advance(12 * time.Hour)
	n.changeApplication(t, app, row{"cert": third})
	assert.Equal(t, []string{third, fastCert, second}, n.kids(t, app), "at once")
	n.clock.Advance(settingsAge)
	seen, err := elsewhere.Signer(t.Context(), app)
	require.NoError(t, err)
	assert.Len(t, seen.Keys.Keys, 3, "another instance sees it")
	n.clock.Advance(12*time.Hour - 10*time.Second)
	assert.Equal(t, []string{third, fastCert, second}, n.kids(t, app))
	n.clock.Advance(time.Minute)
	assert.Equal(t, []string{third, second}, n.kids(t, app))

	n.changeApplication(t, app, row{"expireInHours": 0.5, "refreshExpireInHours": 0.5}) // its tokens live on as before
	n.changeApplication(t, app, row{"cert": second})
	n.clock.Advance(13 * time.Hour)
	assert.Equal(t, []string{second, third}, n.kids(t, app))
	n.clock.Advance(12 * time.Hour)
	assert.Equal(t, []string{second}, n.kids(t, app))
}

// testFormerKeysFollow has former keys go where the application goes, and nobody else's in their place.
func (s *suite) testFormerKeysFollow(t *testing.T) {
	n, other := s.tenant(t, setup{}), s.tenant(t, setup{})
	own := s.addCert(t, n.name, "cert-"+n.name, "ES256")
	app, renamed := "app-"+n.name, "renamed-"+n.name
	n.changeApplication(t, app, row{"cert": own})
	n.changeApplication(t, app, row{"name": renamed})
	assert.Equal(t, []string{own, fastCert}, n.kids(t, renamed))
	_, err := n.service.Signer(t.Context(), app)
	assert.ErrorIs(t, err, object.ErrNotFound)
	n.changeApplication(t, renamed, row{"name": app, "cert": fastCert})
	assert.Equal(t, []string{fastCert, own}, n.kids(t, app))

	deleted, err := n.service.Certs().Delete(t.Context(), builtInAdmin(), n.name, own)
	require.NoError(t, err)
	require.True(t, deleted)
	assert.Equal(t, []string{fastCert}, n.kids(t, app), "a cert that is deleted verifies nothing")
	require.NoError(t, n.service.Certs().Add(t.Context(), other.app(), jsonOf(t, row{
		"owner": other.name, "name": own, "cryptoAlgorithm": "ES256",
	})))
	assert.Equal(t, []string{fastCert}, n.kids(t, app), "a stranger's cert has its name")

	next := s.addCert(t, "admin", "next-"+n.name, "ES256")
	n.changeApplication(t, app, row{"cert": next})
	deleted, err = n.service.Applications().Delete(t.Context(), builtInAdmin(), "admin", app)
	require.NoError(t, err)
	require.True(t, deleted)
	s.apply(t, row{"applications": []row{n.application("app-", "wx-", setup{application: row{"cert": next}})}})
	n.clock.Advance(settingsAge)
	assert.Equal(t, []string{next}, n.kids(t, app), "another application has its name")
}

// testSigningMethods names the algorithm of a key only where that is the only one: many verifiers take no other.
func (s *suite) testSigningMethods(t *testing.T) {
	n := s.tenant(t, setup{})
	app, rsa := "app-"+n.name, s.addCert(t, "admin", "rsa-"+n.name, "RS256")
	algorithms := func() (algorithms []string) {
		signer, err := n.service.Signer(t.Context(), app)
		require.NoError(t, err)
		for _, key := range signer.Keys.Keys {
			algorithms = append(algorithms, key.Algorithm)
		}
		return algorithms
	}
	n.changeApplication(t, app, row{"cert": rsa})
	assert.Equal(t, []string{"RS256", "ES256"}, algorithms())
	n.changeApplication(t, app, row{"tokenSigningMethod": "RS512"})
	assert.Equal(t, []string{"", "ES256"}, algorithms())
	n.changeApplication(t, app, row{"tokenSigningMethod": ""})
	assert.Equal(t, []string{"", "ES256"}, algorithms(), "tokens of the former method live")
	n.clock.Advance(25 * time.Hour)
	assert.Equal(t, []string{"RS256"}, algorithms())
}
