package object

import (
	"context"
	"errors"
	"sync"
)

// commitQueue lets the writers that wait together share one commit, whose cost is one fsync and, on a server, one round
// trip.
type commitQueue struct {
	commit func(batch []*job) // answers each job
	jobs   chan *job
	quit   chan struct{}
	ended  chan struct{}
	once   sync.Once
}

// job is one writer's transaction: what it runs, on SQLite, or what it has sent.
type job struct {
	ctx  context.Context
	fn   func(*txn) error
	sent []statement
	done chan error
}

// maxShared bounds how many writers share a commit, and so how long the first of them waits for the others.
const maxShared = 256

var errClosed = errors.New("the store is closed")

// newCommitQueue makes a queue of which so many batches are committed at a time.
func newCommitQueue(workers int, commit func(batch []*job)) *commitQueue {
	q := &commitQueue{
		commit: commit, jobs: make(chan *job, maxShared), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(q.run)
	}
	go func() {
		defer close(q.ended)
		running.Wait()
	}()
	return q
}

func (q *commitQueue) do(j *job) error {
	j.done = make(chan error, 1)
	select {
	case q.jobs <- j:
	case <-q.quit:
		return errClosed
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
	select {
	case err := <-j.done:
		return err
	case <-q.ended:
		select {
		case err := <-j.done:
			return err
		default:
			return errClosed
		}
	}
}

func (q *commitQueue) close() {
	q.once.Do(func() { close(q.quit) })
	<-q.ended
}

func (q *commitQueue) run() {
	for {
		select {
		case first := <-q.jobs:
			q.serve(first)
		case <-q.quit:
			for {
				select {
				case first := <-q.jobs:
					q.serve(first)
				default:
					return
				}
			}
		}
	}
}

func (q *commitQueue) serve(first *job) {
	if batch := q.gather(first); len(batch) > 0 {
		q.commit(batch)
	}
}

// gather takes the jobs that wait now. A job whose caller has left is dropped, unwritten.
func (q *commitQueue) gather(first *job) []*job {
	batch := make([]*job, 0, len(q.jobs)+1)
	for j := first; ; {
		if err := j.ctx.Err(); err != nil {
			j.done <- err
		} else {
			batch = append(batch, j)
		}
		if len(batch) == maxShared {
			return batch
		}
		select {
		case j = <-q.jobs:
		default:
			return batch
		}
	}
}

// runBatch commits a batch on SQLite. Where one job of several fails, all are undone and each is run again alone, so
// that it is judged by itself; but not where the database could not be written to: one after the other would wait for
// it as long.
func (s *statements) runBatch(batch []*job) {
	fns := make([]func(*txn) error, len(batch))
	for i, j := range batch {
		fns[i] = j.fn
	}
	// A shared commit must not end with one caller's patience.
	err := s.transact(context.Background(), fns...)
	again := err != nil && len(batch) > 1 && !isBusy(err)
	for _, j := range batch {
		if again {
			j.done <- s.transact(context.Background(), j.fn)
		} else {
			j.done <- err
		}
	}
}
