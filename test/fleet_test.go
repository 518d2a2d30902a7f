package test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// testFleet runs three servers behind a load balancer, on one database and one Redis: they are replaced, one after the
// other, without a request that fails, and one of them is killed.
func testFleet(t *testing.T, binary string) {
	for _, kind := range testdb.Kinds() {
		if kind.Name == "sqlite" {
			continue // is one server's
		}
		t.Run(kind.Name, func(t *testing.T) {
			store := kind.Empty(t)
			w := newWorld(t, binary, store)
			redis := miniredis.RunT(t)
			w.cfg.Env["sealKey"] = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
			w.cfg.Env["redisEndpoint"], w.cfg.Env["drainDelay"] = redis.Addr(), "2"
			lb := newBalancer(t)
			front := &child{Server: &harness.Server{URL: lb.url, Fake: w.fake}}
			fleet := []*child{w.start(t), w.start(t), w.start(t)}
			for _, c := range fleet {
				lb.add(t, c)
			}

			tokens := signInEverywhere(t, "oFleet", front)
			db := testdb.Connect(t, store)
			assert.Equal(t, 1, count(t, db, store, "SELECT COUNT(*) FROM mini_program_identity"))
			for i, c := range fleet {
				checkLogoutElsewhere(t, c, fleet[(i+1)%3], tokens[i])
			}

			load := newSignIns(front)
			load.during(t, func() {
				for i, old := range fleet {
					fleet[i] = w.start(t)
					lb.add(t, fleet[i])
					old.stop(t)
					assert.Contains(t, old.process.Output(), `"drainDelay":2`, "it says why it does not end at once")
				}
			})
			require.Empty(t, load.failed, "a rolling restart was noticed")
			front.holdsAll(t, load.acknowledged())

			load.during(t, fleet[0].process.Kill)
			for _, err := range load.failed {
				assert.ErrorContains(t, err, badGateway, "more failed than what the killed server had begun")
			}
			front.holdsAll(t, load.acknowledged())
			checkIdentities(t, store)
		})
	}
}

// balancer sends requests to servers in turn, as long as their health route says that they are well.
type balancer struct {
	url string

	mu      sync.Mutex
	healthy []*httputil.ReverseProxy
}

// badGateway is in the answer of a balancer whose server has broken the connection.
const badGateway = "bad gateway"

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	b := &balancer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.next().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// next takes the first server to the end of the row.
func (b *balancer) next() http.Handler {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.healthy) == 0 {
		return http.NotFoundHandler()
	}
	first := b.healthy[0]
	b.healthy = append(b.healthy[1:], first)
	return first
}

// add takes a server in, and looks at its health until the test ends. It leaves the row when it is not well.
func (b *balancer) add(t *testing.T, c *child) {
	t.Helper()
	target, err := url.Parse(c.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = readWhole
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, badGateway+": "+err.Error(), http.StatusBadGateway)
	}
	require.NoError(t, c.process.Healthy(t.Context()))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.healthy = append(b.healthy, proxy)
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.Tick(20 * time.Millisecond); c.process.Healthy(ctx) == nil; {
			<-tick
		}
		b.remove(proxy)
	})
	t.Cleanup(func() { cancel(); watch.Wait() })
}

// readWhole has an answer that breaks off count as a broken connection, as one that does not begin.
func readWhole(answer *http.Response) error {
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

func (b *balancer) remove(proxy *httputil.ReverseProxy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.healthy = slices.DeleteFunc(b.healthy, func(p *httputil.ReverseProxy) bool { return p == proxy })
}
