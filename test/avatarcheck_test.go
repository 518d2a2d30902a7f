package test

import (
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testclock"
	"github.com/minidoor/minidoor/test/testdb"
)

// checked is a server whose mini program has avatars judged.
type checked struct {
	*harness.Server
	clock *testclock.Clock
	token string // of the user oMe, whose avatar is before
	data  []byte // of another one

	before string
}

// say has WeChat push an event.
func (c *checked) say(t *testing.T, event fakewechat.Event) {
	t.Helper()
	deliver(t, c.Server, c.Fake.NewPush(fakewechat.PushSettings{Token: pushToken}, event))
	require.NoError(t, c.Service.DoChores(t.Context())) // what nobody waits for
}

// startChecked starts a server with those options of the provider.
func startChecked(t *testing.T, store object.StoreConfig, options harness.Row) *checked {
	t.Helper()
	row := harness.Row{"owner": "admin", "name": harness.Provider, "pushToken": pushToken}
	clock := harness.NewClock()
	s := harness.Start(t, harness.Options{
		Store: store, Now: clock.Now, Rows: harness.Rows{"miniProgramProviders": {row}},
		Application: harness.Row{"enablePassword": true},
	})
	c := &checked{s, clock, s.SignIn(t, "oMe").AccessToken, jpegOf(t, painted(color.White)), ""}
	require.Equal(t, http.StatusOK, upload(t, s, c.token, picturePart(c.data)).Status)
	c.before = avatarOf(t, s, c.token)
	for name, value := range options {
		row[name] = value
	}
	s.Apply(t, harness.Rows{"miniProgramProviders": {row}})
	clock.Advance(10 * time.Second) // settings are seen by then
	return c
}

func (c *checked) avatar(t *testing.T) any {
	t.Helper()
	return c.Account(t, c.token)["avatar"]
}

// pend uploads a picture that is to be judged later, and returns its check.
func (c *checked) pend(t *testing.T, parts ...part) fakewechat.MediaCheck {
	t.Helper()
	before := c.avatar(t)
	reply := upload(t, c.Server, c.token, append(parts, picturePart(c.data))...)
	require.Equal(t, http.StatusAccepted, reply.Status, reply.Body)
	body := reply.Map(t)
	assert.Equal(t, map[string]any{"avatarPending": true}, body["data3"])
	assert.Equal(t, before, body["data"].(map[string]any)["avatar"])
	checks := c.Fake.MediaChecks()
	m := checks[len(checks)-1]
	name := m.URL[strings.LastIndex(m.URL, "/")+1:]
	assert.NotContains(t, reply.Body, name, "the address is WeChat's alone")
	assert.NotContains(t, c.Log.String(), name)
	assert.Equal(t, http.StatusOK, fetch(t, c.Server, m.URL).Status, "WeChat can fetch it")
	assert.Equal(t, before, c.avatar(t))
	return m
}

// deliver pushes a verdict.
func (c *checked) deliver(t *testing.T, m fakewechat.MediaCheck, suggest string, code int) {
	t.Helper()
	m.Verdict = fakewechat.Verdict{Suggest: suggest, Label: 100}
	event := c.Fake.NewMediaEvent(m)
	if code != 0 {
		event["errcode"] = code
		delete(event, "result")
	}
	c.say(t, event)
}

func (c *checked) unchanged(t *testing.T) {
	t.Helper()
	assert.Equal(t, c.before, avatarOf(t, c.Server, c.token))
}

func TestAvatarCheckedAtOnce(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "sync"})
	send := func() harness.Reply { return upload(t, c.Server, c.token, picturePart(c.data), nickPart("New")) }
	c.Fake.Inject(fakewechat.PathCheckImage, fakewechat.Errcode(87014), 1)
	reply := send()
	assert.Equal(t, http.StatusBadRequest, reply.Status)
	assert.Contains(t, reply.Map(t)["msg"], "avatar is refused by the content check")
	c.unchanged(t)
	c.Fake.Inject(fakewechat.PathCheckImage, fakewechat.Status(502), 1)
	reply = send()
	assert.Equal(t, http.StatusServiceUnavailable, reply.Status, reply.Body)
	c.unchanged(t)
	assert.NotEqual(t, "New", c.Account(t, c.token)["displayName"])
	assert.Equal(t, "1", c.Value(t, "SELECT COUNT(*) FROM mini_program_upload"))
	assert.Equal(t, http.StatusOK, send().Status)
	assert.NotEqual(t, c.before, avatarOf(t, c.Server, c.token))
	assert.Equal(t, 3, c.Fake.Calls(fakewechat.PathCheckImage))
}

// What is to be judged cannot come as an address, behind which there may be anything.
func TestAvatarFromElsewhereIsNotChecked(t *testing.T) {
	t.Parallel()
	const other = "https://example.com/a.png"
	for _, kind := range []string{"sync", "async"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": kind, "onUnchecked": "accept"})
			change := func(path string, fields harness.Row) harness.Reply { return c.Call(t, "POST", path, c.token, fields) }
			reply := change(harness.PathProfile, harness.Row{"avatarUrl": other, "nickName": "New"})
			assert.Equal(t, http.StatusBadRequest, reply.Status)
			assert.Contains(t, reply.Map(t)["msg"], "avatarUrl must be uploaded here")
			assert.Contains(t, change(harness.PathUpdateUser, harness.Row{"avatar": other}).Map(t)["msg"], "avatar must be uploaded")
			assert.Equal(t, http.StatusOK, change(harness.PathProfile, harness.Row{"avatarUrl": c.before}).Status)
			for _, openID := range []string{"oMe", "oNew"} {
				form := harness.SignInForm(c.NewCode(openID))
				form.Set("avatar", other)
				form.Set("username", "By sign-in")
				account := c.Account(t, c.Call(t, "POST", harness.PathToken, "", form).Tokens(t).AccessToken)
				assert.Equal(t, "By sign-in", account["displayName"])
				assert.NotEqual(t, other, account["avatar"])
			}
			c.unchanged(t)
		})
	}
}

// A picture that was checked is its user's alone, at its own address, and for as long as it is there.
func TestCheckedAvatarIsItsUsersAlone(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "async"})
	other := c.SignIn(t, "oOther").AccessToken
	pending := c.pend(t).URL
	c.Exec(t, "UPDATE user SET avatar='' WHERE owner=?", harness.Organization)
	c.Exec(t, "UPDATE mini_program_upload SET url=REPLACE(url, 'http://', 'https://')") // as where there is TLS
	address := strings.Replace(c.before, "http://", "https://", 1)
	namesake := "https://elsewhere.example/avatars" + address[strings.LastIndex(address, "/a/"):]
	take := func(token, address string) string {
		body := c.Call(t, "POST", harness.PathProfile, token, harness.Row{"avatarUrl": address}).Map(t)
		if body["status"] != "ok" {
			assert.Contains(t, body["msg"], "avatarUrl must be uploaded here")
		}
		return c.Account(t, token)["avatar"].(string)
	}
	assert.Empty(t, take(other, address), "another user's")
	assert.Empty(t, take(c.token, namesake), "what goes by its name elsewhere")
	assert.Empty(t, take(c.token, strings.Replace(pending, "http://", "https://", 1)), "what is not judged yet")
	for state, taken := range map[string]string{"new": "", "dropped": "", "kept": address, "used": address} {
		c.Exec(t, "UPDATE user SET avatar='' WHERE wechat='oMe'")
		c.Exec(t, "UPDATE mini_program_upload SET state=? WHERE url=?", state, address)
		assert.Equal(t, taken, take(c.token, address), state)
	}
}

// Who has signed in with a password is judged no less than who shows a token.
func TestAvatarByCookieIsChecked(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "sync"})
	_, err := c.SDK().SetPassword(harness.Organization, "wechat-oMe", "", adminPassword)
	require.NoError(t, err)
	cookie := browserOf(t, c.Server, "wechat-oMe", adminPassword)
	form := uploadForm(t, picturePart(c.data))
	r, err := http.NewRequestWithContext(t.Context(), "POST",
		c.URL+harness.PathResource+"?tag=avatar&owner=shop&user=wechat-oMe", strings.NewReader(form.Body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", form.ContentType)
	r.AddCookie(cookie)
	c.Fake.Inject(fakewechat.PathCheckImage, fakewechat.Errcode(87014), 1)
	assert.Contains(t, c.Do(t, r).Body, "avatar is refused by the content check")
	c.unchanged(t)
}

// A transparent picture that is all noise is a larger file than WeChat takes; its small thumbnail is not.
func TestAvatarTooLargeToCheck(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "sync"})
	noise := image.NewNRGBA(image.Rect(0, 0, 640, 640))
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(noise.Pix)
	data := pngOf(t, noise)
	require.Greater(t, len(data), 1<<20)
	reply := upload(t, c.Server, c.token, picturePart(data))
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	assert.Equal(t, 1, c.Fake.Calls(fakewechat.PathCheckImage))
	before := avatarOf(t, c.Server, c.token)
	c.Fake.Inject(fakewechat.PathCheckImage, fakewechat.Errcode(87014), 1)
	assert.Contains(t, upload(t, c.Server, c.token, picturePart(data)).Body, "avatar is refused by the content check")
	assert.Equal(t, before, avatarOf(t, c.Server, c.token))
}

func TestAvatarUncheckedIsMarked(t *testing.T) {
	t.Parallel()
	for kind, path := range map[string]string{"sync": fakewechat.PathCheckImage, "async": fakewechat.PathCheckMedia} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": kind, "onUnchecked": "accept"})
			c.Fake.Inject(path, fakewechat.Errcode(61010), 1)
			assert.Equal(t, http.StatusOK, upload(t, c.Server, c.token, picturePart(c.data)).Status)
			assert.NotEqual(t, c.before, avatarOf(t, c.Server, c.token))
			assert.Equal(t, "avatar", c.Value(t, "SELECT field FROM mini_program_mark"))
			assert.Len(t, c.Log.Lines("taken over unchecked", `"field":"avatar"`, "61010"), 1, "with its cause")
		})
	}
}

// The mark of a picture that could not be judged goes when another one takes its place, or none, in whatever way.
func TestAvatarMarkGoesWithIt(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, nil)
	for name, change := range map[string]func(){
		"profile": func() {
			reply := c.Call(t, "POST", harness.PathProfile, c.token, map[string]string{"avatarUrl": "https://example.com/a.png"})
			assert.Equal(t, http.StatusOK, reply.Status)
		},
		"sign-in": func() {
			form := harness.SignInForm(c.NewCode("oMe"))
			form.Set("avatar", "https://example.com/b.png")
			c.Call(t, "POST", harness.PathToken, "", form).Tokens(t)
		},
		"withdrawal": func() { c.say(t, c.Fake.NewEvent("user_info_modified", "oMe")) },
		"resource": func() {
			_, key, _ := strings.Cut(c.avatar(t).(string), "/avatars/")
			deleted, err := c.SDK().DeleteResource(&casdoorsdk.Resource{Owner: harness.Organization, Name: key})
			require.NoError(t, err)
			assert.True(t, deleted)
		},
	} {
		require.Equal(t, http.StatusOK, upload(t, c.Server, c.token, picturePart(c.data)).Status, name)
		c.Exec(t, "INSERT INTO mini_program_mark (user_id, field, reason, updated_time) "+
			"SELECT id, 'avatar', 'unavailable', '' FROM user WHERE wechat='oMe'")
		change()
		assert.Equal(t, "0", c.Value(t, "SELECT COUNT(*) FROM mini_program_mark"), name)
	}
}

func TestAvatarCheckedLater(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, store object.StoreConfig) {
		c := startChecked(t, store, harness.Row{"checkAvatar": "async"})
		m := c.pend(t, nickPart("小明"))
		assert.Equal(t, "oMe", m.OpenID)
		assert.Equal(t, "小明", c.Account(t, c.token)["displayName"], "the nickname does not wait")
		require.NoError(t, c.Service.DoChores(t.Context()))
		assert.Len(t, filesIn(t, c.Server), 4)
		c.deliver(t, m, "pass", 0)
		assert.Equal(t, m.URL, avatarOf(t, c.Server, c.token))
		c.deliver(t, m, "risky", 0)
		assert.Equal(t, m.URL, avatarOf(t, c.Server, c.token), "the first verdict counts")
		for name, verdict := range map[string]struct {
			suggest string
			code    int
		}{"risky": {"risky", 0}, "review": {"review", 0}, "unknown": {"odd", 0}, "not fetched": {"", -1008}} {
			refused := c.pend(t)
			c.deliver(t, refused, verdict.suggest, verdict.code)
			assert.Equal(t, m.URL, avatarOf(t, c.Server, c.token), name)
			assert.Equal(t, http.StatusNotFound, fetch(t, c.Server, refused.URL).Status, name)
		}
	})
}

// Whoever uploads again is not interested in the former verdict any more.
func TestAvatarPendingIsReplaced(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "async"})
	first, second := c.pend(t), c.pend(t)
	assert.Equal(t, http.StatusNotFound, fetch(t, c.Server, first.URL).Status)
	c.deliver(t, first, "pass", 0)
	assert.Equal(t, c.before, c.avatar(t))
	c.deliver(t, second, "pass", 0)
	assert.Equal(t, second.URL, avatarOf(t, c.Server, c.token))
	third := c.pend(t)
	const other = "https://example.com/a.png"
	_, err := c.SDK().UpdateUserForColumns(&casdoorsdk.User{
		Owner: harness.Organization, Name: "wechat-oMe", Avatar: other,
	}, []string{"avatar"})
	require.NoError(t, err, "a back end answers for what it sets")
	c.deliver(t, third, "pass", 0)
	assert.Equal(t, other, c.avatar(t))
	assert.Empty(t, filesIn(t, c.Server))
}

func TestAvatarWithoutVerdict(t *testing.T) {
	t.Parallel()
	for rule, accepted := range map[string]bool{"": false, "refuse": false, "accept": true} {
		t.Run(fmt.Sprintf("onUnchecked=%s", rule), func(t *testing.T) {
			t.Parallel()
			c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "async", "onUnchecked": rule})
			m := c.pend(t)
			c.clock.Advance(31 * time.Minute)
			require.NoError(t, c.Service.DoChores(t.Context()))
			assert.Equal(t, c.before, c.avatar(t), "WeChat has 30 minutes")
			c.clock.Advance(15 * time.Minute)
			require.NoError(t, c.Service.DoChores(t.Context()))
			require.NoError(t, c.Service.DoChores(t.Context()))
			if accepted {
				assert.Equal(t, m.URL, avatarOf(t, c.Server, c.token))
				assert.Equal(t, "unavailable", c.Value(t, "SELECT reason FROM mini_program_mark"))
			} else {
				c.unchanged(t)
			}
			assert.Equal(t, "1", c.Value(t, "SELECT COUNT(*) FROM mini_program_upload"))
		})
	}
}

func TestAvatarReviewIsAccepted(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "async", "onReview": "accept"})
	m := c.pend(t)
	c.deliver(t, m, "review", 0)
	assert.Equal(t, m.URL, avatarOf(t, c.Server, c.token))
	assert.Equal(t, "review", c.Value(t, "SELECT reason FROM mini_program_mark"))
	m = c.pend(t)
	c.deliver(t, m, "pass", 0)
	assert.Equal(t, "0", c.Value(t, "SELECT COUNT(*) FROM mini_program_mark"))
}

// The verdict overtakes the request, comes to another instance, and finds a user who is gone.
func TestAvatarVerdictAtAnyTime(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "async"})
	m := c.pend(t)
	c.Exec(t, "UPDATE mini_program_upload SET trace_id='' WHERE trace_id=?", m.TraceID)
	c.deliver(t, m, "pass", 0)
	assert.Equal(t, c.before, c.avatar(t))
	c.Exec(t, "UPDATE mini_program_upload SET trace_id=? WHERE state='pending'", m.TraceID)
	c.clock.Advance(time.Hour)
	require.NoError(t, c.Service.DoChores(t.Context()))
	require.NoError(t, c.Service.DoChores(t.Context()))
	assert.Equal(t, m.URL, avatarOf(t, c.Server, c.token), "the verdict was there, though nobody noticed")

	gone := c.pend(t)
	c.Exec(t, "UPDATE user SET is_forbidden=1 WHERE wechat='oMe'")
	c.deliver(t, gone, "pass", 0)
	assert.Equal(t, m.URL, c.Value(t, "SELECT avatar FROM user WHERE wechat='oMe'"))
	assert.Len(t, filesIn(t, c.Server), 2)
}

// A picture that waits for its verdict is withdrawn as one that is the avatar, also where there is no other.
func TestAvatarWithdrawnWhilePending(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, harness.Row{"checkAvatar": "async"})
	for name, scope := range map[string]string{
		"user_info_modified": "", "user_authorization_revoke": "20",
	} {
		c.say(t, c.Fake.NewEvent("user_info_modified", "oMe")) // no avatar
		m := c.pend(t)
		c.clock.Advance(2 * time.Second) // another event
		event := c.Fake.NewEvent(name, "oMe")
		if scope != "" {
			event["RevokeInfo"] = scope
		}
		c.say(t, event)
		assert.Equal(t, http.StatusNotFound, fetch(t, c.Server, m.URL).Status, name)
		c.deliver(t, m, "pass", 0)
		assert.Empty(t, c.avatar(t), name)
	}
	assert.Empty(t, filesIn(t, c.Server))
}

// What a user withdraws, and what belongs to an account that is gone, is not kept.
func TestAvatarWithdrawn(t *testing.T) {
	t.Parallel()
	c := startChecked(t, object.StoreConfig{}, nil)
	c.say(t, c.Fake.NewEvent("user_info_modified", "oMe"))
	assert.Empty(t, c.avatar(t))
	assert.Empty(t, filesIn(t, c.Server))
	require.Equal(t, http.StatusOK, upload(t, c.Server, c.token, picturePart(c.data)).Status)
	reply := c.Call(t, "POST", harness.PathDelete, c.token, map[string]string{"code": c.NewCode("oMe")})
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	assert.Empty(t, filesIn(t, c.Server))
	assert.Equal(t, "0", c.Value(t, "SELECT COUNT(*) FROM mini_program_upload"))
}

// Who chooses the Host chooses where the avatar is, where no setting says it: the platform would see one picture, and
// others another.
func TestAvatarCheckNeedsAddress(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sync", "async"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{FilesByRequest: true, Rows: harness.Rows{"miniProgramProviders": {{
				"owner": "admin", "name": harness.Provider, "pushToken": pushToken, "checkAvatar": kind, "onUnchecked": "accept",
			}}}})
			token := s.SignIn(t, "oMe").AccessToken
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+harness.PathAvatar, nil)
			require.NoError(t, err)
			r.Host = "elsewhere.example"
			r.Header.Set("Authorization", "Bearer "+token)
			require.NoError(t, harness.SetBody(r, uploadForm(t, picturePart(jpegOf(t, painted(color.White))))))
			reply := s.Do(t, r)
			assert.Equal(t, http.StatusServiceUnavailable, reply.Status, reply.Body)
			assert.Contains(t, s.Log.String(), "set origin, avatarUrl or s3PublicUrl")
			assert.Empty(t, s.Account(t, token)["avatar"])
		})
	}
}
