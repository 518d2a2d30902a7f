package object

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The work that nobody waits for must not wait for ever itself.

// asTimeFlies runs a test in which time passes as soon as everybody waits. Its clock begins in 2000: what other tests
// share is made before.
func asTimeFlies(t *testing.T, test func(*testing.T)) {
	t.Helper()
	_, err := started()
	require.NoError(t, err)
	synctest.Test(t, test)
}

// fallSilent keeps the database from answering until the returned function is called.
func fallSilent(t *testing.T, s *Store) (speak func()) {
	t.Helper()
	s.reads.db.SetMaxOpenConns(1)
	holder, err := s.reads.db.Conn(t.Context())
	require.NoError(t, err)
	release := blockQueue(t, s)
	return func() {
		require.NoError(t, holder.Close())
		release()
	}
}

// insertOldRows leaves a row in some of the tables that are kept short.
func (s *Store) insertOldRows(t *testing.T) {
	t.Helper()
	old := time.Now().Add(-2 * statLife)
	require.NoError(t, s.write(t.Context(), func(tx *txn) error {
		_, err1 := s.events.insert(tx, &Event{"wx", "key", "event", timestamp(old)}, "")
		_, err2 := s.adminSessions.insert(tx, &AdminSession{TokenHash: "hash", ExpiresTime: timestamp(old)}, "")
		_, err3 := s.stats.insert(tx, &Stat{Step: int64(time.Hour / time.Second), Began: old.Unix()}, "")
		return errors.Join(err1, err2, err3)
	}))
}

func (s *Store) hasRows(t *testing.T, table string) bool {
	t.Helper()
	var n int
	require.NoError(t, scanOne(s.read(t.Context()), []any{&n}, "SELECT COUNT(*) FROM "+table))
	return n > 0
}

func TestHousekeepingInASilentDatabase(t *testing.T) {
	t.Parallel()
	asTimeFlies(t, func(t *testing.T) {
		s := openStore(t)
		s.insertOldRows(t)
		var log bytes.Buffer
		service := newTestService(t, s, ServiceConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		speak := fallSilent(t, s)
		go service.KeepHouse(t.Context())
		time.Sleep(choreInterval + time.Second)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), "housekeeping goes on later"), log.String())
		speak()
		synctest.Wait()
		assert.False(t, s.hasRows(t, s.events.name))
	})
}

func TestSweepInASilentDatabase(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]string{"begin": "", "batch": "admin_session", "end": "stat"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asTimeFlies(t, func(t *testing.T) { testSilentSweep(t, after) })
		})
	}
}

// testSilentSweep has the database fall silent after that table is swept.
func testSilentSweep(t *testing.T, after string) {
	s := openStore(t)
	s.insertOldRows(t)
	var speak func()
	sweeper := NewSweeper(s, SweeperConfig{Every: time.Hour, Swept: func(table string, _ int64) {
		if table == after {
			speak = fallSilent(t, s)
		}
	}})
	if after == "" {
		speak = fallSilent(t, s)
	}
	start := time.Now()
	require.ErrorIs(t, sweeper.Sweep(t.Context()), context.DeadlineExceeded)
	assert.Less(t, time.Since(start), sweepClaim+time.Second)
	speak()
	require.NoError(t, sweeper.Sweep(t.Context()))
	assert.False(t, s.hasRows(t, s.adminSessions.name))
	assert.False(t, s.hasRows(t, s.stats.name))
}

// A sweep that fails is told of, and does not wait for as long as one that does not.
func TestSweepGoesOnAfterSilence(t *testing.T) {
	t.Parallel()
	asTimeFlies(t, func(t *testing.T) {
		s := openStore(t)
		s.insertOldRows(t)
		var log bytes.Buffer
		sweeper := NewSweeper(s, SweeperConfig{Every: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		speak := fallSilent(t, s)
		go sweeper.Run(t.Context())
		time.Sleep(sweepClaim + time.Second)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), "the sweep goes on later"), log.String())
		speak()
		time.Sleep(2 * sweepClaim)
		synctest.Wait()
		assert.False(t, s.hasRows(t, s.stats.name))
	})
}

func TestFlushInASilentDatabase(t *testing.T) {
	t.Parallel()
	asTimeFlies(t, func(t *testing.T) {
		s := openStore(t)
		lost := 0
		w := NewWatch(s, WatchConfig{Lost: func(lines int) { lost += lines }})
		w.Add(SignInEvent{Time: time.Now(), Outcome: SignedIn})
		speak := fallSilent(t, s)
		start := time.Now()
		w.Flush(t.Context())
		assert.Equal(t, flushPatience, time.Since(start))
		assert.Equal(t, 1, lost)
		speak()
		w.Add(SignInEvent{Time: time.Now(), Outcome: SignedIn})
		w.Flush(t.Context())
		assert.Equal(t, 1, lost)
		assert.True(t, s.hasRows(t, s.logs.name))
	})
}
