package object

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errOfJob = errors.New("job fails")

// jobOf writes a row, and then fails with err unless it is nil.
func jobOf(ctx context.Context, s *Store, openID string, err error) *job[func(*txn) error] {
	return &job[func(*txn) error]{ctx, s.insertIdentity(openID, err), make(chan error, 1)}
}

func (s *Store) insertIdentity(openID string, end error) func(*txn) error {
	return func(tx *txn) error {
		if _, err := s.identities.insert(tx, identityOf(openID), ""); err != nil {
			return err
		}
		return end
	}
}

func TestFailingJobHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	batch := []*job[func(*txn) error]{
		jobOf(t.Context(), s, "a", nil), jobOf(t.Context(), s, "b", errOfJob), jobOf(t.Context(), s, "c", nil),
		jobOf(t.Context(), s, "a", nil), // breaks the key
	}
	s.writes.commitBatch(batch)
	assert.NoError(t, <-batch[0].done)
	assert.ErrorIs(t, <-batch[1].done, errOfJob)
	assert.NoError(t, <-batch[2].done)
	assert.ErrorContains(t, <-batch[3].done, "UNIQUE")
	assert.Equal(t, []string{"a", "c"}, s.openIDs(t))
}

// Those who wait together for a lock that another process holds are refused together, and not one after the other.
func TestBusyBatchWaitsOnce(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	_, err := s.writes.db.Exec("PRAGMA busy_timeout=100")
	require.NoError(t, err)
	holder, err := s.reads.db.Conn(t.Context())
	require.NoError(t, err)
	defer holder.Close()
	_, err = holder.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	batch := make([]*job[func(*txn) error], 50)
	for i := range batch {
		batch[i] = jobOf(t.Context(), s, fmt.Sprint(i), nil)
	}
	start := time.Now()
	s.writes.commitBatch(batch)
	assert.Less(t, time.Since(start), 4*time.Second, "one after the other they would take 5 s")
	for _, j := range batch {
		err := <-j.done
		assert.True(t, isBusy(err), "%v", err)
		assert.True(t, IsUnavailable(err))
	}
	assert.Empty(t, s.openIDs(t))
	_, err = holder.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	s.writes.commitBatch([]*job[func(*txn) error]{jobOf(t.Context(), s, "again", nil)})
	assert.Equal(t, []string{"again"}, s.openIDs(t))
}

func TestQueueServesTogether(t *testing.T) {
	t.Parallel()
	const most = 4
	var batches [][]int
	started, goOn := make(chan struct{}), make(chan struct{})
	q := newQueue(1, most, func(batch []*job[int]) {
		if batches == nil {
			close(started)
			<-goOn
		}
		var asked []int
		for _, j := range batch {
			asked = append(asked, j.ask)
			j.done <- fmt.Errorf("answer %d", j.ask)
		}
		batches = append(batches, asked)
	})
	errs := make([]chan error, 8)
	for i := range errs {
		errs[i] = make(chan error, 1)
		go func() { errs[i] <- q.do(t.Context(), i) }()
		if i == 0 {
			<-started
		} else {
			waitFor(q, i)
		}
	}
	left, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- q.do(left, 99) }()
	waitFor(q, len(errs))
	behind := make(chan error, 1)
	go func() { behind <- q.do(t.Context(), 8) }()
	waitFor(q, len(errs)+1)
	leave()
	assert.ErrorIs(t, <-gone, context.Canceled, "who leaves does not wait for those before")
	q.mu.Lock()
	require.Len(t, q.waiting, len(errs), "nor stays in the queue, nor takes somebody else along")
	q.mu.Unlock()
	close(goOn)
	for i := range errs {
		assert.EqualError(t, <-errs[i], fmt.Sprintf("answer %d", i))
	}
	assert.EqualError(t, <-behind, "answer 8")
	q.close()
	assert.Equal(t, [][]int{{0}, {1, 2, 3, 4}, {5, 6, 7, 8}}, batches)
	assert.ErrorIs(t, q.do(t.Context(), 1), errClosed)
}

// Who leaves while being served hears what came of it: their transaction may be durable.
func TestCallerLeavesWhileServed(t *testing.T) {
	t.Parallel()
	q := newQueue(1, 1, func(batch []*job[context.CancelFunc]) {
		batch[0].ask()
		batch[0].done <- errOfJob
	})
	for range 100 { // the answer may be there before the caller has seen that they have left
		ctx, leave := context.WithCancel(t.Context())
		assert.ErrorIs(t, q.do(ctx, leave), errOfJob)
	}
	q.close()
}

// Workers that stay do not keep others from being started: all signatures would be made by one processor.
func TestQueueServesSideBySide(t *testing.T) {
	t.Parallel()
	q := newQueue(2, 1, runEach)
	require.NoError(t, q.do(t.Context(), func() error { return nil }))
	waitUntil(q, func() bool { return q.idle == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	meeting, errs := make(chan struct{}), make(chan error, 2)
	meet := func() error {
		select {
		case meeting <- struct{}{}:
		case <-meeting:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	for range cap(errs) {
		go func() { errs <- q.do(t.Context(), meet) }()
	}
	for range cap(errs) {
		assert.NoError(t, <-errs, "one has waited for the other")
	}
	q.close()
}

// A panic of one batch ends neither the process nor the queue. Who has an answer keeps it.
func TestQueueOutlivesPanics(t *testing.T) {
	t.Parallel()
	q := newQueue(1, 1, func(batch []*job[bool]) {
		if batch[0].ask {
			batch[0].done <- nil
		}
		panic(errOfJob)
	})
	err := q.do(t.Context(), false)
	assert.ErrorContains(t, err, "panic")
	assert.ErrorContains(t, err, "commit_test.go", "the stack")
	assert.NotContains(t, err.Error(), errOfJob.Error(), "a panic's value may hold a secret")
	assert.NoError(t, q.do(t.Context(), true))
	assert.False(t, IsUnavailable(err))
	q.close()
}

// A transaction that panics is undone.
func TestPanicOfATransaction(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	err := s.write(t.Context(), func(tx *txn) error {
		err := s.insertIdentity("a", nil)(tx)
		panic(err)
	})
	assert.ErrorContains(t, err, "panic")
	assert.NoError(t, s.write(t.Context(), s.insertIdentity("b", nil)))
	assert.Equal(t, []string{"b"}, s.openIDs(t))
}

// waitFor waits until so many wait.
func waitFor[A any](q *queue[A], n int) {
	waitUntil(q, func() bool { return len(q.waiting) == n })
}

// waitUntil waits until done is true of the queue.
func waitUntil[A any](q *queue[A], done func() bool) {
	for {
		q.mu.Lock()
		reached := done()
		q.mu.Unlock()
		if reached {
			return
		}
		runtime.Gosched()
	}
}

// blockQueue keeps the queue of s busy until the returned function is called.
func blockQueue(t *testing.T, s *Store) (release func()) {
	t.Helper()
	busy, done := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.write(context.Background(), func(*txn) error {
			close(busy)
			<-done
			return nil
		})
	}()
	<-busy
	return func() { close(done) }
}

func TestCloseDrains(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	release := blockQueue(t, s)
	const waiting = 5
	errs := make(chan error, waiting)
	for i := range waiting {
		go func() { errs <- s.write(context.Background(), s.insertIdentity(fmt.Sprint(i), nil)) }()
	}
	waitFor(s.commits, waiting)
	assert.Equal(t, waiting+1, s.Writing(), "those who wait, and the one they wait for")
	var batch []string
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.commits.close()
	}()
	release()
	<-closed
	for range waiting {
		assert.NoError(t, <-errs, "what was waiting is written")
	}
	assert.Eventually(t, func() bool { return s.Writing() == 0 }, 10*time.Second, time.Millisecond)
	batch = s.openIDs(t)
	assert.Len(t, batch, waiting)
	err := s.write(t.Context(), s.insertIdentity("late", nil))
	assert.ErrorIs(t, err, errClosed)
	assert.True(t, IsUnavailable(err))
	assert.Len(t, s.openIDs(t), waiting)
}

func TestCallerLeavesWhileWaiting(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	release := blockQueue(t, s)
	ctx, leave := context.WithCancel(t.Context())
	err := make(chan error)
	go func() { err <- s.write(ctx, s.insertIdentity("left", nil)) }()
	waitFor(s.commits, 1)
	leave()
	release()
	assert.ErrorIs(t, <-err, context.Canceled)
	assert.Empty(t, s.openIDs(t))
}

// TestRetry writes as on a database whose transactions may fail because of others.
func TestRetry(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	unqueued := &Store{dialect: dialect{driver: "mysql"}, writes: s.writes, identities: s.identities}
	deadlock := &mysql.MySQLError{Number: mysqlDeadlock}
	for name, c := range map[string]struct {
		fails int // so many times
		with  error
		runs  int
		want  error
	}{
		"succeeds":           {0, nil, 1, nil},
		"deadlock":           {2, deadlock, 3, nil},
		"serialization":      {1, &pgconn.PgError{Code: pgSerialization}, 2, nil},
		"wrapped":            {1, fmt.Errorf("insert: %w", deadlock), 2, nil},
		"gives up":           {100, deadlock, 5, deadlock},
		"not worth a retry":  {1, errOfJob, 1, errOfJob},
		"raced is no retry":  {1, errRaced, 1, errRaced},
		"duplicate of MySQL": {1, &mysql.MySQLError{Number: 1062}, 1, &mysql.MySQLError{Number: 1062}},
	} {
		t.Run(name, func(t *testing.T) {
			runs := 0
			err := unqueued.write(t.Context(), func(tx *txn) error {
				runs++
				_, err := s.identities.insert(tx, identityOf(name), "")
				if err == nil && runs <= c.fails {
					err = c.with
				}
				return err
			})
			if c.want == nil {
				require.NoError(t, err)
				assert.Contains(t, s.openIDs(t), name)
			} else {
				require.ErrorIs(t, err, c.want)
				assert.NotContains(t, s.openIDs(t), name, "a run that fails is undone")
			}
			assert.Equal(t, c.runs, runs)
		})
	}
	t.Run("ends with its caller", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		err := unqueued.write(ctx, func(*txn) error {
			leave()
			return deadlock
		})
		assert.Error(t, err)
	})
}

// TestPrepareDoesNotBlockTransactions has a query prepared while a transaction has the only connection: the transaction
// must get on, or neither does.
func TestPrepareDoesNotBlockTransactions(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	prepared := make(chan error, 1)
	require.NoError(t, s.writes.transact(t.Context(), func(tx *txn) error {
		before := s.writes.db.Stats().WaitCount
		go func() {
			_, err := s.writes.prepare(context.Background(), "SELECT 1, 2, 3")
			prepared <- err
		}()
		for s.writes.db.Stats().WaitCount == before {
			runtime.Gosched()
		}
		return s.insertIdentity("a", nil)(tx)
	}))
	require.NoError(t, <-prepared)
	assert.NotNil(t, s.writes.get("SELECT 1, 2, 3"))
	assert.Equal(t, []string{"a"}, s.openIDs(t))
}

func TestPrepareIsBounded(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	for i := range maxPrepared + 10 {
		var got int
		require.NoError(t, scanOne(s.read(t.Context()), []any{&got}, fmt.Sprintf("SELECT %d", i)))
		assert.Equal(t, i, got)
	}
	assert.LessOrEqual(t, len(s.reads.known), maxPrepared)
	_, err := s.reads.prepare(t.Context(), "SELECT no_such_column FROM user, one_more")
	assert.NoError(t, err, "there is no room, so nothing is prepared")
}

// What is seldom asked for must not hold on to connections that have ended: they are large in PostgreSQL's driver.
func TestPostgresDriverPrepares(t *testing.T) {
	t.Parallel()
	d, err := dialectOf("postgres")
	require.NoError(t, err)
	s := newStatements(nil, d)
	stmt, err := s.prepare(t.Context(), "SELECT 1")
	require.NoError(t, err)
	assert.Nil(t, stmt)
	assert.Empty(t, s.known)
}
