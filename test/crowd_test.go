package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// A storm of made-up codes from one address reaches WeChat about as often as its budget says, and others sign in
// meanwhile.
func TestStormOfBadCodes(t *testing.T) {
	t.Parallel()
	const budget, attackers, attempts, customers = 50, 16, 40, 40
	s := harness.Start(t, harness.Options{
		Now:    harness.NewClock().Now, // the budget does not grow, however long it takes
		Limits: controllers.LimitsConfig{FailedPerIP: budget, FailedShare: 50},
		Deps: func(deps *controllers.Deps) {
			deps.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		},
	})
	var storm sync.WaitGroup
	var turnedAway, asked atomic.Int64
	attack := func(worker int) {
		for n := range attempts {
			// Each code is another one: requests with the same one share an answer.
			form := harness.SignInForm(fmt.Sprintf("made-up-%d-%d", worker, n))
			switch reply := s.From("203.0.113.66").Call(t, "POST", harness.PathToken, "", form); reply.Status {
			case http.StatusTooManyRequests:
				turnedAway.Add(1)
			case http.StatusBadRequest:
				asked.Add(1)
			default:
				t.Errorf("%d %s", reply.Status, reply.Body)
			}
		}
	}
	for worker := range attackers {
		storm.Go(func() { attack(worker) })
	}
	for n := range customers {
		s.From(fmt.Sprintf("198.51.100.%d", n)).SignIn(t, fmt.Sprintf("oCustomer%d", n))
	}
	storm.Wait()
	assert.LessOrEqual(t, asked.Load(), int64(budget+attackers))
	assert.Equal(t, int64(attackers*attempts)-asked.Load(), turnedAway.Load())
	assert.EqualValues(t, customers+asked.Load(), s.Fake.Calls(fakewechat.PathCode2Session))
}

// Who leaves before WeChat has said that the code is bad is counted as those who wait for it.
func TestStormOfThoseWhoLeave(t *testing.T) {
	t.Parallel()
	const budget = 3
	s := harness.Start(t, harness.Options{
		Now:    harness.NewClock().Now,
		Limits: controllers.LimitsConfig{FailedPerIP: budget},
		Deps:   func(deps *controllers.Deps) { deps.TrustedProxies = nil },
	})
	for n := range budget {
		ctx, leave := context.WithCancel(t.Context())
		s.Fake.Inject(fakewechat.PathCode2Session, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
			leave()
			answer(w, r)
		}, 1)
		r, err := http.NewRequestWithContext(ctx, "POST",
			s.URL+harness.PathToken+"?"+harness.SignInForm(fmt.Sprintf("made-up-%d", n)).Encode(), nil)
		require.NoError(t, err)
		reply, err := http.DefaultClient.Do(r)
		if err == nil { // the answer was faster
			_ = reply.Body.Close()
		}
		require.Eventually(t, func() bool { return len(s.Log.Lines(`"msg":"sign-in"`)) == n+1 }, 10*time.Second,
			time.Millisecond)
	}
	asked := s.Fake.Calls(fakewechat.PathCode2Session)
	reply := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm("made-up"))
	assert.Equal(t, http.StatusTooManyRequests, reply.Status, reply.Body)
	assert.Equal(t, asked, s.Fake.Calls(fakewechat.PathCode2Session))
}

// TestCrowd has 2,000 people tap sign-in at once, and again as soon as they have their answer, while WeChat takes 80
// ms. No other test of the package runs meanwhile: the fake WeChat, in this process, is to be no slower than that. The
// race detector makes it several times as slow, and so has fewer people.
func TestCrowd(t *testing.T) {
	const taps, mostMemory = 3, 200 << 20
	people := 2000
	if raceDetector {
		people = 300
	}
	w := newWorld(t, buildMinidoor(t), testdb.SQLite(t))
	w.fake.Inject(fakewechat.PathCode2Session, fakewechat.Slow(80*time.Millisecond), -1)
	w.change(t, func(rows harness.Rows) { // what others on the machine leave must be enough for the signatures
		rows["certs"] = []harness.Row{{"owner": "admin", "name": "cert-fast", "cryptoAlgorithm": "ES256"}}
		rows["applications"][0]["cert"] = "cert-fast"
	})
	w.cfg.Env["metricsToken"], w.cfg.Env["pprofAddr"] = harness.MetricsToken, "127.0.0.1:0"
	c := w.start(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: people}}
	t.Cleanup(client.CloseIdleConnections)

	var crowd sync.WaitGroup
	var failed atomic.Int64
	start := make(chan struct{})
	for n := range people {
		openID := fmt.Sprintf("oCrowd%d", n)
		codes := make([]string, taps)
		for i := range codes {
			codes[i] = c.NewCode(openID)
		}
		crowd.Go(func() {
			<-start
			for _, code := range codes {
				reply, err := client.PostForm(c.URL+harness.PathToken, harness.SignInForm(code))
				if err != nil || reply.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				if err == nil {
					_ = reply.Body.Close()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		crowd.Wait()
		close(done)
	}()
	began := time.Now()
	close(start)
	memory, inFlight := watch(t, c, done)
	t.Logf("%d sign-ins in %v, %d MB, %v in flight", people*taps, time.Since(began), memory>>20, inFlight)
	assert.Zero(t, failed.Load())
	assert.LessOrEqual(t, memory, int64(mostMemory))
	assert.Greater(t, inFlight, float64(people)/2)
	assert.InDelta(t, people*taps, c.Metric(t, `minidoor_sign_ins_total{errcode="",kind="",outcome="ok"}`), 0)
	assert.InDelta(t, people, c.Metric(t, "minidoor_new_users_total"), 0)
	profiles(t, c)
}

// change changes the init data of the servers that start from now on.
func (w *world) change(t *testing.T, change func(harness.Rows)) {
	t.Helper()
	file := w.cfg.Env["initDataFile"]
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows harness.Rows
	require.NoError(t, json.Unmarshal(text, &rows))
	change(rows)
	text, err = json.Marshal(rows)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
}

// watch returns the most memory and sign-ins in flight that a server had until done.
func watch(t *testing.T, c *child, done <-chan struct{}) (memory int64, inFlight float64) {
	t.Helper()
	for {
		now, err := c.process.RSS()
		require.NoError(t, err)
		memory = max(memory, now)
		inFlight = max(inFlight, c.Metric(t, "minidoor_sign_ins_in_flight"))
		select {
		case <-done:
			return memory, inFlight
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// profiles looks for those of Go where the log says that they are, and nowhere else.
func profiles(t *testing.T, c *child) {
	t.Helper()
	_, rest, found := strings.Cut(c.process.Output(), `"msg":"profiles","address":"`)
	require.True(t, found, c.process.Output())
	address, _, _ := strings.Cut(rest, `"`)
	require.True(t, netip.MustParseAddrPort(address).Addr().IsLoopback())
	reply, err := http.Get((&url.URL{Scheme: "http", Host: address, Path: "/debug/pprof/goroutine"}).String())
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, reply.StatusCode)
	require.NoError(t, reply.Body.Close())
	assert.Equal(t, http.StatusNotFound, c.Call(t, "GET", "/debug/pprof/goroutine", harness.MetricsToken, nil).Status)
}
