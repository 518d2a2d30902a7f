package storetest

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

const pushToken = "PushToken1"

func (s *suite) testPush(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *tenant){
		"Address": testPushAddress, "Withdrawn": testWithdrawn, "Closed": testClosed, "Once": testPushOnce,
		"Verdict": testVerdict, "Adopted": testPushAdopted, "Owner": testPushOwner, "VerdictOwner": testVerdictOwner,
	} {
		t.Run(name, func(t *testing.T) {
			// Chores are done for the whole database: those that look at what is due take turns, before the others.
			if name != "Closed" && name != "Once" {
				t.Parallel()
			}
			test(t, s.tenant(t, setup{options: row{"pushToken": pushToken}}))
		})
	}
}

// push delivers an event to a service.
func (n *tenant) push(t testing.TB, service *object.Authority, e provider.PushEvent) error {
	t.Helper()
	return pushTo(t, service, "wx-"+n.name, e)
}

func pushTo(t testing.TB, service *object.Authority, provider string, e provider.PushEvent) error {
	t.Helper()
	body, err := json.Marshal(e)
	require.NoError(t, err)
	return service.Push(t.Context(), provider, url.Values{"token": {pushToken}}, body)
}

func testPushAddress(t *testing.T, n *tenant) {
	query := url.Values{"token": {pushToken}, "echostr": {"42"}}
	echo, err := n.service.VerifyPush(t.Context(), "wx-"+n.name, query)
	require.NoError(t, err)
	assert.Equal(t, "42", echo)
	_, err = n.service.VerifyPush(t.Context(), "wx-"+n.name, url.Values{"token": {"forged"}})
	assert.Equal(t, provider.KindInvalidPush, provider.KindOf(err))
	n.apply(t, row{"providers": []row{{"owner": "admin", "name": "github-" + n.name, "type": "GitHub"}},
		"miniProgramProviders": []row{{"owner": "admin", "name": "github-" + n.name, "pushToken": pushToken}}})
	other := n.suite.tenant(t, setup{})
	for _, name := range []string{
		"nobody", "", "WX-" + n.name, "wx-" + other.name, "github-" + n.name, "\x00", "wx-" + n.name + "\x00", "a\xffb",
	} {
		_, err = n.service.VerifyPush(t.Context(), name, query)
		assert.ErrorIs(t, err, object.ErrNotFound, name)
		assert.ErrorIs(t, n.service.Push(t.Context(), name, query, []byte("{}")), object.ErrNotFound, name)
	}
	assert.NoError(t, n.push(t, n.service, provider.PushEvent{Name: "debug_demo", Key: "1"}), "is acknowledged")
}

// fill gives a user everything that can be withdrawn.
func (n *tenant) fill(t *testing.T, code string) *object.Principal {
	t.Helper()
	p := n.principal(t, n.signIn(t, code))
	_, err := n.update(t, p, row{
		"displayName": "Alice", "avatar": "https://example.com/a.png", "email": p.User.WeChat + "@example.com", "bio": "Hi",
	})
	require.NoError(t, err)
	require.NoError(t, n.service.StorePhone(t.Context(), p, "", "86-13800000000"))
	n.exec(t, 1, `UPDATE "user" SET email_verified=? WHERE owner=? AND name=?`, true, n.name, p.User.Name)
	return p
}

// profile is what is left of a user.
func profile(u *sdk.User) []string {
	return []string{
		u.DisplayName, u.Avatar, u.Phone, u.CountryCode, u.Properties["wechatPhoneVerified"], u.Email, u.Bio,
	}
}

func testWithdrawn(t *testing.T, n *tenant) {
	alice, bob := n.fill(t, "oAlice"), n.fill(t, "oBob")
	untouched := n.stored(t, bob)
	whole := []string{"Alice", "https://example.com/a.png", "13800000000", "CN", "+8613800000000", "oalice@example.com", "Hi"}
	before := n.find(t, alice.User.Name)
	require.Equal(t, whole, profile(before))
	n.exec(t, 1, `INSERT INTO mini_program_mark (user_id, field, reason, updated_time) VALUES (?, ?, ?, ?)`,
		alice.User.Id, "displayName", "review", "")
	n.clock.Advance(time.Minute)
	for i, c := range []struct {
		what provider.Withdrawn
		gone []int
	}{
		{provider.Withdrawn{}, nil},
		{provider.Withdrawn{Nickname: true}, []int{0}},
		{provider.Withdrawn{Avatar: true}, []int{1}},
		{provider.Withdrawn{Phone: true}, []int{2, 3, 4}},
		{provider.Withdrawn{Email: true}, []int{5}},
	} {
		event := provider.PushEvent{Name: provider.PushRevoked, OpenID: "oAlice", Withdrawn: c.what, Key: string(rune('a' + i))}
		require.NoError(t, n.push(t, n.service, event))
		for _, part := range c.gone {
			whole[part] = ""
		}
		user := n.find(t, alice.User.Name)
		assert.Equal(t, whole, profile(user))
		assert.Equal(t, c.what.Email, !user.EmailVerified)
		assert.Equal(t, "oAlice", user.Properties["wechatOpenId"])
		assert.Equal(t, len(c.gone) > 0, user.UpdatedTime > before.UpdatedTime)
	}
	assert.Empty(t, n.rows(t, "SELECT * FROM mini_program_mark WHERE user_id=?", alice.User.Id))
	assert.Equal(t, untouched, n.stored(t, bob))
	n.signIn(t, "oGone")
	n.exec(t, 1, `DELETE FROM "user" WHERE owner=? AND name='wechat-oGone'`, n.name)
	for _, nobody := range []string{"oNobody", "oGone"} {
		assert.NoError(t, n.push(t, n.service, provider.PushEvent{
			Name: provider.PushProfileCleaned, OpenID: nobody, Withdrawn: provider.Withdrawn{Nickname: true}, Key: nobody,
		}))
	}
}

func testClosed(t *testing.T, n *tenant) {
	alice, bob := n.fill(t, "oAlice"), n.fill(t, "oBob")
	token := n.signIn(t, "oAlice")
	other := n.suite.tenant(t, setup{}) // another organization, to which another mini program belongs
	stranger := other.fill(t, "oAlice")
	require.NoError(t, n.push(t, n.service, provider.PushEvent{
		Name: provider.PushAccountClosed, OpenID: "oAlice", Key: "closed",
	}))

	user := n.find(t, alice.User.Name)
	assert.Equal(t, make([]string, 7), profile(user))
	assert.True(t, user.IsForbidden)
	assert.False(t, user.IsDeleted)
	_, err := n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.AccessDenied)
	_, err = n.service.Refresh(t.Context(), n.client(t), token.RefreshToken, issuer)
	assertRefused(t, err, object.AccessDenied)
	assert.Empty(t, n.rows(t, "SELECT * FROM mini_program_session WHERE organization=? AND open_id=?", n.name, "oAlice"))
	_, err = n.service.SignIn(t.Context(), n.request(t, "oAlice"))
	assertRefused(t, err, object.AccessDenied)

	// Another process does the rest, once the first has ended.
	require.NoError(t, n.newService(t, n.sealer).DoChores(t.Context()))
	assert.Empty(t, n.rows(t, `SELECT * FROM "token" WHERE organization=? AND "user"=?`, n.name, alice.User.Name))
	assert.Len(t, n.rows(t, `SELECT * FROM "token" WHERE organization=? AND "user"=?`, n.name, bob.User.Name), 1)
	assert.Empty(t, n.rows(t, `SELECT * FROM "mini_program_state" WHERE name LIKE 'end-tokens/%' AND value LIKE ?`,
		"%"+n.name+"%"))
	assert.Equal(t, "Alice", n.find(t, bob.User.Name).DisplayName)
	assert.Equal(t, "Alice", other.find(t, stranger.User.Name).DisplayName)
}

// testPushOnce delivers one event many times, on two servers.
func testPushOnce(t *testing.T, n *tenant) {
	alice := n.fill(t, "oAlice")
	services := []*object.Authority{n.service, n.newService(t, n.sealer)}
	event := provider.PushEvent{
		Name: provider.PushProfileCleaned, OpenID: "oAlice", Withdrawn: provider.Withdrawn{Nickname: true}, Key: "once",
	}
	concurrently(8, func(i int) { assert.NoError(t, n.push(t, services[i%2], event)) })
	assert.Empty(t, n.find(t, alice.User.Name).DisplayName)
	_, err := n.update(t, n.principal(t, n.signIn(t, "oAlice")), row{"displayName": "New"})
	require.NoError(t, err)
	require.NoError(t, n.push(t, services[1], event))
	assert.Equal(t, "New", n.find(t, alice.User.Name).DisplayName, "a late redelivery does nothing")

	events := func() int {
		return len(n.rows(t, "SELECT * FROM mini_program_event WHERE provider=?", "wx-"+n.name))
	}
	assert.Equal(t, 1, events())
	n.clock.Advance(23 * time.Hour)
	require.NoError(t, n.service.DoChores(t.Context()))
	assert.Equal(t, 1, events())
	n.clock.Advance(2 * time.Hour)
	require.NoError(t, n.service.DoChores(t.Context()))
	assert.Zero(t, events(), "a day later it is forgotten")
}

func testVerdict(t *testing.T, n *tenant) {
	trace := "trace-" + n.name
	for i, v := range []provider.Verdict{
		{TraceID: trace, Suggestion: provider.SuggestRisky, Label: 20002},
		{TraceID: trace, Suggestion: provider.SuggestPass, Label: 100},
	} {
		require.NoError(t, n.push(t, n.service, provider.PushEvent{
			Name: provider.PushMediaChecked, Verdict: v, Key: "verdict" + string(rune('a'+i)),
		}))
		stored := n.row(t, "SELECT * FROM mini_program_media WHERE trace_id=?", trace)
		assert.Equal(t, string(v.Suggestion), stored["suggestion"])
	}
}

// testPushAdopted is about a user whose AppID is not known yet.
func testPushAdopted(t *testing.T, n *tenant) {
	alice := n.fill(t, "oAlice")
	n.exec(t, 1, `UPDATE "mini_program_identity" SET app_id='' WHERE organization=?`, n.name)
	require.NoError(t, n.push(t, n.service, provider.PushEvent{
		Name: provider.PushRevoked, OpenID: "oAlice", Withdrawn: provider.Withdrawn{Phone: true}, Key: "adopted",
	}))
	assert.Empty(t, n.find(t, alice.User.Name).Phone)
}
