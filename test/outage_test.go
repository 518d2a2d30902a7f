package test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

const (
	breakerOpen  = `minidoor_breaker_open{app_id="` + harness.AppID + `",op="code2Session"}`
	signInsDown  = `minidoor_sign_ins_total{errcode="",kind="unavailable",outcome="temporarily_unavailable"}`
	outages      = 10 // in a row open the breaker
	breakerDelay = 5 * time.Second
)

// outage sees the breaker open, and close by itself once end has ended the outage.
func outage(t *testing.T, s *harness.Server, limit time.Duration, end func()) {
	t.Helper()
	codes := make([]string, outages+1)
	for i := range codes {
		codes[i] = s.NewCode("oOutage")
		start := time.Now()
		unavailable(t, s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(codes[i])), true)
		assert.Less(t, time.Since(start), limit+4*time.Second)
	}
	assert.LessOrEqual(t, s.Fake.Calls(fakewechat.PathCode2Session), outages, "no code is sent twice")
	assert.InDelta(t, 1, s.Metric(t, breakerOpen), 0)
	assert.Len(t, s.Log.Lines(`"level":"WARN"`, "provider is down"), 1)
	assert.InDelta(t, outages+1, s.Metric(t, signInsDown), 0)
	assert.InDelta(t, 1, s.Metric(t, `minidoor_turned_away_total{limit="breaker"}`), 0)
	assert.Len(t, s.Log.Lines(`"msg":"sign-in"`), outages, "one line in 10 s is enough for those whom the breaker refuses")
	assert.Len(t, s.Log.Lines(`"reason":"breaker","count":1`), 1)
	assert.InDelta(t, outages, s.Metric(t, `minidoor_upstream_seconds_count{op="code2Session",result="unavailable"}`), 0)
	end()
	last := codes[outages] // was refused while the breaker was open, and so is not spent
	require.Eventually(t, func() bool {
		status := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(last)).Status
		if status == http.StatusBadRequest {
			last = s.NewCode("oOutage") // WeChat has answered, but on a busy machine not within the limit
		}
		return status == http.StatusOK
	}, 10*breakerDelay, 200*time.Millisecond)
	assert.InDelta(t, 0, s.Metric(t, breakerOpen), 0)
	assert.NotEmpty(t, s.Log.Lines(`"level":"INFO"`, "provider is back"))
	assert.InDelta(t, 1, s.Metric(t, `minidoor_sign_ins_total{errcode="",kind="",outcome="ok"}`), 0)
}

func TestOutages(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	for name, fault := range map[string]fakewechat.Fault{
		"hang": fakewechat.Hang(), "reset": fakewechat.Reset(), "503": fakewechat.Status(503), "HTML": fakewechat.HTML(),
		"truncated": fakewechat.Truncated(), "slow body": fakewechat.SlowBody(), "busy": fakewechat.Errcode(-1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{UpstreamTimeout: limitFor(name, limit)})
			s.Fake.Inject(fakewechat.PathCode2Session, fault, outages)
			if name == "busy" {
				// WeChat's own word for it has an errcode, and is counted under that.
				busy(t, s)
				return
			}
			outage(t, s, limit, func() {})
		})
	}
}

func busy(t *testing.T, s *harness.Server) {
	t.Helper()
	for range outages + 1 {
		unavailable(t, s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oBusy"))), true)
	}
	assert.InDelta(t, 1, s.Metric(t, breakerOpen), 0)
	assert.InDelta(t, outages, s.Metric(t, strings.Replace(signInsDown, `errcode=""`, `errcode="-1"`, 1)), 0)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// dialing reaches WeChat as dial does, or does not.
func dialing(dial func(context.Context) (net.Conn, error)) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
}

func TestWeChatOutOfReach(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	stranger := httptest.NewTLSServer(http.NotFoundHandler()) // of an authority that nobody knows
	t.Cleanup(stranger.Close)
	fails := func(err error) http.RoundTripper {
		return dialing(func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		})
	}
	for name, down := range map[string]http.RoundTripper{
		"no such host": fails(&net.DNSError{Err: "no such host", Name: "api.weixin.qq.com", IsNotFound: true}),
		"refused":      fails(syscall.ECONNREFUSED),
		"DNS hangs": dialing(func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
		"closed at once": dialing(func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			return client, server.Close()
		}),
		"TLS": roundTripper(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.URL.Scheme, r.URL.Host = "https", stranger.Listener.Addr().String()
			return http.DefaultTransport.RoundTrip(r)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var up atomic.Bool
			s := harness.Start(t, harness.Options{UpstreamTimeout: limitFor(name, limit), WeChat: func(o *idp.Options) {
				o.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if up.Load() {
						return http.DefaultTransport.RoundTrip(r)
					}
					return down.RoundTrip(r)
				})}
			}})
			outage(t, s, limit, func() { up.Store(true) })
			assert.Equal(t, 1, s.Fake.Calls(fakewechat.PathCode2Session))
			assert.NotContains(t, s.Log.String(), "secret=")
		})
	}
}

// A quota that is used up and a server that WeChat does not know are answered at once, and do not open the breaker:
// what was wrong can be mended at any time.
func TestQuotaAndAllowList(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		errcode, status int
		metric          string
	}{
		"45011": {45011, 429, `minidoor_sign_ins_total{errcode="45011",kind="throttled",outcome="slow_down"}`},
		"40164": {40164, 503, `minidoor_sign_ins_total{errcode="40164",kind="misconfigured",outcome="temporarily_unavailable"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{})
			const times = 3 * outages
			s.Fake.Inject(fakewechat.PathCode2Session, fakewechat.Errcode(c.errcode), times)
			code := s.NewCode("oQuota")
			for range times {
				reply := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(code))
				assert.Equal(t, c.status, reply.Status, reply.Body)
			}
			assert.Equal(t, times, s.Fake.Calls(fakewechat.PathCode2Session))
			assert.InDelta(t, times, s.Metric(t, c.metric), 0)
			assert.InDelta(t, 0, s.Metric(t, breakerOpen), 0)
			reply := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(code))
			assert.Equal(t, http.StatusOK, reply.Status, "WeChat has not spent the code")
		})
	}
}
