package idp

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

func TestExchange(t *testing.T) {
	t.Parallel()
	for _, unionID := range []string{"", "ocMvos6NjeKLIBqg5Mr9QjxrP1FA", "ocMvos_NjeKLIBqg5-r9QjxrP1FA"} {
		f := newFixture(t, nil)
		code := f.fake.NewCode(fakewechat.User{OpenID: testOpenID, UnionID: unionID})
		s, err := f.wechat.Exchange(t.Context(), code)
		require.NoError(t, err)
		assert.Equal(t, testOpenID, s.OpenID)
		assert.Equal(t, unionID, s.UnionID)
		assert.Equal(t, f.fake.SessionKey(testOpenID), s.SessionKey.Reveal())

		_, err = f.wechat.Exchange(t.Context(), code)
		e := f.fails(t, provider.KindInvalidCode, err)
		assert.Equal(t, 40163, e.Code)
		assert.Equal(t, "code been used", e.Message)
		assert.Len(t, e.RequestID, 26)
	}
}

func TestExchangeOverTCP(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	server := httptest.NewServer(f.fake)
	t.Cleanup(server.Close)
	w := newTestWeChat(t, Options{Endpoint: server.URL})
	s, err := w.Exchange(t.Context(), f.code())
	require.NoError(t, err)
	assert.Equal(t, testOpenID, s.OpenID)
}

func TestExchangeErrcodes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		code  int
		kind  provider.Kind
		retry time.Duration
	}{
		{-1, provider.KindUnavailable, 5 * time.Second},
		{40029, provider.KindInvalidCode, 0},
		{40163, provider.KindInvalidCode, 0},
		{41008, provider.KindInvalidCode, 0},
		{40226, provider.KindRefused, 0},
		{45011, provider.KindThrottled, time.Minute},
		{45009, provider.KindThrottled, time.Hour},
		{40001, provider.KindUnavailable, 5 * time.Second},
		{40013, provider.KindMisconfigured, 0},
		{40125, provider.KindMisconfigured, 0},
		{41002, provider.KindMisconfigured, 0},
		{41004, provider.KindMisconfigured, 0},
		{40164, provider.KindMisconfigured, 0},
		{40243, provider.KindMisconfigured, 0},
		{50004, provider.KindMisconfigured, 0},
		{50007, provider.KindMisconfigured, 0},
		{89503, provider.KindMisconfigured, 0},
		{89506, provider.KindMisconfigured, 24 * time.Hour},
		{89507, provider.KindMisconfigured, time.Hour},
		{99999, provider.KindUnavailable, 5 * time.Second},
	}
	for _, c := range cases {
		for name, fault := range map[string]fakewechat.Fault{
			"number": fakewechat.Errcode(c.code), "text": fakewechat.ErrcodeText(c.code),
		} {
			f := newFixture(t, nil)
			f.fake.Inject(fakewechat.PathCode2Session, fault, 1)
			_, err := f.wechat.Exchange(t.Context(), f.code())
			e := f.fails(t, c.kind, err)
			assert.Equal(t, c.code, e.Code, name)
			assert.Equal(t, c.retry, e.RetryAfter, c.code)
			assert.NotEmpty(t, e.RequestID)
			assert.NotContains(t, e.Message, "rid")
			assert.Equal(t, c.kind == provider.KindMisconfigured, e.Hint != "", c.code)
			assert.Equal(t, c.kind == provider.KindMisconfigured, e.Fault != "", c.code)
		}
	}
}

func TestExchangeMisconfigured(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	client := &http.Client{Transport: direct{f.fake}}
	platform := WeChatPlatform(Options{Endpoint: "http://wechat.test", HTTPClient: client})
	for _, c := range []struct {
		config provider.Config
		want   int
	}{
		{provider.Config{ClientID: "wx1", ClientSecret: testSecret}, 40013},
		{provider.Config{ClientID: testAppID, ClientSecret: "wrong"}, 40125},
	} {
		p, err := platform.New(c.config)
		require.NoError(t, err)
		_, err = p.Exchange(t.Context(), f.code())
		assert.Equal(t, c.want, f.fails(t, provider.KindMisconfigured, err).Code)
	}
}

func TestExchangeBrokenReplies(t *testing.T) {
	t.Parallel()
	body := func(text string) fakewechat.Fault { return fakewechat.Body(http.StatusOK, "application/json", text) }
	cases := map[string]fakewechat.Fault{
		"500":                    fakewechat.Status(http.StatusInternalServerError),
		"404":                    fakewechat.Status(http.StatusNotFound),
		"502 with a session":     fakewechat.Body(http.StatusBadGateway, "text/plain", goodSession),
		"html":                   fakewechat.HTML(),
		"truncated":              fakewechat.Truncated(),
		"wrong types":            fakewechat.WrongTypes(),
		"oversized":              fakewechat.Oversized(),
		"empty":                  fakewechat.Empty(),
		"reset":                  fakewechat.Reset(),
		"null":                   body(`null`),
		"array":                  body(`[]`),
		"string":                 body(`"openid"`),
		"no fields":              body(`{}`),
		"trailing text":          body(goodSession + "x"),
		"errcode true":           body(`{"errcode":true}`),
		"errcode words":          body(`{"errcode":"` + testSecret + `"}`),
		"errcode fraction":       body(`{"errcode":40029.5}`),
		"errmsg object":          body(`{"errcode":40029,"errmsg":{}}`),
		"openid empty":           body(strings.Replace(goodSession, testOpenID, "", 1)),
		"openid long":            body(strings.Replace(goodSession, testOpenID, strings.Repeat("o", 129), 1)),
		"openid with slash":      body(strings.Replace(goodSession, testOpenID, "a/b", 1)),
		"openid not ASCII":       body(strings.Replace(goodSession, testOpenID, "微信", 1)),
		"openid not UTF-8":       body(strings.Replace(goodSession, testOpenID, "\xff", 1)),
		"openid number":          body(strings.Replace(goodSession, `"`+testOpenID+`"`, "1", 1)),
		"unionid object":         body(strings.Replace(goodSession, "{", `{"unionid":{},`, 1)),
		"unionid with space":     body(strings.Replace(goodSession, "{", `{"unionid":"a b",`, 1)),
		"session_key missing":    body(`{"openid":"` + testOpenID + `"}`),
		"session_key no base64":  body(strings.Replace(goodSession, "/FT9", "!!!!", 1)),
		"session_key short":      body(strings.Replace(goodSession, "/FT9", "", 1)),
		"session_key with break": body(strings.Replace(goodSession, "/FT9", `/F\nT9`, 1)),
	}
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			f.fake.Inject(fakewechat.PathCode2Session, fault, 1)
			_, err := f.wechat.Exchange(t.Context(), f.code())
			e := f.fails(t, provider.KindUnavailable, err)
			assert.Equal(t, 5*time.Second, e.RetryAfter)
			assert.Zero(t, e.Code)
			assert.Equal(t, 1, f.fake.Calls(fakewechat.PathCode2Session))
		})
	}
}

func TestExchangeLenientReplies(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{
		`"errcode":0,"errmsg":"ok"`, `"errcode":"0"`, `"errcode":null,"unionid":null`, `"new":{"a":[1]}`,
	} {
		f := newFixture(t, nil)
		reply := strings.Replace(goodSession, "{", "{"+fields+",", 1)
		f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Body(http.StatusOK, "text/html", reply), 1)
		s, err := f.wechat.Exchange(t.Context(), f.code())
		require.NoError(t, err, fields)
		assert.Equal(t, testOpenID, s.OpenID)
	}
}

func TestErrcodeWinsOverStatus(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Body(412, "", `{"errcode":40029,"errmsg":"invalid code"}`), 1)
	_, err := f.wechat.Exchange(t.Context(), f.code())
	assert.Equal(t, 40029, f.fails(t, provider.KindInvalidCode, err).Code)
}

func TestImpossibleCodesAreNotSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, code := range []string{"", strings.Repeat("c", 257), "a\x00b", "line\n", "代码", "\xff"} {
		_, err := f.wechat.Exchange(t.Context(), code)
		f.fails(t, provider.KindInvalidCode, err)
	}
	assert.Zero(t, f.fake.Calls(fakewechat.PathCode2Session))

	_, err := f.wechat.Exchange(t.Context(), "the code is a mock one")
	assert.Equal(t, 40029, f.fails(t, provider.KindInvalidCode, err).Code)
	_, err = f.wechat.Exchange(t.Context(), "a&secret=b#c%20d/../e?f=g")
	assert.Equal(t, 40029, f.fails(t, provider.KindInvalidCode, err).Code, "nothing escapes from the parameter")
}

func TestSameCodeAtTheSameTimeIsOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Slow(time.Second), -1)
		code, other := f.code(), f.code()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				s, err := f.wechat.Exchange(t.Context(), code)
				assert.NoError(t, err)
				assert.Equal(t, testOpenID, s.OpenID)
			})
		}
		group.Go(func() {
			_, err := f.wechat.Exchange(t.Context(), other)
			assert.NoError(t, err)
		})
		group.Wait()
		assert.Equal(t, 2, f.fake.Calls(fakewechat.PathCode2Session))
	})
}

func TestCallerWhoLeavesTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Slow(3*time.Second), -1)
		code, start := f.code(), time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		var group sync.WaitGroup
		group.Go(func() {
			_, err := f.wechat.Exchange(ctx, code)
			f.fails(t, provider.KindUnavailable, err)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, time.Second, time.Since(start), "the caller leaves at once")
		})
		synctest.Wait()
		group.Go(func() {
			s, err := f.wechat.Exchange(t.Context(), code)
			assert.NoError(t, err)
			assert.Equal(t, testOpenID, s.OpenID)
		})
		group.Wait()
		assert.Equal(t, 1, f.fake.Calls(fakewechat.PathCode2Session))
	})
}

func TestCallerWhoHasLeftSendsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.wechat.Exchange(ctx, f.code())
	f.fails(t, provider.KindUnavailable, err)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, f.fake.Calls(fakewechat.PathCode2Session))
}

func TestHangEndsAfterTheTimeout(t *testing.T) {
	t.Parallel()
	for set, want := range map[time.Duration]time.Duration{0: 5 * time.Second, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Timeout = set })
			f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Hang(), 1)
			start := time.Now()
			_, err := f.wechat.Exchange(t.Context(), f.code())
			f.fails(t, provider.KindUnavailable, err)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, want, time.Since(start))
		})
	}
}

func TestHangOverTCP(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	server := httptest.NewServer(f.fake)
	t.Cleanup(server.Close)
	f.fake.Inject(fakewechat.PathCode2Session, fakewechat.Hang(), 1)
	w := newTestWeChat(t, Options{Endpoint: server.URL, Timeout: 300 * time.Millisecond})
	_, err := w.Exchange(t.Context(), f.code())
	f.fails(t, provider.KindUnavailable, err)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Eventually(t, func() bool { // a busy machine may take longer than the time-out itself
		_, err = w.Exchange(t.Context(), f.code())
		return err == nil
	}, 10*time.Second, time.Millisecond)
}

func BenchmarkExchangeOverTCP(b *testing.B) {
	fake := fakewechat.New(fakewechat.Options{
		AppID: testAppID, AppSecret: testSecret, SelfMintedCodes: true, CodesPerMinute: -1,
	})
	server := httptest.NewServer(fake)
	defer server.Close()
	w, err := newWeChat(
		provider.Config{ClientID: testAppID, ClientSecret: testSecret},
		Options{}.withDefaults(),
		newClient(Options{Endpoint: server.URL}),
	)
	require.NoError(b, err)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.Exchange(b.Context(), fmt.Sprintf("u:%s:%d", testOpenID, n.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
