package object

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// queue serves those together who wait at the same time. Who comes when nobody waits is served at once and alone;
// nobody waits for a batch to fill. Its workers stay: they keep the deep stacks that SQLite and signatures need, which
// the callers' own goroutines would have to grow each time.
type queue[A any] struct {
	serve    func(batch []*job[A]) // answers each job
	parallel int                   // how many batches are served at a time
	most     int                   // jobs of a batch
	free     bool                  // a job has no effect but its answer: who leaves need not know what came of it

	mu      sync.Mutex
	waiting []*job[A]
	workers int        // that were started
	idle    int        // of them, without a batch
	come    *sync.Cond // somebody waits, for one idle worker; or the queue is closed
	closed  bool
	running sync.WaitGroup // the workers
}

// job is what one caller asks for.
type job[A any] struct {
	ctx  context.Context
	ask  A
	done chan error // takes one answer
}

var errClosed = errors.New("the store is closed")

func newQueue[A any](parallel, most int, serve func(batch []*job[A])) *queue[A] {
	q := &queue[A]{serve: serve, parallel: parallel, most: most}
	q.come = sync.NewCond(&q.mu)
	return q
}

// do returns the answer. A caller who leaves while waiting is not served; one who leaves later waits for the answer,
// unless jobs are free.
func (q *queue[A]) do(ctx context.Context, ask A) error {
	j := &job[A]{ctx, ask, make(chan error, 1)}
	if !q.add(j) {
		return errClosed
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if q.remove(j) || q.free {
			return ctx.Err()
		}
		return <-j.done
	}
}

func (q *queue[A]) add(j *job[A]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, j)
	switch {
	case q.idle > 0:
		q.idle--
		q.come.Signal()
	case q.workers < q.parallel:
		q.workers++
		q.running.Go(q.work)
	}
	return true
}

// remove reports whether the job was still waiting.
func (q *queue[A]) remove(j *job[A]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, j)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// work serves until the queue is closed and nobody waits.
func (q *queue[A]) work() {
	for batch := q.take(); len(batch) > 0; batch = q.take() {
		if err := q.serveSafely(batch); err != nil {
			for _, j := range batch {
				select {
				case j.done <- err:
				default: // it has its answer
				}
			}
		}
	}
}

func (q *queue[A]) serveSafely(batch []*job[A]) (err error) {
	defer recovered(&err)
	q.serve(batch)
	return nil
}

// take waits for the next batch; an empty one ends the work.
func (q *queue[A]) take() []*job[A] {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if batch := q.next(); len(batch) > 0 {
			return batch
		}
		if q.closed {
			return nil
		}
		q.idle++
		q.come.Wait() // who signals counts this worker out
	}
}

// next returns the next of those who wait and have not left.
func (q *queue[A]) next() (batch []*job[A]) {
	taken := 0
	for _, j := range q.waiting {
		if len(batch) == q.most {
			break
		}
		taken++
		if err := j.ctx.Err(); err != nil {
			j.done <- err
		} else {
			batch = append(batch, j)
		}
	}
	q.waiting = slices.Delete(q.waiting, 0, taken)
	return batch
}

// close waits for those who wait to be served. Who comes later gets errClosed.
func (q *queue[A]) close() {
	q.mu.Lock()
	q.closed = true
	q.come.Broadcast()
	q.mu.Unlock()
	q.running.Wait()
}

// runEach serves a queue of functions.
func runEach(batch []*job[func() error]) {
	for _, j := range batch {
		j.done <- j.ask()
	}
}

// untilLast returns a context that ends when the most patient caller's does, or when the time that is given is over.
func untilLast[A any](batch []*job[A], most time.Duration) (context.Context, context.CancelFunc) {
	longest := time.Now().Add(most)
	var last time.Time
	for _, j := range batch {
		if deadline, ok := j.ctx.Deadline(); !ok {
			last = longest
		} else if deadline.After(last) {
			last = deadline
		}
	}
	if last.After(longest) {
		last = longest
	}
	return context.WithDeadline(context.Background(), last)
}
