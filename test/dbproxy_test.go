package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// dbProxy stands before a database server, as a network does that fails.
type dbProxy struct {
	server string // host:port

	mu       sync.Mutex
	listener net.Listener
	down     bool // nobody gets through
	conns    map[net.Conn]bool
}

// proxied returns a database as it is reached through a proxy, and the proxy.
func proxied(t *testing.T, store object.StoreConfig) (object.StoreConfig, *dbProxy) {
	t.Helper()
	p := &dbProxy{conns: map[net.Conn]bool{}}
	t.Cleanup(p.cut)
	if store.DriverName == "mysql" {
		dsn, err := mysql.ParseDSN(store.DataSourceName)
		require.NoError(t, err)
		p.server = dsn.Addr
		dsn.Addr = p.listen(t, freeAddress(t))
		store.DataSourceName = dsn.FormatDSN()
		return store, p
	}
	cfg, err := pgx.ParseConfig(store.DataSourceName)
	require.NoError(t, err)
	p.server = net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	host, port, err := net.SplitHostPort(p.listen(t, freeAddress(t)))
	require.NoError(t, err)
	store.DataSourceName = withPostgres(t, store.DataSourceName, map[string]string{"host": host, "port": port})
	return store, p
}

// withPostgres changes settings of a PostgreSQL data source name: host, port, user, password.
func withPostgres(t *testing.T, name string, settings map[string]string) string {
	t.Helper()
	if !strings.Contains(name, "://") {
		for key, value := range settings {
			name += fmt.Sprintf(" %s=%s", key, value) // the last one counts
		}
		return name
	}
	u, err := url.Parse(name)
	require.NoError(t, err)
	if settings["host"] != "" {
		u.Host = net.JoinHostPort(settings["host"], settings["port"])
	}
	if settings["user"] != "" {
		u.User = url.UserPassword(settings["user"], settings["password"])
	}
	return u.String()
}

// listen takes connections, and returns where.
func (p *dbProxy) listen(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	p.mu.Lock()
	p.listener, p.down = listener, false
	p.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(conn)
		}
	}()
	return listener.Addr().String()
}

func (p *dbProxy) pass(client net.Conn) {
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	if p.down {
		_, _ = client.Close(), server.Close()
	}
	p.mu.Unlock()
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = to.Close(), from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, from)
	}
	go pipe(client, server)
	pipe(server, client)
}

// drop breaks the connections, as a server that restarts.
func (p *dbProxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset
		_ = conn.Close()
	}
}

// cut breaks the connections and refuses new ones.
func (p *dbProxy) cut() {
	p.mu.Lock()
	_ = p.listener.Close()
	p.down = true
	p.mu.Unlock()
	p.drop()
}

// mend takes connections again.
func (p *dbProxy) mend(t *testing.T) {
	t.Helper()
	p.listen(t, p.listener.Addr().String())
}

// A database server that restarts, or whose place another one takes.
func TestDatabaseRestarts(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, direct object.StoreConfig) {
		store, proxy := proxied(t, direct)
		f := newAiling(t, direct, store)
		f.endure(t, proxy.cut, func() { proxy.mend(t) })
	})
}

// Connections that break while sign-ins are at any point of their way.
func TestDatabaseConnectionsBreakUnderLoad(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, direct object.StoreConfig) {
		store, proxy := proxied(t, direct)
		f := newAiling(t, direct, store)
		var mu sync.Mutex
		acknowledged := map[string]string{}
		var succeeded, refused atomic.Int64
		stop := make(chan struct{})
		var workers sync.WaitGroup
		for worker := range 8 {
			workers.Go(func() {
				for n := worker; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					openID := fmt.Sprintf("oBreak%d", n%people)
					reply := f.Call(t, "POST", harness.PathToken, "", harness.SignInForm(f.NewCode(openID)))
					var tokens harness.Tokens
					if reply.Status != http.StatusOK {
						unavailable(t, reply, true)
						refused.Add(1)
					} else if assert.NoError(t, json.Unmarshal([]byte(reply.Body), &tokens)) {
						mu.Lock()
						acknowledged[tokens.AccessToken] = "wechat-" + openID
						mu.Unlock()
						succeeded.Add(1)
					}
				}
			})
		}
		const breaks = 5
		for range breaks {
			enough := succeeded.Load() + 20
			require.Eventually(t, func() bool { return succeeded.Load() >= enough }, time.Minute, time.Millisecond)
			proxy.drop()
		}
		enough := succeeded.Load() + 20
		require.Eventually(t, func() bool { return succeeded.Load() >= enough }, time.Minute, time.Millisecond)
		close(stop)
		workers.Wait()
		t.Logf("%d sign-ins succeeded, %d were refused", succeeded.Load(), refused.Load())
		for token, name := range acknowledged {
			require.Equal(t, name, f.Account(t, token)["name"])
		}
		checkIdentities(t, direct)
		assert.GreaterOrEqual(t, count(t, f.db, direct, "SELECT COUNT(*) FROM token"), len(acknowledged))
	})
}
