package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/fakecasdoor"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testclock"
	"github.com/minidoor/minidoor/test/testdb"
)

const formType = "application/x-www-form-urlencoded"

// multipartForm is a form as wx.uploadFile sends it.
func multipartForm(t *testing.T, fields map[string]string) harness.Text {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		require.NoError(t, form.WriteField(name, value))
	}
	require.NoError(t, form.Close())
	return harness.Text{ContentType: form.FormDataContentType(), Body: body.String()}
}

// The captured databases of each kind, behind a gateway: what a mini program and its back-end see.
func TestGatewayOnEachDatabase(t *testing.T) {
	t.Parallel()
	for _, kind := range testdb.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			clock := harness.NewClock()
			store := kind.Casdoor(t)
			s, casdoor := harness.StartGateway(t, store, harness.Options{Now: clock.Now})
			tokens := s.SignIn(t, "oShopper1")
			assert.False(t, *tokens.NewUser, "Casdoor's user goes on")
			assert.True(t, *s.SignIn(t, "oNew").NewUser)
			reply := s.Call(t, "POST", harness.PathProfile, tokens.AccessToken, map[string]string{"nickName": "小明 🐼"})
			require.Equal(t, http.StatusOK, reply.Status, reply.Body)
			assert.Equal(t, http.StatusOK, s.Call(t, "GET", "/api/mini-program/health", "", nil).Status)
			db := testdb.Connect(t, store)
			var name string
			require.NoError(t, db.QueryRowContext(t.Context(),
				"SELECT u.display_name FROM "+kind.Quote("user")+" u WHERE u.name='wechat-oShopper1'").Scan(&name))
			assert.Equal(t, "小明 🐼", name)

			// The Casdoor knows the token by its hash and the application's cert, and renews it.
			assert.Equal(t, 1, count(t, db, store, "SELECT COUNT(*) FROM token WHERE access_token_hash='"+
				hashOf(tokens.AccessToken)+"' AND refresh_token_hash='"+hashOf(tokens.RefreshToken)+"'"))
			assert.Zero(t, casdoor.Calls(harness.PathToken))
			s.Call(t, "POST", harness.PathRefresh, "", refreshForm(tokens.RefreshToken))
			assert.Equal(t, 1, casdoor.Calls(harness.PathRefresh), "refreshing is the Casdoor's")

			testSettingsWithin5s(t, s, db, clock)
		})
	}
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// testSettingsWithin5s changes what Casdoor's admin pages change.
func testSettingsWithin5s(t *testing.T, s *harness.Server, db *sql.DB, clock *testclock.Clock) {
	t.Helper()
	for _, change := range []struct {
		to, back string
		status   int
	}{
		{"UPDATE application SET disable_signin=" + isTrue, "UPDATE application SET disable_signin=" + isFalse, 400},
		{"UPDATE provider SET client_secret='wrong'", "UPDATE provider SET client_secret='" + harness.AppSecret + "'", 503},
		{"UPDATE application SET cert='gone'", "UPDATE application SET cert='cert-built-in'", 503},
	} {
		for _, step := range []struct {
			statement string
			status    int
		}{{change.to, change.status}, {change.back, 200}} {
			_, err := db.ExecContext(t.Context(), step.statement)
			require.NoError(t, err)
			clock.Advance(5 * time.Second)
			reply := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oShopper1")))
			assert.Equal(t, step.status, reply.Status, "%s: %s", step.statement, reply.Body)
		}
	}
}

const (
	isTrue  = "(1=1)"
	isFalse = "(1=0)"
)

func TestGatewayKnowsItsSignIns(t *testing.T) {
	t.Parallel()
	s, casdoor := harness.StartGateway(t, testdb.Kinds()[0].Casdoor(t), harness.Options{})
	fields := func() map[string]string {
		return map[string]string{
			"tag": "wechat_miniprogram", "client_id": harness.ClientID, "code": s.NewCode("oShopper1"),
		}
	}
	form := func(m map[string]string) url.Values {
		v := url.Values{}
		for name, value := range m {
			v.Set(name, value)
		}
		return v
	}
	ours := map[string]func() harness.Reply{
		"form": func() harness.Reply { return s.Call(t, "POST", harness.PathToken, "", form(fields())) },
		"JSON": func() harness.Reply { return s.Call(t, "POST", harness.PathToken, "", fields()) },
		"query": func() harness.Reply {
			return s.Call(t, "POST", harness.PathToken+"?"+form(fields()).Encode(), "", nil)
		},
		"multipart": func() harness.Reply {
			return s.Call(t, "POST", harness.PathToken, "", multipartForm(t, fields()))
		},
		"JSON without a type": func() harness.Reply {
			text, err := json.Marshal(fields())
			require.NoError(t, err)
			return s.Call(t, "POST", harness.PathToken, "", harness.Text{ContentType: "text/plain", Body: string(text)})
		},
		"an end that beego 1 leaves out": func() harness.Reply {
			return s.Call(t, "POST", "/api/login/oauth.json/access_token", "", form(fields()))
		},
	}
	for name, call := range ours {
		tokens := call().Tokens(t)
		assert.NotNil(t, tokens.NewUser, name)
	}
	assert.Zero(t, casdoor.Calls(harness.PathToken), "no sign-in reached the Casdoor")

	client := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {harness.ClientID}, "client_secret": {harness.ClientSecret},
	}
	tokens := s.Call(t, "POST", harness.PathToken, "", client).Tokens(t)
	assert.Nil(t, tokens.NewUser)
	client.Set("tag", "something_else")
	s.Call(t, "POST", harness.PathToken, "", client)
	s.Call(t, "POST", harness.PathToken, "", harness.Text{ContentType: "application/json", Body: `{"tag":`})
	s.Call(t, "GET", harness.PathToken+"?tag=wechat_miniprogram", "", nil)
	assert.Equal(t, 4, casdoor.Calls(harness.PathToken), "what is no sign-in of ours goes to the Casdoor")

	many := harness.Text{ContentType: formType, Body: strings.Repeat("x&", 10_001) + "tag=wechat_miniprogram"}
	assert.Equal(t, http.StatusBadRequest, s.Call(t, "POST", harness.PathToken, "", many).Status, "more fields than Go takes")
	large := harness.Text{ContentType: formType, Body: "x=" + strings.Repeat("x", 2<<20) + "&tag=wechat_miniprogram"}
	reply := s.Call(t, "POST", harness.PathToken, "", large)
	assert.Equal(t, http.StatusRequestEntityTooLarge, reply.Status, "nothing passes that was not looked through")
	encoded, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+harness.PathToken, strings.NewReader("unreadable"))
	require.NoError(t, err)
	encoded.Header.Set("Content-Encoding", "gzip")
	assert.Equal(t, http.StatusBadRequest, s.Do(t, encoded).Status, "Casdoor would undo it")
	assert.Equal(t, 4, casdoor.Calls(harness.PathToken))
}

func TestGatewayClosesCasdoorsUpdateUser(t *testing.T) {
	t.Parallel()
	store := testdb.Kinds()[0].Casdoor(t)
	s, casdoor := harness.StartGateway(t, store, harness.Options{})
	token := s.SignIn(t, "oShopper1").AccessToken
	self := map[string]any{"owner": "shop", "name": "wechat-oShopper1"}
	body := func(field string, value any) map[string]any {
		m := map[string]any{field: value}
		for name, v := range self {
			m[name] = v
		}
		return m
	}
	id := "?id=shop/wechat-oShopper1"
	userID := s.Value(t, "SELECT id FROM user WHERE name='wechat-oShopper1'")
	for name, call := range map[string]func() harness.Reply{
		"score":  func() harness.Reply { return s.Call(t, "POST", harness.PathUpdateUser+id, token, body("score", 99)) },
		"openid": func() harness.Reply { return s.Call(t, "POST", harness.PathUpdateUser, token, body("wechat", "oX")) },
		"columns": func() harness.Reply {
			return s.Call(t, "POST", harness.PathUpdateUser+id+"&columns=isAdmin", token, body("isAdmin", true))
		},
		"token in the query": func() harness.Reply {
			return s.Call(t, "POST", harness.PathUpdateUser+id+"&accessToken="+token, "", body("score", 99))
		},
		"Casdoor's other name for it": func() harness.Reply {
			return s.Call(t, "POST", harness.PathUpdateUser+"?access_token="+token, "", body("score", 99))
		},
		"token in a form that is JSON too": func() harness.Reply {
			text := `{"score":99,"tag":"&accessToken=` + token + `&"}`
			return s.Call(t, "POST", harness.PathUpdateUser+id, "", harness.Text{ContentType: formType, Body: text})
		},
		"id in such a form": func() harness.Reply {
			text := `{"score":99,"tag":"&id=shop/wechat-oShopper1&"}`
			return s.Call(t, "POST", harness.PathUpdateUser+"?id=shop/boss", token, harness.Text{ContentType: formType, Body: text})
		},
		"an owner, by which Casdoor finds nobody": func() harness.Reply {
			return s.Call(t, "POST", harness.PathUpdateUser+"?owner=bank&columns=score", token, body("score", 99))
		},
		"an id that is none, beside a userId": func() harness.Reply {
			query := "?id=x&owner=shop&columns=score&userId=" + userID
			return s.Call(t, "POST", harness.PathUpdateUser+query, token, body("score", 99))
		},
		"another user's id beside it": func() harness.Reply {
			query := "?id=shop/boss&owner=shop&columns=score&userId=" + userID
			return s.Call(t, "POST", harness.PathUpdateUser+query, token, body("score", 99))
		},
		"two tokens": func() harness.Reply {
			return s.Call(t, "POST", harness.PathUpdateUser+id+"&accessToken=A", token, body("score", 99))
		},
		"malformed": func() harness.Reply {
			return s.Call(t, "POST", harness.PathUpdateUser, token, harness.Text{ContentType: "application/json", Body: "{"})
		},
	} {
		assert.Equal(t, "error", call().Map(t)["status"], name)
	}
	large := body("bio", strings.Repeat("x", 2<<20))
	assert.Equal(t, http.StatusRequestEntityTooLarge, s.Call(t, "POST", harness.PathUpdateUser, token, large).Status)
	reply := s.Call(t, "POST", harness.PathUpdateUser, token, map[string]string{"displayName": "小明"}) // the example's form
	assert.Equal(t, "Affected", reply.Map(t)["data"])
	reply = s.Call(t, "POST", harness.PathUpdateUser+"?accessToken="+token, "", map[string]string{"displayName": "小红"})
	assert.Equal(t, "Affected", reply.Map(t)["data"])
	hidden := harness.Text{ContentType: formType, Body: "x=" + strings.Repeat("x", 2<<20) + "&accessToken=" + token}
	reply = s.Call(t, "POST", harness.PathUpdateUser, "", hidden)
	assert.Equal(t, http.StatusRequestEntityTooLarge, reply.Status)
	assert.Equal(t, "the body is larger than 1 MB", reply.Map(t)["msg"])
	assert.Zero(t, casdoor.Calls(harness.PathUpdateUser))

	s.Call(t, "POST", harness.PathUpdateUser+"?id=shop/boss", token, body("displayName", "x"))
	s.Call(t, "POST", harness.PathUpdateUser+id, "no token of ours", body("displayName", "x"))
	s.Call(t, "POST", harness.PathUpdateUser+id, "", body("displayName", "x"))
	assert.Equal(t, 3, casdoor.Calls(harness.PathUpdateUser), "others are the Casdoor's to answer")
	s.Exec(t, "UPDATE user SET is_admin=1 WHERE name='wechat-oShopper1'")
	s.Call(t, "POST", harness.PathUpdateUser+id, token, body("score", 1))
	assert.Equal(t, 4, casdoor.Calls(harness.PathUpdateUser), "an admin may more than we do")
}

// Whose an update-user is must be known before it passes: to find that out is work as any other.
func TestGatewayThatIsBusy(t *testing.T) {
	t.Parallel()
	var backlog atomic.Int64
	s, casdoor := harness.StartGateway(t, testdb.Kinds()[0].Casdoor(t), harness.Options{Limits: controllers.LimitsConfig{
		MaxWaiting: 1, Backlog: func() int { return int(backlog.Load()) },
	}})
	token := s.SignIn(t, "oShopper1").AccessToken
	update := func() harness.Reply {
		return s.Call(t, "POST", harness.PathUpdateUser+"?id=shop/boss", token, map[string]string{"displayName": "x"})
	}
	backlog.Store(1)
	assert.Equal(t, http.StatusServiceUnavailable, update().Status)
	assert.Zero(t, casdoor.Calls(harness.PathUpdateUser))
	backlog.Store(0)
	update()
	assert.Equal(t, 1, casdoor.Calls(harness.PathUpdateUser))
}

// What a gateway looks into is in its memory: of large bodies there are not too many, and those that may be pass on
// whole.
func TestGatewayWithLargeBodies(t *testing.T) {
	t.Parallel()
	const most = 64
	s, casdoor := harness.StartGateway(t, testdb.Kinds()[0].Casdoor(t), harness.Options{})
	large := harness.Text{ContentType: formType, Body: "x=" + strings.Repeat("x", 100<<10)}
	send := func() harness.Reply { return s.Call(t, "POST", harness.PathToken, "", large) }
	update := harness.Text{ContentType: "application/json", Body: `{"bio":"` + large.Body + `"}`} // not looked into
	send()
	require.Equal(t, 1, casdoor.Calls(harness.PathToken))
	var sending sync.WaitGroup
	var rest []*io.PipeWriter
	for range most {
		reader, writer := io.Pipe()
		rest = append(rest, writer)
		sending.Go(func() {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, harness.PathToken, reader)
			s.Handler.ServeHTTP(httptest.NewRecorder(), r)
		})
		_, err := io.WriteString(writer, large.Body[:50<<10]) // returns when it is read
		require.NoError(t, err)
	}
	assert.Equal(t, http.StatusServiceUnavailable, send().Status)
	reply := s.Call(t, "POST", harness.PathUpdateUser, "", update)
	assert.Equal(t, http.StatusServiceUnavailable, reply.Status, reply.Body)
	assert.NotEmpty(t, reply.Header.Get("Retry-After"))
	assert.InDelta(t, 2, s.Metric(t, `minidoor_turned_away_total{limit="bodies"}`), 0)
	assert.Equal(t, 1, casdoor.Calls(harness.PathToken))
	for _, writer := range rest {
		require.NoError(t, writer.CloseWithError(io.ErrUnexpectedEOF))
	}
	sending.Wait()
	send()
	assert.Equal(t, 2, casdoor.Calls(harness.PathToken))
}

// A large body has one place, though the gateway looks into it before the sign-in reads it.
func TestGatewaySignsInWithLargeBodies(t *testing.T) {
	t.Parallel()
	const most = 64
	s, _ := harness.StartGateway(t, testdb.Kinds()[0].Casdoor(t), harness.Options{})
	var arrived atomic.Int32
	all := make(chan struct{}) // closed when all of them are under way at once
	s.Fake.Inject(fakewechat.PathCode2Session, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		if arrived.Add(1) == most {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
		}
		answer(w, r)
	}, most)
	var sending sync.WaitGroup
	for n := range most {
		form := harness.SignInForm(s.NewCode("oLarge" + strconv.Itoa(n)))
		form.Set("username", strings.Repeat("x", 100<<10)) // too long for a nickname, which is no reason to refuse
		sending.Go(func() {
			assert.Equal(t, http.StatusOK, s.Call(t, "POST", harness.PathToken, "", form).Status)
		})
	}
	sending.Wait()
}

// A Casdoor that hangs, and clients that take their time with it, leave places to mini programs.
func TestGatewayKeepsRoomForMiniPrograms(t *testing.T) {
	t.Parallel()
	s, casdoor := harness.StartGateway(t, testdb.Kinds()[0].Casdoor(t), harness.Options{
		Limits: controllers.LimitsConfig{MaxPassedOn: 2},
	})
	streams := func(n int) (open []*http.Response) {
		for range n {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+fakecasdoor.PathStream, nil)
			require.NoError(t, err)
			reply, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			t.Cleanup(func() { _ = reply.Body.Close() })
			open = append(open, reply)
		}
		return open
	}
	open := streams(2)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	reader, writer := io.Pipe() // of a body that never comes
	context.AfterFunc(ctx, func() { _ = writer.Close() })
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+fakecasdoor.PathUpload, reader)
	require.NoError(t, err)
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, reply.StatusCode)
	assert.JSONEq(t, `{"status":"error","msg":"The server is busy, please try again","data":null,"data2":null}`, string(text))
	assert.NotEmpty(t, reply.Header.Get("Retry-After"))
	assert.True(t, reply.Close, "the rest of the body is not waited for")
	assert.Contains(t, s.Call(t, "POST", harness.PathRefresh, "", nil).Body, `"error":"temporarily_unavailable"`)
	assert.InDelta(t, 2, s.Metric(t, `minidoor_turned_away_total{limit="passed_on"}`), 0)
	assert.Len(t, s.Log.Lines(`"msg":"requests are turned away"`, `"reason":"passed_on"`), 1)
	assert.Zero(t, casdoor.Calls(harness.PathRefresh))
	assert.False(t, *s.SignIn(t, "oShopper1").NewUser)

	require.NoError(t, open[0].Body.Close())
	require.Eventually(t, func() bool {
		return s.Call(t, "POST", harness.PathRefresh, "", nil).Status != http.StatusServiceUnavailable
	}, 10*time.Second, time.Millisecond, "a client that leaves gives its place back")
	assert.NotZero(t, casdoor.Calls(harness.PathRefresh))
}

func TestGatewayWithoutItsCasdoor(t *testing.T) {
	t.Parallel()
	s, casdoor := harness.StartGateway(t, testdb.Kinds()[0].Casdoor(t), harness.Options{
		Deps: func(deps *controllers.Deps) { deps.Upstream = &url.URL{Scheme: "http", Host: "127.0.0.1:1"} },
	})
	tokens := s.SignIn(t, "oShopper1")
	reply := s.Call(t, "POST", harness.PathProfile, tokens.AccessToken, map[string]string{"nickName": "x"})
	assert.Equal(t, http.StatusOK, reply.Status)
	reply = s.Call(t, "GET", harness.PathAccount+"?secret=query", tokens.AccessToken, nil)
	assert.Equal(t, http.StatusBadGateway, reply.Status)
	assert.JSONEq(t, `{"status":"error","msg":"Casdoor does not answer","data":null,"data2":null}`, reply.Body)
	id := reply.Header.Get("X-Request-Id")
	require.NotEmpty(t, id)
	assert.Len(t, s.Log.Lines(`"msg":"pass-through"`, `"status":502`, `"path":"/api/get-account"`,
		`"request_id":"`+id+`"`), 1)
	assert.NotContains(t, s.Log.String(), "secret=query")
	assert.Zero(t, casdoor.Calls(harness.PathAccount))
}

// A gateway makes no database for a Casdoor that has none.
func TestGatewayNeedsACasdoor(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, cfg object.StoreConfig) {
		beside := cfg
		beside.Beside = true
		_, _, err := object.Open(t.Context(), beside)
		require.ErrorIs(t, err, object.ErrNoCasdoor)
		assert.Regexp(t, ": there is no (file|database) ", err.Error())
		_, err = object.OpenAsItIs(t.Context(), cfg)
		var missing object.NotMadeError
		require.ErrorAs(t, err, &missing)
		assert.Regexp(t, "^(file|database) ", missing.Error())
	})
}
