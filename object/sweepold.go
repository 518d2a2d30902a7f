package object

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// attemptLife is how long wrong passwords for names that nobody has are remembered, at least.
const attemptLife = 24 * time.Hour

// oldRows are the tables whose rows go when a time in them is past.
func (s *Sweeper) oldRows() []sweptTable {
	now := s.Now()
	return []sweptTable{
		{"admin_session", s.below(s.adminSessions.name, "expires_time", timestamp(now))},
		{"attempt", s.below(s.attempts.name, "updated_time", timestamp(now.Add(-attemptLife)))},
	}
}

// below returns what deletes the rows of a table where a column is less than a value, a batch at a time. The column has
// an index; rows that share a value of it go at once.
func (s *Sweeper) below(
	table, column, value string,
) func(ctx context.Context, cursor []string) (behind []string, deleted int64, err error) {
	return func(ctx context.Context, _ []string) (behind []string, deleted int64, err error) {
		bound, compare := value, "<?"
		err = scanOne(s.read(ctx), []any{&bound}, fmt.Sprintf("SELECT %[2]s FROM %[1]s WHERE %[2]s<? "+
			"ORDER BY %[2]s LIMIT 1 OFFSET %[3]d", table, column, s.Batch-1), value)
		if err == nil {
			behind, compare = []string{bound}, "<=?"
		} else if !errors.Is(err, ErrNotFound) {
			return nil, 0, err
		}
		err = s.write(ctx, func(tx *txn) (err error) {
			deleted, err = tx.exec("DELETE FROM "+table+" WHERE "+column+compare, bound)
			return err
		})
		return behind, deleted, err
	}
}
