package idp

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/testclock"
)

const (
	testAppID  = "wx0123456789abcdef"
	testSecret = "s3cret+/=&?%-0123456789" // with what changes in a URL
	testOpenID = "oGZUI0egBJY1zhBYw2KhdUfwVJJE"
)

// fixture is a provider in front of a fake WeChat, without a network between them.
type fixture struct {
	fake   *fakewechat.Server
	wechat *WeChat
	clock  *testclock.Clock
	logs   *log
}

// newFixture lets change adapt the Options, which may be nil.
func newFixture(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{clock: testclock.At(time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)), logs: &log{}}
	f.fake = fakewechat.New(fakewechat.Options{
		AppID: testAppID, AppSecret: testSecret, Now: f.clock.Now, CodesPerMinute: -1, KeepSecrets: true,
	})
	t.Cleanup(f.fake.Close)
	options := Options{
		Endpoint:   "http://wechat.test",
		HTTPClient: &http.Client{Transport: direct{f.fake}},
		Now:        f.clock.Now,
		Logger:     slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&options)
	}
	f.wechat = newTestWeChat(t, options)
	return f
}

func newTestWeChat(t *testing.T, o Options) *WeChat {
	t.Helper()
	p, err := WeChatPlatform(o).New(provider.Config{ClientID: testAppID, ClientSecret: testSecret})
	require.NoError(t, err)
	return p.(*WeChat)
}

// code is what the mini program gets from wx.login.
func (f *fixture) code() string { return f.fake.NewCode(fakewechat.User{OpenID: testOpenID}) }

// assertSilent fails when text shows a secret, or the start of the AppSecret, behind which more may be cut off.
func (f *fixture) assertSilent(t *testing.T, text string) {
	t.Helper()
	for _, secret := range append(f.fake.Secrets(), testSecret[:10]) {
		assert.NotContains(t, text, secret)
	}
}

// fails asserts that err is a *provider.Error of kind that shows no secret, and returns it.
func (f *fixture) fails(t *testing.T, kind provider.Kind, err error) *provider.Error {
	t.Helper()
	var e *provider.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, kind, e.Kind, "%v", err)
	f.assertSilent(t, e.Error()+e.Hint+e.RequestID)
	for cause := e.Err; cause != nil; {
		f.assertSilent(t, cause.Error())
		u, ok := cause.(interface{ Unwrap() error })
		if !ok {
			break
		}
		cause = u.Unwrap()
	}
	return e
}

// direct is a RoundTripper that calls a handler, as fast as can be and fit for synctest.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (_ *http.Response, err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = io.ErrUnexpectedEOF
		default:
			panic(p)
		}
		if r.Context().Err() != nil {
			err = r.Context().Err()
		}
	}()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// log is a bytes.Buffer for several goroutines.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
