package storetest

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testSettings(t *testing.T) {
	inParallel(t, map[string]func(*testing.T){
		"WhoMaySignIn":    s.testWhoMaySignIn,
		"Lifetimes":       s.testLifetimes,
		"ChangesAreSeen":  s.testChangesAreSeen,
		"MiniPrograms":    s.testMiniPrograms,
		"Clients":         s.testClients,
		"NewKey":          s.testNewKey,
		"ProfileOfSignIn": s.testRulesAtSignIn,
	})
}

func (s *suite) testWhoMaySignIn(t *testing.T) {
	for name, c := range map[string]struct {
		setup   setup
		welcome bool // to those who have signed in before
	}{
		"sign-up off in the application":    {setup{application: row{"enableSignUp": false}}, true},
		"sign-up off for the mini program":  {setup{item: row{"canSignUp": false}}, true},
		"sign-in off for the mini program":  {setup{item: row{"canSignIn": false}}, false},
		"sign-in off in the application":    {setup{application: row{"disableSignin": true}}, false},
		"sign-in off in the organization":   {setup{organization: row{"disableSignin": true}}, false},
		"the mini program has been removed": {setup{application: row{"providers": []row{}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := s.tenant(t, setup{})
			n.signIn(t, "oOld")
			n.change(t, c.setup)
			n.clock.Advance(settingsAge)
			_, err := n.service.SignIn(t.Context(), n.request(t, "oNew"))
			var refusal *object.Refusal
			require.ErrorAs(t, err, &refusal)
			assert.Contains(t, []object.ErrorCode{object.AccessDenied, object.UnauthorizedClient}, refusal.Code)
			_, err = n.service.SignIn(t.Context(), n.request(t, "oOld"))
			assert.Equal(t, c.welcome, err == nil, "%v", err)
			assert.Equal(t, 1, n.users(t))
		})
	}
}

// forEver is the longest life whose seconds fit the column.
const forEver = math.MaxInt32 * time.Second

func (s *suite) testLifetimes(t *testing.T) {
	for name, c := range map[string]struct {
		set             row
		access, refresh time.Duration
	}{
		"set":             {row{"expireInHours": 0.5, "refreshExpireInHours": 2.0}, 30 * time.Minute, 2 * time.Hour},
		"no refresh time": {row{"expireInHours": 3, "refreshExpireInHours": 0}, 3 * time.Hour, 3 * time.Hour},
		"nothing set":     {row{"expireInHours": 0, "refreshExpireInHours": 0}, 168 * time.Hour, 168 * time.Hour},
		"masked":          {row{"expireInHours": -1, "refreshExpireInHours": -1}, 168 * time.Hour, 168 * time.Hour},
		"a century":       {row{"expireInHours": 876000, "refreshExpireInHours": 0}, forEver, forEver},
		"for ever":        {row{"expireInHours": 1e9, "refreshExpireInHours": 1e18}, forEver, forEver},
		"no time at all":  {row{"expireInHours": 1e-9, "refreshExpireInHours": 1}, time.Second, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := s.tenant(t, setup{application: c.set, refreshJWT: true})
			token := n.signIn(t, "oAlice")
			assert.Equal(t, c.access, token.ExpiresIn)
			for text, want := range map[string]time.Duration{token.AccessToken: c.access, token.RefreshToken: c.refresh} {
				answer, err := n.service.Introspect(t.Context(), n.client(t), text)
				require.NoError(t, err)
				assert.EqualValues(t, want/time.Second, answer.Exp-answer.Iat)
			}
		})
	}
}

func (s *suite) testChangesAreSeen(t *testing.T) {
	n := s.tenant(t, setup{})
	n.signIn(t, "oAlice")
	n.exec(t, 1, `UPDATE "application" SET disable_signin=? WHERE name=?`, true, "app-"+n.name)
	n.clock.Advance(settingsAge)
	_, err := n.service.SignIn(t.Context(), n.request(t, "oAlice"))
	assertRefused(t, err, object.AccessDenied)
	n.exec(t, 1, `UPDATE "application" SET disable_signin=?, client_secret=? WHERE name=?`, false, "new", "app-"+n.name)
	n.clock.Advance(settingsAge)
	assert.True(t, n.client(t).Authentic("new"))
	n.signIn(t, "oAlice")
	n.exec(t, 1, `DELETE FROM "application" WHERE name=?`, "app-"+n.name)
	n.clock.Advance(settingsAge)
	_, err = n.service.Client(t.Context(), "app-"+n.name)
	assertRefused(t, err, object.InvalidClient)
}

func (s *suite) testMiniPrograms(t *testing.T) {
	n := s.tenant(t, setup{})
	n.addApplication(t)
	both := n.application("both-", "wx-", setup{})
	both["providers"] = []row{
		{"name": "github", "canSignUp": true, "canSignIn": true},
		{"name": "wx-" + n.name, "canSignUp": true, "canSignIn": true},
		{"name": "second-wx-" + n.name, "canSignUp": true, "canSignIn": false},
	}
	n.apply(t, row{"applications": []row{both}})
	n.exec(t, 1, `UPDATE "application" SET providers=REPLACE(providers, '[{', '[null,{') WHERE name=?`, "both-"+n.name)
	req := n.request(t, "oAlice")
	req.Client = n.clientOf(t, "both-"+n.name)
	n.send(t, req)
	identity := n.row(t, "SELECT * FROM mini_program_identity WHERE organization=?", n.name)
	assert.Equal(t, "wx"+n.name, identity["app_id"], "the first one, when none is named")
	req.AppID = "wx" + n.name
	assert.False(t, n.send(t, req).NewUser)
	req.AppID = "second-wx" + n.name
	_, err := n.service.SignIn(t.Context(), req)
	assertRefused(t, err, object.AccessDenied)
	req.AppID = "wxunknown"
	_, err = n.service.SignIn(t.Context(), req)
	assertRefused(t, err, object.InvalidRequest, "app_id")
	req.Tag = "alipay_miniprogram"
	_, err = n.service.SignIn(t.Context(), req)
	assertRefused(t, err, object.InvalidRequest, "tag")
}

func (s *suite) testClients(t *testing.T) {
	n := s.tenant(t, setup{application: row{"grantTypes": []string{"client_credentials"}}})
	client := n.client(t)
	assert.True(t, client.Authentic("client-secret-"+n.name))
	assert.False(t, client.Authentic("client-secret-"))
	assert.False(t, client.Authentic(""))
	assert.True(t, client.Grants("client_credentials"))
	assert.False(t, client.Grants("password"))
	own := "app-" + n.name
	for _, id := range []string{"", "unknown", "APP-" + n.name, own + " ", own + "-org-" + n.name} {
		_, err := n.service.Client(t.Context(), id)
		assertRefused(t, err, object.InvalidClient)
	}
	n.apply(t, row{"applications": []row{fields(n.application("all-", "wx-", setup{})).with(row{"isShared": true})}})
	assert.Equal(t, n.name, n.clientOf(t, "all-"+n.name+"-org-"+n.name).Organization.Name)
	for _, organization := range []string{strings.ToUpper(n.name), n.name + " "} {
		_, err := n.service.Client(t.Context(), "all-"+n.name+"-org-"+organization)
		assertRefused(t, err, object.InvalidClient)
		_, err = n.service.DefaultApplication(t.Context(), n.app(), organization)
		assertRefused(t, err, object.InvalidRequest, "doesn't exist")
	}
	t.Run("without a secret nobody is authentic", func(t *testing.T) {
		n.exec(t, 1, `UPDATE "application" SET client_secret='' WHERE name=?`, "app-"+n.name)
		n.clock.Advance(settingsAge)
		assert.False(t, n.client(t).Authentic(""))
	})
}

// testNewKey has a token verified at once whose key has just been made, by an instance that knows other keys yet.
func (s *suite) testNewKey(t *testing.T) {
	n := s.tenant(t, setup{})
	n.principal(t, n.signIn(t, "oAlice"))
	next := "cert-" + n.name
	n.apply(t, row{"certs": []row{{"owner": "admin", "name": next, "cryptoAlgorithm": "ES256"}}})
	n.change(t, setup{application: row{"cert": next}})
	here := n.service
	signInElsewhere := func() *object.Token { // at an instance that knows already
		n.service = n.newService(t, s.sealer)
		defer func() { n.service = here }()
		return n.signIn(t, "oAlice")
	}
	n.principal(t, signInElsewhere())

	other := n.row(t, `SELECT certificate, private_key FROM "cert" WHERE name=?`, fastCert)
	n.exec(t, 1, `UPDATE "cert" SET certificate=?, private_key=? WHERE name=?`, other["certificate"], other["private_key"],
		next)
	n.clock.Advance(time.Second)
	n.principal(t, signInElsewhere())
}

// testRulesAtSignIn has the nickname of a sign-in dropped where the organization does not let users choose one.
func (s *suite) testRulesAtSignIn(t *testing.T) {
	n := s.tenant(t, setup{organization: row{"accountItems": []row{
		{"name": "Display name", "modifyRule": "Admin"},
		{"name": "Avatar", "modifyRule": "Self", "regex": `^https://cdn\.example\.com/`},
	}}})
	req := n.request(t, "oAlice")
	req.Nickname, req.Avatar = "Alice", "https://example.com/a.png"
	user := n.find(t, n.send(t, req).UserName)
	assert.Empty(t, user.DisplayName)
	assert.Empty(t, user.Avatar)
	req.Avatar = "https://cdn.example.com/a.png"
	assert.Equal(t, req.Avatar, n.find(t, n.send(t, req).UserName).Avatar)
}
