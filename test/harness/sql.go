package harness

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/testdb"
)

// Exec runs a statement in the server's database behind its back. It works with SQLite only.
func (s *Server) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	_, err := testdb.Connect(t, s.store).ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// Value returns the first column of the first row of a query as text. It works with SQLite only.
func (s *Server) Value(t testing.TB, query string, args ...any) string {
	t.Helper()
	var value string
	row := testdb.Connect(t, s.store).QueryRowContext(t.Context(), query, args...)
	require.NoError(t, row.Scan(&value))
	return value
}
