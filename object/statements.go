package object

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// statements keeps queries prepared: SQLite alone would spend longer on parsing an INSERT of 190 columns than on
// running it.
type statements struct {
	db      *sql.DB
	dialect dialect
	mu      sync.RWMutex
	known   map[string]*sql.Stmt
	sends   *queue[[]statement] // where transactions that are only sent share a round trip; nil for SQLite
	waiting waitingRoom
	closed  atomic.Bool // database/sql has no error of its own for it
}

// maxPrepared bounds the statements that are kept: which columns an update has is up to its sender.
const maxPrepared = 200

func newStatements(db *sql.DB, d dialect) *statements {
	return &statements{db: db, dialect: d, known: map[string]*sql.Stmt{}, waiting: newWaitingRoom()}
}

// get returns the prepared query, or nil when it is not prepared.
func (s *statements) get(query string) *sql.Stmt {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known[query]
}

// prepare prepares a query once; past maxPrepared, and where the driver does it, it returns nil. It waits for a
// connection without the lock, which the transactions that hold all connections may need to get on.
func (s *statements) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s.dialect.preparesItself() {
		return nil, nil
	}
	s.mu.RLock()
	known, full := s.known[query], len(s.known) >= maxPrepared
	s.mu.RUnlock()
	if known != nil || full {
		return known, nil
	}
	stmt, err := s.db.PrepareContext(ctx, s.dialect.rebind(query))
	if err != nil {
		return nil, err
	}
	if first := s.keep(query, stmt); first != stmt {
		_ = stmt.Close()
		return first, nil
	}
	return stmt, nil
}

// keep returns the statement to use for a query: stmt, or the one that another caller prepared meanwhile.
func (s *statements) keep(query string, stmt *sql.Stmt) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[query]; known != nil {
		return known
	}
	s.known[query] = stmt
	return stmt
}
