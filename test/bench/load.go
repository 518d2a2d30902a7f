package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what one measurement sends: requests of workers, each of whom waits for the answer.
type load struct {
	addresses []string // host:port; workers take them in turn
	workers   int
	duration  time.Duration
	interval  time.Duration // from one request to the next, however long answers take; 0: who has an answer goes on
	failed    *atomic.Int64 // counts wrong answers; nil: the first of them ends the measurement

	// request appends the n-th request of a worker, as HTTP/1.1 has it on the wire, to buf.
	request func(buf []byte, worker, n int) []byte
	// want is what the body of a right answer holds.
	want []byte
}

// sample is the outcome of one measurement.
type sample struct {
	Count int           // answers
	Rate  float64       // answers a second
	P50   time.Duration // latencies
	P90   time.Duration
	P99   time.Duration
}

// run measures.
func (l load) run(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clients := make([]*client, l.workers)
	for w := range clients {
		c, err := dial(ctx, l.addresses[w%len(l.addresses)])
		if err != nil {
			return sample{}, err
		}
		defer c.close()
		clients[w] = c
	}
	latencies := make([][]time.Duration, l.workers)
	var workers sync.WaitGroup
	start := time.Now()
	p := &pace{start: start, end: start.Add(l.duration), interval: l.interval}
	for w, c := range clients {
		workers.Go(func() {
			var err error
			if latencies[w], err = l.work(ctx, c, w, p); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	elapsed := time.Since(start)
	if ctx.Err() != nil {
		return sample{}, context.Cause(ctx)
	}
	return newSample(slices.Concat(latencies...), elapsed), nil
}

func (l load) work(ctx context.Context, c *client, worker int, p *pace) ([]time.Duration, error) {
	latencies := make([]time.Duration, 0, 1<<10)
	var request []byte
	for n := 0; ; n++ {
		due, ok := p.next(ctx)
		if !ok {
			return latencies, nil
		}
		request = l.request(request[:0], worker, n)
		status, body, err := c.do(request)
		if err == nil && (status != http.StatusOK || !bytes.Contains(body, l.want)) {
			err = fmt.Errorf("wrong answer: %d %.200s", status, body)
		}
		switch {
		case err == nil:
			latencies = append(latencies, time.Since(due))
		case l.failed == nil:
			return nil, err
		default:
			l.failed.Add(1)
			if status == 0 {
				return latencies, nil // the connection is gone
			}
		}
	}
}

// pace says when requests are due.
type pace struct {
	start, end time.Time
	interval   time.Duration // 0: at once
	taken      atomic.Int64
}

// next waits until the next request is due, and returns when that was: one that starts late, because all workers wait
// for answers, has waited too. It returns false when the measurement is over.
func (p *pace) next(ctx context.Context) (due time.Time, ok bool) {
	if p.interval == 0 {
		due = time.Now()
		return due, due.Before(p.end) && ctx.Err() == nil
	}
	due = p.start.Add(time.Duration(p.taken.Add(1)-1) * p.interval)
	if !due.Before(p.end) {
		return due, false
	}
	select {
	case <-time.After(time.Until(due)):
		return due, true
	case <-ctx.Done():
		return due, false
	}
}

func newSample(latencies []time.Duration, elapsed time.Duration) sample {
	slices.Sort(latencies)
	return sample{
		Count: len(latencies), Rate: float64(len(latencies)) / elapsed.Seconds(),
		P50: percentile(latencies, 50), P90: percentile(latencies, 90), P99: percentile(latencies, 99),
	}
}

// percentile returns the smallest of the sorted latencies that at least p of 100 do not exceed; 0 when there are none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// client is one connection that is kept alive. It is written by hand because it shares the machine with what it
// measures: net/http's client takes several times as long for a request.
type client struct {
	conn   net.Conn
	reader *bufio.Reader
	body   []byte
}

func dial(ctx context.Context, address string) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, reader: bufio.NewReader(conn)}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// answerTime bounds how long an answer may take.
const answerTime = time.Minute

// do sends a request and returns status and body of the answer. The body is good until the next call.
func (c *client) do(request []byte) (int, []byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	if answer.ContentLength < 0 {
		return 0, nil, fmt.Errorf("%s without a Content-Length", answer.Status)
	}
	c.body = slices.Grow(c.body[:0], int(answer.ContentLength))[:answer.ContentLength]
	_, err = io.ReadFull(answer.Body, c.body)
	return answer.StatusCode, c.body, err
}
