package object

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long rows are kept that nobody ends.
const (
	attemptLife = 24 * time.Hour      // of wrong passwords that no user's row counts
	logLife     = 30 * 24 * time.Hour // of the log of sign-ins
	maxLog      = 1_000_000           // lines of it
	minuteLife  = 48 * time.Hour      // of the counts of minutes
	statLife    = 90 * 24 * time.Hour // of the counts of hours
)

// oldRows are the tables whose rows go when a time in them is past.
func (s *Sweeper) oldRows(ctx context.Context) ([]sweptTable, error) {
	now := s.Now()
	oldest := idPrefix(now.Add(-logLife))
	err := scanOne(s.read(ctx), []any{&oldest}, fmt.Sprintf("SELECT id FROM %s WHERE id>? ORDER BY id DESC LIMIT 1 OFFSET %d",
		s.logs.name, maxLog-1), oldest)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	stats := func(step, life time.Duration) sweptTable {
		return sweptTable{"stat", below(s, fmt.Sprintf("%s WHERE step=%d AND ", s.stats.name, int64(step/time.Second)), "began",
			now.Add(-life).Unix())}
	}
	return []sweptTable{
		{"admin_session", below(s, s.adminSessions.name+" WHERE ", "expires_time", timestamp(now))},
		{"attempt", below(s, s.attempts.name+" WHERE ", "updated_time", timestamp(now.Add(-attemptLife)))},
		{"log", below(s, s.logs.name+" WHERE ", "id", oldest)},
		stats(time.Minute, minuteLife), stats(time.Hour, statLife),
	}, nil
}

// below returns what deletes the rows of a table where a column is less than a value, a batch at a time. The column has
// an index; rows that share a value of it go at once.
func below[V string | int64](
	s *Sweeper, tableWhere, column string, value V,
) func(ctx context.Context, cursor []string) (behind []string, deleted int64, err error) {
	return func(ctx context.Context, _ []string) (behind []string, deleted int64, err error) {
		bound, compare := value, "<?"
		err = scanOne(s.read(ctx), []any{&bound}, fmt.Sprintf("SELECT %[2]s FROM %[1]s%[2]s<? ORDER BY %[2]s LIMIT 1 OFFSET %[3]d",
			tableWhere, column, s.Batch-1), value)
		if err == nil {
			behind, compare = []string{fmt.Sprint(bound)}, "<=?"
		} else if !errors.Is(err, ErrNotFound) {
			return nil, 0, err
		}
		err = s.write(ctx, func(tx *txn) (err error) {
			deleted, err = tx.exec("DELETE FROM "+tableWhere+column+compare, bound)
			return err
		})
		return behind, deleted, err
	}
}
