package object

import (
	"database/sql"
	"time"
)

// Observer hears how the database does. Its methods are called on the way of a sign-in, by many at once.
type Observer interface {
	// Read tells of a query outside a transaction: how long its first row took, and what went wrong.
	Read(took time.Duration, err error)

	// Written tells of a transaction, with its wait for a connection or a shared commit, and what went wrong with the
	// database.
	Written(took time.Duration, err error)
}

// Pools returns how busy the connections are: "all", or "read" and "write" where writes have one of their own.
func (s *Store) Pools() map[string]sql.DBStats {
	if s.writes == s.reads {
		return map[string]sql.DBStats{"all": s.reads.db.Stats()}
	}
	return map[string]sql.DBStats{"read": s.reads.db.Stats(), "write": s.writes.db.Stats()}
}
