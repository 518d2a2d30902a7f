// Package storetest is the conformance suite of the store: what must be true of sign-ins, tokens, accounts and rows,
// whichever database they are in.
package storetest

import (
	"bytes"
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/testdb"
)

// Run runs the suite on one kind of database. Each call of empty must return another database, which is empty.
func Run(t *testing.T, empty func(t testing.TB) object.StoreConfig) {
	t.Helper()
	s := open(t, empty(t))
	s.empty = empty
	inParallel(t, map[string]func(*testing.T){
		"Schema":       s.testSchema,
		"SignIn":       s.testSignIn,
		"NewUser":      s.testNewUser,
		"NoBinding":    s.testNoBinding,
		"OldUser":      s.testOldUser,
		"UnionID":      s.testUnionID,
		"Concurrent":   s.testConcurrent,
		"Settings":     s.testSettings,
		"Signer":       s.testSigner,
		"Refresh":      s.testRefresh,
		"TokenLife":    s.testTokenLife,
		"Introspect":   s.testIntrospect,
		"ClientTokens": s.testClientTokens,
		"ClientFollow": s.testClientTokensFollow,
		"Secrets":      s.testSecrets,
		"Claims":       s.testClaims,
		"Account":      s.testAccount,
		"Profile":      s.testProfile,
		"InitData":     s.testInitData,
		"Options":      s.testOptions,
		"Phone":        s.testPhone,
		"Nickname":     s.testNickname,
		"Session":      s.testSession,
		"Reseal":       s.testReseal,
		"Push":         s.testPush,
		"Privacy":      s.testPrivacy,
		"Manage":       s.testManage,
		"Password":     s.testPassword,
		"Watch":        s.testWatch,
		"Diagnose":     s.testDiagnose,
		"OddRows":      s.testOddRows,
	})
}

// suite is one opened database. The tests share it, and each works in organizations of its own.
type suite struct {
	empty  func(t testing.TB) object.StoreConfig
	cfg    object.StoreConfig
	store  *object.Store
	db     *sql.DB
	sealer *object.Sealer
}

func open(t *testing.T, cfg object.StoreConfig) *suite {
	t.Helper()
	s := &suite{cfg: cfg, sealer: newSealer(t, 1)}
	var err error
	if cfg.DriverName == "mysql" && !strings.Contains(cfg.DataSourceName, "?") { // as some servers are set
		cfg.DataSourceName += "?sql_mode=''&sql_safe_updates=1&autocommit=0"
	}
	s.store, _, err = object.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(s.store.Close)
	s.db = testdb.Connect(t, s.cfg)
	s.apply(t, row{"certs": []row{{"owner": "admin", "name": fastCert, "cryptoAlgorithm": "ES256"}}})
	return s
}

// fastCert is what the tests sign with that are not about signing.
const fastCert = "cert-es256"

func newSealer(t *testing.T, seed byte) *object.Sealer {
	t.Helper()
	sealer, err := object.NewSealer([][]byte{key(seed)})
	require.NoError(t, err)
	return sealer
}

func key(seed byte) []byte { return bytes.Repeat([]byte{seed}, 32) }

// statement turns SQL with double quotes and question marks into the database's.
func (s *suite) statement(query string) string {
	switch s.cfg.DriverName {
	case "mysql":
		return strings.ReplaceAll(query, `"`, "`")
	case "postgres":
		for n := '1'; strings.Contains(query, "?"); n++ {
			query = strings.Replace(query, "?", "$"+string(n), 1)
		}
	}
	return query
}

// exec changes rows as an admin with another program would, and requires that it met n of them.
func (s *suite) exec(t *testing.T, n int, query string, args ...any) {
	t.Helper()
	result, err := s.db.ExecContext(t.Context(), s.statement(query), args...)
	require.NoError(t, err)
	met, err := result.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, n, met)
}

// rows returns what a query selects as texts, by column.
func (s *suite) rows(t *testing.T, query string, args ...any) []map[string]string {
	t.Helper()
	result, err := s.db.QueryContext(t.Context(), s.statement(query), args...)
	require.NoError(t, err)
	defer func() { _ = result.Close() }()
	columns, err := result.Columns()
	require.NoError(t, err)
	found := []map[string]string{}
	for result.Next() {
		cells, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			dest[i] = &cells[i]
		}
		require.NoError(t, result.Scan(dest...))
		texts := map[string]string{}
		for i, column := range columns {
			texts[column] = cells[i].String
		}
		found = append(found, texts)
	}
	require.NoError(t, result.Err())
	return found
}

// row returns the one row that a query selects.
func (s *suite) row(t *testing.T, query string, args ...any) map[string]string {
	t.Helper()
	found := s.rows(t, query, args...)
	require.Len(t, found, 1)
	return found[0]
}
