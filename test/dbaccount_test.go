package test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/dbserver"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// account is a user of a database server who may do everything in one database.
type account struct {
	name   string
	direct object.StoreConfig // the administrator's way to the database
	store  object.StoreConfig // the account's
}

const accountPassword = "Passw0rd-of-a-test"

// newAccount makes the database and the account.
func newAccount(t *testing.T, direct object.StoreConfig) account {
	t.Helper()
	a := account{name: strings.ToLower(dbserver.NewName("mini_"))[:30], direct: direct, store: direct}
	server := dbserver.Server(direct)
	run := func(statements ...string) {
		require.NoError(t, dbserver.Exec(context.Background(), server, statements...))
	}
	if direct.DriverName == "mysql" {
		run("CREATE DATABASE `"+direct.DBName+"` DEFAULT CHARACTER SET utf8mb4",
			fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", a.name, accountPassword),
			fmt.Sprintf("GRANT ALL ON `%s`.* TO '%s'@'%%'", direct.DBName, a.name))
		t.Cleanup(func() { run("DROP USER '" + a.name + "'@'%'") })
		dsn, err := mysql.ParseDSN(direct.DataSourceName)
		require.NoError(t, err)
		dsn.User, dsn.Passwd = a.name, accountPassword
		a.store.DataSourceName = dsn.FormatDSN()
		return a
	}
	run(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", a.name, accountPassword),
		fmt.Sprintf(`CREATE DATABASE "%s" OWNER %s`, direct.DBName, a.name))
	t.Cleanup(func() {
		require.NoError(t, dbserver.Drop(context.Background(), direct)) // it is the role's
		run("DROP ROLE " + a.name)
	})
	a.store.DataSourceName = withPostgres(t, direct.DataSourceName,
		map[string]string{"user": a.name, "password": accountPassword})
	return a
}

// disconnect ends the account's connections.
func (a account) disconnect(t *testing.T, f *ailing) {
	t.Helper()
	if a.direct.DriverName == "postgres" {
		f.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='"+a.name+"'")
		return
	}
	rows, err := f.db.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE user=?", a.name)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int
		require.NoError(t, rows.Scan(&id))
		_, _ = f.db.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)) // it may have ended
	}
	require.NoError(t, rows.Err())
}

// An account that has as many connections as it may, with others than the server.
func TestDatabaseConnectionLimit(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, direct object.StoreConfig) {
		a := newAccount(t, direct)
		f := newAiling(t, direct, a.store)
		limit := func(n int) {
			if direct.DriverName == "postgres" {
				f.exec(t, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", a.name, n))
				return
			}
			f.exec(t, fmt.Sprintf("ALTER USER '%s'@'%%' WITH MAX_USER_CONNECTIONS %d", a.name, n))
		}
		var others *sql.Conn
		f.endure(t, func() {
			limit(1)
			require.Eventually(t, func() bool { // the server may come first, and is disconnected again
				a.disconnect(t, f)
				var err error
				others, err = testdb.Connect(t, a.store).Conn(t.Context())
				return err == nil
			}, time.Minute, time.Millisecond)
		}, func() {
			require.NoError(t, others.Close())
			limit(map[string]int{"postgres": -1, "mysql": 0}[direct.DriverName])
			a.disconnect(t, f)
		})
	})
}

// A database that can only be read for a while, as one that another has taken the place of.
func TestDatabaseReadOnly(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, direct object.StoreConfig) {
		a := newAccount(t, direct)
		f := newAiling(t, direct, a.store)
		if direct.DriverName == "postgres" {
			set := fmt.Sprintf(`ALTER DATABASE "%s" `, direct.DBName)
			f.endure(t, func() {
				f.exec(t, set+"SET default_transaction_read_only=on")
				a.disconnect(t, f)
				a.requireRead(t, f)
			}, func() { f.exec(t, set+"RESET default_transaction_read_only") })
			return
		}
		// Rights in single tables count for connections that are there already.
		writing := func(verb string) {
			for table := range f.rows(t) {
				f.exec(t, fmt.Sprintf(verb, "INSERT, UPDATE, DELETE ON `"+direct.DBName+"`."+table, a.name))
			}
		}
		writing("GRANT %s TO '%s'@'%%'")
		f.exec(t, fmt.Sprintf("REVOKE ALL ON `%s`.* FROM '%s'@'%%'", direct.DBName, a.name))
		f.exec(t, fmt.Sprintf("GRANT SELECT ON `%s`.* TO '%s'@'%%'", direct.DBName, a.name))
		f.exec(t, fmt.Sprintf("GRANT INSERT, UPDATE, DELETE ON `%s`.mini_program_mark TO '%s'@'%%'", direct.DBName, a.name))
		a.disconnect(t, f)
		f.endure(t, func() { writing("REVOKE %s FROM '%s'@'%%'"); a.requireRead(t, f) },
			func() { writing("GRANT %s TO '%s'@'%%'") })
	})
}

// On PostgreSQL the right to a table does not bring that to the sequence of its ids.
func TestDatabaseWithoutSequence(t *testing.T) {
	t.Parallel()
	a := newAccount(t, testdb.Postgres(t))
	store, _, err := object.Open(t.Context(), a.store)
	require.NoError(t, err)
	defer store.Close()
	diagnose := func() object.Severity {
		found, err := store.DiagnoseWriting(t.Context())
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[0].Severity
	}
	assert.Equal(t, object.Fine, diagnose())
	require.NoError(t, dbserver.Exec(t.Context(), a.direct, "REVOKE ALL ON SEQUENCE record_id_seq FROM "+a.name))
	assert.Equal(t, object.Problem, diagnose())
}

// A start on a server that may only be read says so.
func TestStartOnReplica(t *testing.T) {
	t.Parallel()
	cfg := testdb.MySQL(t)
	var version string
	require.NoError(t, testdb.Connect(t, dbserver.Server(cfg)).QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version))
	readOnly := "transaction_read_only=1"
	if strings.Contains(version, "MariaDB") {
		readOnly = "tx_read_only=1"
	}
	cfg.DataSourceName += "?" + readOnly
	_, _, err := object.Open(t.Context(), cfg)
	require.ErrorContains(t, err, "may only be read")
}

// requireRead waits until the server reads the database: what it finds broken connections, it makes new ones. -check
// says that it cannot be written to.
func (a account) requireRead(t *testing.T, f *ailing) {
	t.Helper()
	require.Eventually(t, func() bool { return f.Call(t, "GET", "/api/health", "", nil).Status == 200 },
		time.Minute, 10*time.Millisecond)
	store, err := object.OpenAsItIs(t.Context(), a.store)
	require.NoError(t, err)
	defer store.Close()
	_, err = store.DiagnoseWriting(t.Context())
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 200, "without the names of all columns")
}

// Of two transactions that wait for each other the database ends one. A sign-in that it has ended is run again.
func TestDatabaseDeadlock(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, direct object.StoreConfig) {
		f := newAiling(t, direct, direct)
		f.SignIn(t, "oDeadlock")
		before := f.rows(t)
		for range 3 {
			f.deadlock(t)
			before["token"]++
		}
		assert.Equal(t, before, f.rows(t))
		checkIdentities(t, direct)
	})
}

// deadlock holds the session that a sign-in needs last, until it has the user and waits, and then asks for that.
func (f *ailing) deadlock(t *testing.T) {
	t.Helper()
	tx, err := f.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	// Of two MySQL ends the one that has changed less.
	for _, statement := range []string{
		"UPDATE mini_program_session SET key_id=CONCAT(key_id, '')", "UPDATE provider SET display_name='x'",
		"UPDATE application SET description='x'", "UPDATE organization SET display_name='x'",
	} {
		_, err = tx.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	signedIn := make(chan harness.Reply, 1)
	form := harness.SignInForm(f.NewCode("oDeadlock"))
	go func() { signedIn <- f.Call(t, "POST", harness.PathToken, "", form) }()
	waiting := map[string]string{
		"postgres": "SELECT COUNT(*) FROM pg_stat_activity WHERE datname=current_database() AND wait_event_type='Lock'",
		"mysql": "SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p " +
			"ON p.id=t.trx_mysql_thread_id WHERE p.db=DATABASE() AND t.trx_state='LOCK WAIT'",
	}[f.direct.DriverName]
	// InnoDB looks anew only when nobody has asked for 0.1 s.
	require.Eventually(t, func() bool { return count(t, f.db, f.direct, waiting) == 1 }, 15*time.Second,
		150*time.Millisecond)
	_, err = tx.ExecContext(t.Context(), "UPDATE "+quotedUser(f.direct)+" SET bio='x' WHERE name='wechat-oDeadlock'")
	if err == nil {
		err = tx.Commit()
	}
	_ = tx.Rollback()
	reply := <-signedIn
	require.Equal(t, 200, reply.Status, reply.Body)
	t.Logf("ended: the sign-in's transaction: %v, the other: %v", err == nil, err)
}
