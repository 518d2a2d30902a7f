package storetest

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testUnionID(t *testing.T) {
	inParallel(t, map[string]func(*testing.T){
		"OffByDefault":     s.testUnionOff,
		"TurnsUpLater":     s.testUnionLater,
		"BesideProperties": s.testUnionBesideProperties,
		"Shared":           s.testUnionShared,
		"SharedAtOnce":     s.testUnionAtOnce,
		"SharedAndDeleted": s.testUnionDeleted,
		"AnotherDeleted":   s.testUnionAnotherDeleted,
	})
}

// second is a request with another application, whose mini program is another one of the same owner.
func (n *tenant) second(t *testing.T, code string) object.SignInRequest {
	t.Helper()
	req := n.request(t, code)
	req.Client = n.clientOf(t, "second-"+n.name)
	return req
}

func (s *suite) testUnionOff(t *testing.T) {
	n := s.tenant(t, setup{})
	n.addApplication(t)
	n.signIn(t, "oOne uAlice")
	assert.True(t, n.send(t, n.second(t, "oTwo uAlice")).NewUser)
	assert.Equal(t, 2, n.users(t))
}

func (s *suite) testUnionLater(t *testing.T) {
	n := s.tenant(t, setup{})
	assert.Equal(t, map[string]string{"wechatOpenId": "oAlice", "wechatUnionId": ""}, n.user(t, "oAlice").Properties)
	want := map[string]string{"wechatOpenId": "oAlice", "wechatUnionId": "uAlice"}
	token, claims := n.signIn(t, "oAlice uAlice"), jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token.AccessToken, claims)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"wechatOpenId": "oAlice", "wechatUnionId": "uAlice"}, claims["properties"])
	assert.Equal(t, want, n.find(t, token.UserName).Properties)
	assert.Equal(t, want, n.user(t, "oAlice").Properties, "one that is missing now is not forgotten")
	identity := n.row(t, "SELECT * FROM mini_program_identity WHERE organization=?", n.name)
	assert.Equal(t, "uAlice", identity["union_id"])
}

// testUnionBesideProperties has a back end set a property while somebody signs in with a UnionID for the first time.
func (s *suite) testUnionBesideProperties(t *testing.T) {
	n := s.tenant(t, setup{options: row{"checkNickname": true}})
	p := n.principal(t, n.signIn(t, "oAlice"))
	n.wechat.whileChecking = func() { n.setProperties(t, p, `{"wechatOpenId":"oAlice","tier":"gold"}`) }
	req := n.request(t, "oAlice uAlice")
	req.Nickname = "小明"
	n.send(t, req)
	assert.Equal(t, map[string]string{"wechatOpenId": "oAlice", "wechatUnionId": "uAlice", "tier": "gold"},
		n.find(t, p.User.Name).Properties)
}

func (s *suite) testUnionShared(t *testing.T) {
	n := s.tenant(t, setup{options: row{"shareUnionId": true}})
	n.addApplication(t)
	n.signIn(t, "oOne") // a user of before the mini program was bound to the Open Platform account
	first := n.principal(t, n.signIn(t, "oOne uAlice")).User
	token := n.send(t, n.second(t, "oTwo uAlice"))
	assert.False(t, token.NewUser)
	assert.Equal(t, first.Id, n.principal(t, token).User.Id)
	assert.Equal(t, first.Id, n.principal(t, n.send(t, n.second(t, "oTwo"))).User.Id, "the identity remembers")
	assert.True(t, n.send(t, n.second(t, "oThree uBob")).NewUser)
	assert.True(t, n.send(t, n.second(t, "oFour")).NewUser, "no UnionID is nobody's")
	assert.True(t, n.send(t, n.second(t, "oFive")).NewUser)
}

func (s *suite) testUnionAtOnce(t *testing.T) {
	n := s.tenant(t, setup{options: row{"shareUnionId": true}})
	n.addApplication(t)
	requests := []object.SignInRequest{n.request(t, "oOne uAlice"), n.second(t, "oTwo uAlice")}
	const clients = 16
	errs := make([]error, clients)
	concurrently(clients, func(i int) { _, errs[i] = n.service.SignIn(t.Context(), requests[i%2]) })
	for _, err := range errs {
		require.NoError(t, err)
	}
	assert.Equal(t, 1, n.users(t))
	assert.Len(t, n.rows(t, "SELECT * FROM mini_program_identity WHERE organization=?", n.name), 2)
}

func (s *suite) testUnionDeleted(t *testing.T) {
	n := s.tenant(t, setup{options: row{"shareUnionId": true}})
	n.addApplication(t)
	n.signIn(t, "oOne uAlice")
	n.send(t, n.second(t, "oTwo uAlice"))
	n.exec(t, 1, `DELETE FROM "user" WHERE owner=?`, n.name)
	token := n.send(t, n.second(t, "oTwo uAlice"))
	assert.True(t, token.NewUser)
	again := n.signIn(t, "oOne uAlice")
	assert.Equal(t, n.principal(t, token).User.Id, n.principal(t, again).User.Id, "they share the new user too")
	assert.Equal(t, 1, n.users(t))
}

// testUnionAnotherDeleted deletes a user of before UnionIDs were shared, whose UnionID has become another one's.
func (s *suite) testUnionAnotherDeleted(t *testing.T) {
	n := s.tenant(t, setup{})
	n.addApplication(t)
	before := n.principal(t, n.send(t, n.second(t, "oTwo uAlice")))
	n.change(t, setup{options: row{"shareUnionId": true}})
	n.clock.Advance(settingsAge + time.Second)
	sharing := n.principal(t, n.signIn(t, "oOne uAlice")).User
	require.NotEqual(t, before.User.Id, sharing.Id)
	require.NoError(t, n.service.Delete(t.Context(), before, "", "oTwo"))
	n.setup.options = row{"shareUnionId": true}
	n.addApplication(t)
	n.clock.Advance(settingsAge + time.Second)
	assert.Equal(t, sharing.Id, n.principal(t, n.send(t, n.second(t, "oTwo uAlice"))).User.Id)
}
