package fakewechat

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/testclock"
)

const (
	appID     = "wx0123456789abcdef"
	appSecret = "0123456789abcdef0123456789abcdef"
)

func newClock() *testclock.Clock { return testclock.At(time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)) }

// answer holds every field of every reply.
type answer struct {
	Code       int    `json:"errcode"`
	Message    string `json:"errmsg"`
	OpenID     string `json:"openid"`
	UnionID    string `json:"unionid"`
	SessionKey string `json:"session_key"`
	Token      string `json:"access_token"`
	Seconds    int    `json:"expires_in"`
	TraceID    string `json:"trace_id"`

	Phone  phoneInfo `json:"phone_info"`
	Result Verdict   `json:"result"`
}

func call(t *testing.T, s *Server, method, target, body string) answer {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/plain", w.Header().Get("Content-Type"))
	var a answer
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), w.Body)
	return a
}

func loginURL(code string) string {
	return PathCode2Session + "?" + url.Values{
		"appid": {appID}, "secret": {appSecret}, "js_code": {code}, "grant_type": {"authorization_code"},
	}.Encode()
}

func login(t *testing.T, s *Server, code string) answer {
	t.Helper()
	return call(t, s, http.MethodGet, loginURL(code), "")
}

func stable(t *testing.T, s *Server) answer {
	t.Helper()
	body := fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q}`, appID, appSecret)
	return call(t, s, http.MethodPost, PathStableToken, body)
}

func check(t *testing.T, s *Server, token, openID, key string) answer {
	t.Helper()
	signature := hex.EncodeToString(hmac.New(sha256.New, []byte(key)).Sum(nil))
	return call(t, s, http.MethodGet, PathCheckSession+"?"+url.Values{
		"access_token": {token}, "openid": {openID}, "signature": {signature}, "sig_method": {"hmac_sha256"},
	}.Encode(), "")
}

func TestCodeSignsInOnce(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret})
	code := s.NewCode(User{OpenID: "o1", UnionID: "u1"})
	assert.Len(t, code, 32)

	first := login(t, s, code)
	assert.Equal(t, "o1", first.OpenID)
	assert.Equal(t, "u1", first.UnionID)
	assert.Equal(t, s.SessionKey("o1"), first.SessionKey)
	assert.Len(t, first.SessionKey, 24)

	second := login(t, s, code)
	assert.Equal(t, 40163, second.Code)
	assert.Regexp(t, `^code been used, rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`, second.Message)

	login(t, s, s.NewCode(User{OpenID: "o1"}))
	assert.NotEqual(t, first.SessionKey, s.SessionKey("o1"), "a sign-in replaces the key")
	assert.Empty(t, s.SessionKey("nobody"))
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := New(Options{AppID: appID, AppSecret: appSecret, Now: c.Now})
	young, old := s.NewCode(User{OpenID: "o1"}), s.NewCode(User{OpenID: "o1"})
	c.Advance(5*time.Minute - time.Second)
	assert.Zero(t, login(t, s, young).Code)
	c.Advance(time.Second)
	assert.Equal(t, 40029, login(t, s, old).Code)

	s.NewCode(User{OpenID: "o1"})
	assert.Len(t, s.codes.byText, 1, "expired codes are swept")
	assert.Len(t, s.codes.queue, 1)
}

func TestCodesAreBounded(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret})
	first := s.NewCode(User{OpenID: "o1"})
	for range maxCodes {
		s.NewCode(User{OpenID: "o1"})
	}
	assert.Len(t, s.codes.byText, maxCodes)
	assert.Equal(t, 40029, login(t, s, first).Code)
}

func TestWrongParameters(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret})
	cases := map[string]struct {
		key, value string
		want       int
	}{
		"no appid":         {"appid", "", 41002},
		"wrong appid":      {"appid", "wx1", 40013},
		"no secret":        {"secret", "", 41004},
		"wrong secret":     {"secret", "x", 40125},
		"no code":          {"js_code", "", 41008},
		"wrong code":       {"js_code", "the code is a mock one", 40029},
		"self-minted code": {"js_code", "u:o1:1", 40029},
		"no grant_type":    {"grant_type", "", 40002},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(loginURL(s.NewCode(User{OpenID: "o1"})))
			require.NoError(t, err)
			query := u.Query()
			query.Set(c.key, c.value)
			u.RawQuery = query.Encode()
			assert.Equal(t, c.want, call(t, s, http.MethodGet, u.String(), "").Code)
		})
	}
	assert.Equal(t, 41002, call(t, s, http.MethodPost, PathCode2Session, "appid="+appID).Code, "the body is not read")
}

func TestUnknownPath(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	New(Options{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/other", nil))
	assert.Equal(t, http.StatusNotFound, w.Code)
}

func TestQuota(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ set, allowed int }{"default": {0, 100}, "own": {2, 2}, "none": {-1, 300}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			s := New(Options{AppID: appID, AppSecret: appSecret, Now: clock.Now, CodesPerMinute: c.set})
			for range c.allowed {
				require.Zero(t, login(t, s, s.NewCode(User{OpenID: "o1"})).Code)
			}
			if c.set < 0 {
				return
			}
			assert.Equal(t, 45011, login(t, s, s.NewCode(User{OpenID: "o1"})).Code)
			assert.Zero(t, login(t, s, s.NewCode(User{OpenID: "o2"})).Code, "another user")
			clock.Advance(time.Minute)
			assert.Zero(t, login(t, s, s.NewCode(User{OpenID: "o1"})).Code, "another minute")
		})
	}
}

func TestSelfMintedCodes(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret, SelfMintedCodes: true})
	assert.Equal(t, "o1", login(t, s, "u:o1:1").OpenID)
	assert.Equal(t, 40163, login(t, s, "u:o1:1").Code)
	assert.Equal(t, "u1", login(t, s, "u:o1:u1:1").UnionID)
	assert.Equal(t, 40029, login(t, s, "u:o1").Code)
	assert.Equal(t, 40029, login(t, s, "v:o1:1").Code)
}

func TestStableToken(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := New(Options{AppID: appID, AppSecret: appSecret, Now: c.Now})
	first := stable(t, s)
	assert.NotEmpty(t, first.Token)
	assert.Equal(t, 7200, first.Seconds)

	c.Advance(time.Hour)
	again := stable(t, s)
	assert.Equal(t, first.Token, again.Token)
	assert.Equal(t, 3600, again.Seconds)

	c.Advance(55 * time.Minute)
	renewed := stable(t, s)
	assert.NotEqual(t, first.Token, renewed.Token, "5 minutes before the end there is a new one")
	assert.Zero(t, s.checkToken(first.Token), "and the old one is still good")
	c.Advance(5 * time.Minute)
	assert.Equal(t, 42001, s.checkToken(first.Token))
	assert.Zero(t, s.checkToken(renewed.Token))
}

func TestTokenRequests(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret})
	assert.Equal(t, 43002, call(t, s, http.MethodGet, PathStableToken, "").Code)
	for body, code := range map[string]int{
		"{":  47001,
		"{}": 41002,
		`{"grant_type":"client_credential","appid":"` + appID + `","secret":"x"}`:          40125,
		`{"grant_type":"credential","appid":"` + appID + `","secret":"` + appSecret + `"}`: 40002,
	} {
		assert.Equal(t, code, call(t, s, http.MethodPost, PathStableToken, body).Code, body)
	}
	token := stable(t, s).Token
	assert.Zero(t, s.checkToken(token))
	s.ExpireTokens()
	assert.Equal(t, 40001, s.checkToken(token))
}

func TestCheckSession(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret})
	key := login(t, s, s.NewCode(User{OpenID: "o1"})).SessionKey
	token := stable(t, s).Token
	assert.Zero(t, check(t, s, token, "o1", key).Code)
	assert.Equal(t, 41001, check(t, s, "", "o1", key).Code)
	assert.Equal(t, 40001, check(t, s, "x", "o1", key).Code)
	assert.Equal(t, 87007, check(t, s, token, "nobody", key).Code)
	assert.Equal(t, 87008, call(t, s, http.MethodGet, PathCheckSession+"?access_token="+token, "").Code)
	login(t, s, s.NewCode(User{OpenID: "o1"}))
	assert.Equal(t, 87009, check(t, s, token, "o1", key).Code, "the key was replaced")
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		s := New(Options{AppID: appID, AppSecret: appSecret, KeepSecrets: keep, SelfMintedCodes: true})
		code := s.NewCode(User{OpenID: "o1"})
		key := login(t, s, code).SessionKey
		token := stable(t, s).Token
		minted := login(t, s, "u:o2:1").SessionKey
		want := []string{appSecret}
		if keep {
			want = append(want, code, key, token, "u:o2:1", minted)
		}
		assert.Equal(t, want, s.Secrets())
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret})
	code := s.NewCode(User{OpenID: "o1"})
	var wins sync.Map
	var group sync.WaitGroup
	for i := range 32 {
		group.Go(func() {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, loginURL(code), nil))
			if strings.Contains(w.Body.String(), "openid") {
				wins.Store(i, true)
			}
			s.NewCode(User{OpenID: "o2"})
			s.Calls(PathCode2Session)
		})
	}
	group.Wait()
	n := 0
	wins.Range(func(any, any) bool { n++; return true })
	assert.Equal(t, 1, n)
	assert.Equal(t, 32, s.Calls(PathCode2Session))
}

func TestFaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault  Fault
		status int
		body   string // a regular expression
	}{
		"errcode":      {Errcode(-1), 200, `^\{"errcode":-1,"errmsg":"system error, rid: .+"\}$`},
		"errcode text": {ErrcodeText(40029), 200, `^\{"errcode":"40029","errmsg":"invalid code, rid: .+"\}$`},
		"own message":  {ErrcodeMessage(40164, "no"), 200, `^\{"errcode":40164,"errmsg":"no"\}$`},
		"status":       {Status(500), 500, `^Internal Server Error$`},
		"html":         {HTML(), 200, `^<html>`},
		"truncated":    {Truncated(), 200, `^\{"openid":.+[^}]$`},
		"wrong types":  {WrongTypes(), 200, `"openid":12345`},
		"oversized":    {Oversized(), 200, `^\{"openid":.+"padding":"x{1000}`},
		"empty":        {Empty(), 200, `^$`},
		"slow":         {Slow(time.Millisecond), 200, `^\{"openid":`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(Options{AppID: appID, AppSecret: appSecret})
			s.Inject(PathCode2Session, c.fault, 1)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, loginURL(s.NewCode(User{OpenID: "o1"})), nil))
			assert.Equal(t, c.status, w.Code)
			assert.Regexp(t, c.body, w.Body.String())
			assert.Zero(t, login(t, s, s.NewCode(User{OpenID: "o1"})).Code, "the next call is fine")
		})
	}
}

func TestFaultsFollowEachOther(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret})
	s.Inject(PathStableToken, Errcode(-1), 0)
	s.Inject(PathStableToken, Errcode(45009), 2)
	s.Inject(PathStableToken, nil, 1)
	s.Inject(PathStableToken, Errcode(45011), -1)
	got := make([]int, 6)
	for i := range got {
		got[i] = stable(t, s).Code
	}
	assert.Equal(t, []int{45009, 45009, 0, 45011, 45011, 45011}, got)
	s.Heal(PathStableToken)
	assert.Zero(t, stable(t, s).Code)
	assert.Equal(t, 7, s.Calls(PathStableToken))
}

func TestResetAndHangOverTCP(t *testing.T) {
	t.Parallel()
	s := New(Options{AppID: appID, AppSecret: appSecret})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)

	s.Inject(PathStableToken, Reset(), 1)
	_, err := server.Client().Post(server.URL+PathStableToken, "", nil)
	require.ErrorIs(t, err, io.EOF)

	s.Inject(PathStableToken, Hang(), 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+PathStableToken, nil)
	require.NoError(t, err)
	_, err = server.Client().Do(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	s.Close()
	_, err = server.Client().Post(server.URL+PathStableToken, "", nil)
	require.ErrorIs(t, err, io.EOF, "a closed server lets go of what hangs")
}

func BenchmarkCode2Session(b *testing.B) {
	s := New(Options{AppID: appID, AppSecret: appSecret, SelfMintedCodes: true, CodesPerMinute: -1})
	for i := 0; b.Loop(); i++ {
		r := httptest.NewRequest(http.MethodGet, loginURL(fmt.Sprintf("u:o%d:%d", i%1000, i)), nil)
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
}
