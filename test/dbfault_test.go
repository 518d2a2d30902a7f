package test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/dbserver"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// ailing is a server on a database that something will be wrong with.
type ailing struct {
	*harness.Server

	direct object.StoreConfig // the database, past what is wrong with it
	db     *sql.DB            // of direct
}

// newAiling starts a server that reaches the database direct as store says.
func newAiling(t *testing.T, direct, store object.StoreConfig) *ailing {
	t.Helper()
	return &ailing{
		Server: harness.Start(t, harness.Options{Store: store}), direct: direct, db: testdb.Connect(t, direct),
	}
}

// exec runs a statement past the server. {user} is the table of that name.
func (f *ailing) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := f.db.ExecContext(t.Context(), strings.ReplaceAll(statement, "{user}", quotedUser(f.direct)))
	require.NoError(t, err, statement)
}

// rows counts what a sign-in writes.
func (f *ailing) rows(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, table := range []string{"{user}", "token", "mini_program_identity", "mini_program_session"} {
		counts[table] = count(t, f.db, f.direct, "SELECT COUNT(*) FROM "+table)
	}
	return counts
}

// longest is how long an answer may take: requests are given up after 20 s, and a busy machine needs some for itself.
const longest = 30 * time.Second

// endure holds the server to what it says and does while nothing can be written: everything is refused, in the form of
// its route; nothing is half written; and once end has ended the fault it goes on by itself, with all that was
// acknowledged.
func (f *ailing) endure(t *testing.T, begin, end func()) {
	t.Helper()
	known := f.SignIn(t, "oKnown")
	refreshed := f.SignIn(t, "oKnown")
	before := f.rows(t)
	begin()
	f.refusesAll(t, known, refreshed)
	end()
	require.Eventually(t, func() bool {
		reply := f.Call(t, "POST", harness.PathToken, "", harness.SignInForm(f.NewCode("oAfter")))
		if reply.Status != http.StatusOK {
			unavailable(t, reply, true)
		}
		return reply.Status == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "it does not go on by itself")
	for table := range before {
		before[table]++ // of oAfter
	}
	assert.Equal(t, before, f.rows(t), "something was half written")
	assert.Equal(t, "wechat-oKnown", f.Account(t, known.AccessToken)["name"])
	f.Call(t, "POST", harness.PathRefresh, "", refreshForm(refreshed.RefreshToken)).Tokens(t)
	assert.Equal(t, new(false), f.SignIn(t, "oKnown").NewUser)
	assert.Equal(t, new(true), f.SignIn(t, "oNew").NewUser)
	checkIdentities(t, f.direct)
	assert.Empty(t, f.Log.Lines("panic"))
}

// refusesAll sends what writes, all at once.
func (f *ailing) refusesAll(t *testing.T, known, refreshed harness.Tokens) {
	t.Helper()
	client := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {harness.ClientID}, "client_secret": {harness.ClientSecret},
	}
	requests := map[string]func() harness.Reply{
		"sign-in": func() harness.Reply {
			return f.Call(t, "POST", harness.PathToken, "", harness.SignInForm(f.NewCode("oKnown")))
		},
		"first sign-in": func() harness.Reply {
			return f.Call(t, "POST", harness.PathToken, "", harness.SignInForm(f.NewCode("oNew")))
		},
		"refresh": func() harness.Reply {
			return f.Call(t, "POST", harness.PathRefresh, "", refreshForm(refreshed.RefreshToken))
		},
		"client credentials": func() harness.Reply { return f.Call(t, "POST", harness.PathToken, "", client) },
		"profile": func() harness.Reply {
			return f.Call(t, "POST", harness.PathProfile, known.AccessToken, fieldsOf{"nickName": "x"})
		},
	}
	var together sync.WaitGroup
	for name, request := range requests {
		together.Go(func() {
			start := time.Now()
			reply := request()
			if reply.Status == http.StatusOK {
				t.Errorf("%s: 200", name) // the reply is long
				return
			}
			t.Logf("%s: %d after %v", name, reply.Status, time.Since(start).Round(time.Millisecond))
			assert.Less(t, time.Since(start), longest, name)
			unavailable(t, reply, true)
			for _, word := range []string{"SQL", "sql", "INSERT", "mini_program", "denied", "127.0.0.1"} {
				assert.NotContains(t, reply.Body, word, name)
			}
		})
	}
	together.Wait()
}

// servers are the kinds of database that are a server's.
func servers(t *testing.T, test func(t *testing.T, cfg object.StoreConfig)) {
	for _, kind := range testdb.Kinds()[1:] {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			test(t, kind.Empty(t))
		})
	}
}

// A file that may not grow any more still takes what fits into its pages. Then nothing is taken that cannot be kept.
func TestSQLiteFull(t *testing.T) {
	t.Parallel()
	direct := testdb.SQLite(t)
	store, _, err := object.Open(t.Context(), direct)
	require.NoError(t, err)
	store.Close()
	db := testdb.Connect(t, direct)
	most := 400 + count(t, db, direct, "PRAGMA page_count")
	limited := direct
	limited.DataSourceName += fmt.Sprintf("?_pragma=max_page_count(%d)", most)
	f := newAiling(t, direct, limited)
	f.exec(t, "CREATE TABLE ballast (x BLOB)")
	left := most - count(t, db, direct, "PRAGMA page_count")
	f.exec(t, fmt.Sprintf("INSERT INTO ballast VALUES (zeroblob(%d))", (left-10)*count(t, db, direct, "PRAGMA page_size")))

	acknowledged := map[string]string{}
	for n := 0; ; n++ {
		require.Less(t, n, 1000, "it is never full")
		openID := fmt.Sprintf("oFull%d", n)
		reply := f.Call(t, "POST", harness.PathToken, "", harness.SignInForm(f.NewCode(openID)))
		if reply.Status != http.StatusOK {
			unavailable(t, reply, true)
			break
		}
		acknowledged[reply.Tokens(t).AccessToken] = "wechat-" + openID
	}
	assert.Equal(t, len(acknowledged), count(t, db, direct, "SELECT COUNT(*) FROM mini_program_identity"))
	checkIdentities(t, direct)
	f.exec(t, "DELETE FROM ballast")
	for range 30 {
		f.SignIn(t, "oRoom")
	}
	for token, name := range acknowledged {
		assert.Equal(t, name, f.Account(t, token)["name"])
	}
	checkIdentities(t, direct)
}

// A disk that is full, and has room again.
func TestDatabaseFull(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, cfg object.StoreConfig) {
		f := newAiling(t, cfg, cfg)
		full := map[string]string{ // as the servers say it themselves
			"postgres": "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " +
				"RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$; " +
				"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON token FOR EACH ROW EXECUTE FUNCTION full_disk()",
			"mysql": "CREATE TRIGGER full_disk BEFORE INSERT ON token FOR EACH ROW " +
				"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table token is full'",
		}
		f.endure(t, func() {
			f.exec(t, full[cfg.DriverName])
			if cfg.DriverName == "mysql" {
				f.exec(t, strings.NewReplacer("full_disk", "full_disk_2", "BEFORE INSERT", "BEFORE UPDATE").Replace(full["mysql"]))
				f.exec(t, strings.NewReplacer("full_disk", "full_disk_3", "BEFORE INSERT ON token", "BEFORE UPDATE ON {user}").
					Replace(full["mysql"]))
			} else {
				f.exec(t, "CREATE TRIGGER full_disk BEFORE UPDATE ON {user} FOR EACH ROW EXECUTE FUNCTION full_disk()")
			}
		}, func() {
			if cfg.DriverName == "postgres" {
				f.exec(t, "DROP FUNCTION full_disk CASCADE")
				return
			}
			for _, name := range []string{"full_disk", "full_disk_2", "full_disk_3"} {
				f.exec(t, "DROP TRIGGER "+name)
			}
		})
	})
}

// Somebody else holds a lock for too long.
func TestDatabaseLocked(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, direct object.StoreConfig) {
		store := direct
		switch direct.DriverName {
		case "mysql":
			store.DataSourceName += "?innodb_lock_wait_timeout=1"
		case "postgres":
			require.NoError(t, dbserver.Exec(t.Context(), dbserver.Server(direct), `CREATE DATABASE "`+direct.DBName+`"`,
				`ALTER DATABASE "`+direct.DBName+`" SET lock_timeout = '1s'`))
		}
		f := newAiling(t, direct, store)
		var holder *sql.Conn
		f.endure(t, func() {
			var err error
			holder, err = f.db.Conn(t.Context())
			require.NoError(t, err)
			for _, statement := range map[string][]string{ // in the order of a sign-in: else the two may wait for each other
				"sqlite":   {"BEGIN IMMEDIATE"},
				"postgres": {"BEGIN", `LOCK TABLE "user", token IN SHARE ROW EXCLUSIVE MODE`},
				"mysql":    {"BEGIN", "SELECT COUNT(*) FROM `user` FOR UPDATE", "SELECT COUNT(*) FROM token FOR UPDATE"},
			}[direct.DriverName] {
				_, err = holder.ExecContext(t.Context(), statement)
				require.NoError(t, err, statement)
			}
		}, func() {
			_, err := holder.ExecContext(t.Context(), "ROLLBACK")
			require.NoError(t, err)
			require.NoError(t, holder.Close())
		})
	})
}

// signInAndHold signs some users in, whose OpenIDs begin alike, and holds their rows until holder ends.
func (f *ailing) signInAndHold(t *testing.T, begin string, n int) (openIDs []string, holder *sql.Tx) {
	t.Helper()
	for i := range n {
		openIDs = append(openIDs, fmt.Sprint(begin, i))
		f.SignIn(t, openIDs[i])
	}
	holder, err := f.db.Begin()
	require.NoError(t, err)
	for _, openID := range openIDs { // one by one: of a range MySQL locks the next row too
		_, err = holder.Exec(fmt.Sprintf("UPDATE %s SET bio='held' WHERE owner='%s' AND name='wechat-%s'",
			quotedUser(f.direct), harness.Organization, openID))
		require.NoError(t, err)
	}
	return openIDs, holder
}

// A row that is free again is not waited for behind others that stay held.
func TestDatabaseReleasedUser(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, cfg object.StoreConfig) {
		f := newAiling(t, cfg, cfg)
		const others = 8 // more than may wait on a connection
		signIn := func(openID string) int {
			return f.Call(t, "POST", harness.PathToken, "", harness.SignInForm(f.NewCode(openID))).Status
		}
		held, keeps := f.signInAndHold(t, "oHeld", others)
		_, releases := f.signInAndHold(t, "oReleased", 1)
		var waiting sync.WaitGroup
		for _, openID := range held {
			waiting.Go(func() { assert.Equal(t, http.StatusServiceUnavailable, signIn(openID)) })
		}
		start := time.Now()
		time.AfterFunc(3*time.Second, func() { _ = releases.Rollback() })
		assert.Equal(t, http.StatusOK, signIn("oReleased0"))
		assert.Less(t, time.Since(start), 12*time.Second, "the others wait for 20 s")
		waiting.Wait()
		require.NoError(t, keeps.Rollback())
	})
}

// Somebody holds the rows of more users than there are connections. Others who sign in at the same time, and may share
// a transaction with those users, go on; and what was refused for the lock is not done later.
func TestDatabaseLockedUsers(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, cfg object.StoreConfig) {
		f := newAiling(t, cfg, cfg)
		const waiting, others = 60, 8
		for n := range others {
			f.SignIn(t, fmt.Sprintf("oOther%d", n))
		}
		openIDs, holder := f.signInAndHold(t, "oHeld", waiting)
		signIn := func(openID string) harness.Reply {
			return f.Call(t, "POST", harness.PathToken, "", harness.SignInForm(f.NewCode(openID)))
		}
		var held, rest sync.WaitGroup
		var early atomic.Int64
		start := time.Now()
		for _, openID := range openIDs {
			held.Go(func() {
				unavailable(t, signIn(openID), true)
				if time.Since(start) < 10*time.Second {
					early.Add(1)
				}
			})
		}
		for n := range others {
			rest.Go(func() {
				for range 20 {
					assert.Equal(t, http.StatusOK, signIn(fmt.Sprintf("oOther%d", n)).Status)
				}
			})
		}
		rest.Wait()
		assert.Less(t, time.Since(start), 18*time.Second, "a round of them for each second that somebody waits would take 20 s")
		held.Wait()
		assert.InDelta(t, waiting/2, early.Load(), 10, "some wait, and more than that are refused early")
		before := f.rows(t)
		time.Sleep(time.Second) // longer than a turn at the lock, of which the last ones may not have been told to end yet
		require.NoError(t, holder.Rollback())
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			assert.Equal(t, before["token"], f.rows(t)["token"])
		}
		f.SignIn(t, "oHeld0")
	})
}
