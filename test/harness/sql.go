package harness

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

// Exec runs a statement in the server's database behind its back. It works with SQLite only.
func (s *Server) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	_, err := s.db(t).ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// Value returns the first column of the first row of a query as text. It works with SQLite only.
func (s *Server) Value(t testing.TB, query string, args ...any) string {
	t.Helper()
	var value string
	require.NoError(t, s.db(t).QueryRowContext(t.Context(), query, args...).Scan(&value))
	return value
}

func (s *Server) db(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", s.store.DataSourceName+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}
