package object

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// queue serves those together who wait at the same time. Who comes when nobody waits is served at once and alone.
type queue[A any] struct {
	serve    func(batch []*job[A]) // answers each job
	parallel int                   // how many batches are served at a time
	most     int                   // jobs of a batch

	mu      sync.Mutex
	waiting []*job[A]
	serving int
	closed  bool
	idle    *sync.Cond // serving has become 0
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
	q.idle = sync.NewCond(&q.mu)
	return q
}

// do returns the answer. A caller who leaves while waiting is not served.
func (q *queue[A]) do(ctx context.Context, ask A) error {
	j := &job[A]{ctx, ask, make(chan error, 1)}
	if !q.add(j) {
		return errClosed
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if q.remove(j) {
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
	if q.serving < q.parallel {
		q.serving++
		go q.run()
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

// run serves until nobody waits.
func (q *queue[A]) run() {
	for {
		batch := q.take()
		if len(batch) == 0 {
			return
		}
		q.serve(batch)
	}
}

// take returns the next batch; an empty one ends the run.
func (q *queue[A]) take() (batch []*job[A]) {
	q.mu.Lock()
	defer q.mu.Unlock()
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
	if len(batch) == 0 {
		q.serving--
		q.idle.Broadcast()
	}
	return batch
}

// close waits for those who wait to be served. Who comes later gets errClosed.
func (q *queue[A]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for q.serving > 0 {
		q.idle.Wait()
	}
}
