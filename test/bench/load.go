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
	"time"
)

// load is what one measurement sends: requests of workers that each wait for the answer before they go on.
type load struct {
	address  string // host:port
	workers  int
	duration time.Duration

	// request appends the n-th request of a worker, as HTTP/1.1 has it on the wire, to buf.
	request func(buf []byte, worker, n int) []byte
	// want is what the body of a right answer holds.
	want []byte
}

// sample is the outcome of one measurement.
type sample struct {
	Rate float64       // answers a second
	P50  time.Duration // latencies
	P90  time.Duration
	P99  time.Duration
}

// run measures. A wrong answer is an error.
func (l load) run(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clients := make([]*client, l.workers)
	for w := range clients {
		c, err := dial(ctx, l.address)
		if err != nil {
			return sample{}, err
		}
		defer c.close()
		clients[w] = c
	}
	latencies := make([][]time.Duration, l.workers)
	var workers sync.WaitGroup
	start := time.Now()
	for w, c := range clients {
		workers.Go(func() {
			var err error
			if latencies[w], err = l.work(ctx, c, w, start.Add(l.duration)); err != nil {
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

func (l load) work(ctx context.Context, c *client, worker int, end time.Time) ([]time.Duration, error) {
	latencies := make([]time.Duration, 0, 1<<14)
	var request []byte
	for before, n := time.Now(), 0; before.Before(end) && ctx.Err() == nil; n++ {
		request = l.request(request[:0], worker, n)
		status, body, err := c.do(request)
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK || !bytes.Contains(body, l.want) {
			return nil, fmt.Errorf("wrong answer: %d %.200s", status, body)
		}
		after := time.Now()
		latencies = append(latencies, after.Sub(before))
		before = after
	}
	return latencies, nil
}

func newSample(latencies []time.Duration, elapsed time.Duration) sample {
	slices.Sort(latencies)
	return sample{
		Rate: float64(len(latencies)) / elapsed.Seconds(),
		P50:  percentile(latencies, 50), P90: percentile(latencies, 90), P99: percentile(latencies, 99),
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
