package object

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fillLog commits so many transactions of 40 KB each.
func fillLog(t *testing.T, s *Store, transactions int) {
	t.Helper()
	for range transactions {
		require.NoError(t, s.write(t.Context(), func(tx *txn) error {
			_, err := tx.exec("INSERT INTO filler VALUES (?)", strings.Repeat("x", 40_000))
			return err
		}))
	}
}

// openToFill opens a store with a table to fill, and returns the name of the database file too.
func openToFill(t *testing.T) (s *Store, file string) {
	t.Helper()
	s = openStore(t)
	_, err := s.writes.db.Exec("CREATE TABLE filler (x TEXT)")
	require.NoError(t, err)
	require.NoError(t, s.reads.db.QueryRow("SELECT file FROM pragma_database_list").Scan(&file))
	return s, file
}

func sizeOf(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.Size()
}

// The log stays short, however much is committed, while others read. Between two reads each rests a moment: on a
// processor that all share, one that does not is stopped within a read nearly always, and a log that is read cannot
// start anew.
func TestCheckpointWhileCommitting(t *testing.T) {
	t.Parallel()
	s, file := openToFill(t)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				assert.NoError(t, s.Ping(t.Context()))
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	fillLog(t, s, 2000)
	const page = 4096
	assert.Less(t, sizeOf(t, file+"-wal"), int64(2*restartPages*page), "of 80 MB that were written")
}

// A reader who takes long keeps the log from starting anew; when it is gone, the log is copied and starts anew.
func TestCheckpointAfterLongRead(t *testing.T) {
	t.Parallel()
	s, file := openToFill(t)
	fillLog(t, s, 1)
	reading, err := s.reads.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	var n int
	require.NoError(t, reading.QueryRow("SELECT COUNT(*) FROM filler").Scan(&n))
	fillLog(t, s, 500)
	long := sizeOf(t, file+"-wal")
	require.NoError(t, reading.Rollback())

	assert.Eventually(t, func() bool {
		fillLog(t, s, 1)
		log, err := walCheckpoint(t.Context(), s.reads.db, "NOOP")
		return assert.NoError(t, err) && log.pages < restartPages
	}, 10*time.Second, 10*time.Millisecond)
	assert.Greater(t, long, int64(500*40_000))
	assert.Greater(t, sizeOf(t, file), int64(500*40_000), "what was in the log is in the database")
}

// What the disk takes slowly it gets in small pieces; it is tried with more little by little.
func TestCheckpointAdapts(t *testing.T) {
	t.Parallel()
	c := &checkpointer{pages: mostPages}
	c.adapt(longCheckpoint)
	assert.Equal(t, mostPages, c.pages)
	c.adapt(longCheckpoint + 1)
	assert.Equal(t, mostPages/2, c.pages)
	for range 10 {
		c.adapt(longCheckpoint + 1)
	}
	assert.Equal(t, fewestPages, c.pages)
	c.adapt(0)
	assert.InDelta(t, fewestPages, c.pages, fewestPages/5)
	for range mostPages {
		c.adapt(0)
	}
	assert.Equal(t, mostPages, c.pages)
}

func TestCheckpointFails(t *testing.T) {
	t.Parallel()
	broken, err := sql.Open("sqlite", t.TempDir()) // a folder
	require.NoError(t, err)
	defer broken.Close()
	var logged bytes.Buffer
	c := &checkpointer{reads: broken, log: slog.New(slog.NewTextHandler(&logged, nil)), pages: mostPages}
	for range 3 {
		assert.False(t, c.try(t.Context()))
	}
	assert.Equal(t, 1, strings.Count(logged.String(), "cannot be copied into the database"), "it says so once")

	c.reads = openStore(t).reads.db
	assert.True(t, c.try(t.Context()))
	c.reads = broken
	assert.False(t, c.try(t.Context()))
	assert.Equal(t, 2, strings.Count(logged.String(), "cannot be copied into the database"), "it is another time")
}
