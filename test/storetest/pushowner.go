package storetest

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/provider"
)

// addOwnProvider gives the tenant a provider that is not admin's, as its own admin makes one: with any AppID. It
// returns the name.
func (n *tenant) addOwnProvider(t *testing.T, appID string) string {
	t.Helper()
	name := "own-wx-" + n.name
	n.apply(t, row{
		"providers": []row{{
			"owner": n.name, "name": name, "category": "OAuth", "type": "WeChatMiniProgram",
			"clientId": appID, "clientSecret": "own-app-secret-" + n.name,
		}},
		"miniProgramProviders": []row{fields{"owner": n.name, "name": name}.with(n.setup.options)},
	})
	return name
}

// testPushOwner has another tenant push to a provider with the AppID of this one.
func testPushOwner(t *testing.T, n *tenant) {
	sameApp := setup{provider: row{"clientId": "wx" + n.name}, options: row{"pushToken": pushToken}}
	evil := n.suite.tenant(t, sameApp)
	forger := evil.addOwnProvider(t, "wx"+n.name)
	alice, mallory := n.fill(t, "oAlice"), evil.fill(t, "oAlice")
	adopted := n.fill(t, "oAdopted")
	n.exec(t, 1, `UPDATE "mini_program_identity" SET app_id='' WHERE organization=? AND open_id=?`, n.name, "oAdopted")
	token := n.signIn(t, "oAlice")
	victims := []*object.Principal{alice, adopted}
	untouched := []map[string]string{n.stored(t, alice), n.stored(t, adopted)}

	everything := provider.Withdrawn{Nickname: true, Avatar: true, Phone: true, Email: true}
	for _, openID := range []string{"oAlice", "oAdopted"} {
		for _, e := range []provider.PushEvent{
			{Name: provider.PushRevoked, Withdrawn: everything}, {Name: provider.PushProfileCleaned, Withdrawn: everything},
			{Name: provider.PushAccountClosed},
		} {
			e.OpenID, e.Key = openID, e.Name+openID
			require.NoError(t, pushTo(t, evil.service, forger, e))
		}
	}
	for i, victim := range victims {
		assert.Equal(t, untouched[i], n.stored(t, victim))
	}
	_, err := n.service.Authenticate(t.Context(), token.AccessToken)
	assert.NoError(t, err)
	assert.Equal(t, "Alice", n.principal(t, n.signIn(t, "oAlice")).User.DisplayName)
	user := evil.find(t, mallory.User.Name)
	assert.True(t, user.IsForbidden, "its own users it reaches")
	assert.Equal(t, make([]string, 7), profile(user))

	own := n.addOwnProvider(t, "wx"+n.name)
	require.NoError(t, pushTo(t, n.service, own, provider.PushEvent{
		Name: provider.PushRevoked, OpenID: "oAlice", Withdrawn: provider.Withdrawn{Phone: true}, Key: "own",
	}))
	user = n.find(t, alice.User.Name)
	assert.Equal(t, []string{"", "Alice"}, []string{user.Phone, user.DisplayName})

	neighbour := n.suite.tenant(t, sameApp)
	bob := neighbour.fill(t, "oAlice")
	require.NoError(t, n.push(t, n.service, provider.PushEvent{
		Name: provider.PushAccountClosed, OpenID: "oAlice", Key: "all",
	}))
	assert.True(t, n.find(t, alice.User.Name).IsForbidden)
	assert.True(t, neighbour.find(t, bob.User.Name).IsForbidden, "what is admin's speaks for all organizations")
}

// testVerdictOwner has pictures judged by providers whose platform was not asked, and then by the one that was.
func testVerdictOwner(t *testing.T, n *tenant) {
	evil := n
	n = n.suite.tenant(t, setup{options: row{"pushToken": pushToken, "checkAvatar": "async"}, files: filesFor(t)})
	forger, own := evil.addOwnProvider(t, "wx"+n.name), n.addOwnProvider(t, "wx"+n.name)

	for i, c := range []struct {
		asked  string // the provider that gives the picture to its platform
		others []string
	}{
		{"wx-" + n.name, []string{forger, own}},
		{own, []string{forger, "wx-" + n.name}},
	} {
		openID := fmt.Sprintf("oMedia%d-%s", i, n.name)
		judge := func(name string, suggestion provider.Suggestion) {
			require.NoError(t, pushTo(t, n.service, name, provider.PushEvent{
				Name: provider.PushMediaChecked, Key: openID + string(suggestion),
				Verdict: provider.Verdict{TraceID: traceOf(openID), Suggestion: suggestion},
			}))
		}
		n.apply(t, row{"applications": []row{n.application("app-", c.asked[:len(c.asked)-len(n.name)], setup{})}})
		n.clock.Advance(settingsAge)
		p := n.principal(t, n.signIn(t, openID))
		state := func() string {
			return n.row(t, "SELECT state FROM mini_program_upload WHERE user_id=?", p.User.Id)["state"]
		}
		for _, other := range c.others {
			judge(other, provider.SuggestPass) // before the upload, whose TraceID is no secret here
		}
		require.True(t, n.upload(t, p).Pending)
		for _, other := range c.others {
			judge(other, provider.SuggestRisky)
			assert.Equal(t, "pending", state(), other)
		}
		judge(c.asked, provider.SuggestPass)
		assert.Equal(t, "used", state(), c.asked)
		assert.NotEmpty(t, n.find(t, p.User.Name).Avatar)
	}
}

// filesFor returns a folder of pictures that ends with the test.
func filesFor(t *testing.T) object.Files {
	t.Helper()
	files, err := blob.NewFolder(t.TempDir(), "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = files.Close() })
	return files
}

// upload sends a picture.
func (n *tenant) upload(t *testing.T, p *object.Principal) object.Avatar {
	t.Helper()
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 64))))
	avatar, err := n.service.UploadAvatar(t.Context(), p, object.AvatarRequest{
		File: bytes.NewReader(picture.Bytes()), Size: int64(picture.Len()),
	})
	require.NoError(t, err)
	return avatar
}
