package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// bench is a run: a server for each number of users and a floor for each algorithm. One at a time is under load.
type bench struct {
	options

	folder  string // for everything that is written
	say     func(format string, args ...any)
	binary  string // minidoor's
	wechat  string // URL of the fake WeChat
	servers []*server
	floors  map[string]*floor // by the algorithm's flag; empty without floor
	series  int               // how many measurements there were: no two send the same code
}

// start builds and starts everything. It all ends with ctx.
func (b *bench) start(ctx context.Context) error {
	floorBinary, err := b.build(ctx)
	if err != nil {
		return err
	}
	if b.wechat, err = startWeChat(ctx); err != nil {
		return err
	}
	b.floors = map[string]*floor{}
	for _, a := range b.algorithms {
		if floorBinary == "" {
			break
		}
		if b.floors[a.flag], err = b.startFloor(ctx, floorBinary, a); err != nil {
			return err
		}
	}
	for _, users := range b.users {
		b.say("preparing %d users", users)
		s, err := b.startServer(ctx, users)
		if err != nil {
			return fmt.Errorf("server with %d users: %w", users, err)
		}
		b.servers = append(b.servers, s)
	}
	return nil
}

// close ends the children.
func (b *bench) close() {
	for _, s := range b.servers {
		s.Kill()
	}
	for _, f := range b.floors {
		f.Kill()
	}
}

// operation is something that clients do.
type operation struct {
	name     string
	signedIn bool // each worker is a user with an access token; else it signs in, which floor can do too
	want     string
	requests func(s *server, a algorithm, tokens []string) requester
}

// requester appends the n-th request of a worker to buf. The series tells the requests of measurements apart.
type requester func(buf []byte, series, worker, n int) []byte

// The names of the operations.
const (
	returningSignIn = "sign-in, returning"
	newSignIn       = "sign-in, new"
	accountRead     = "account read"
	profileUpdate   = "profile update"
)

// operations has the one that makes users at the end: those before it find as many as they are told.
func operations() []operation {
	const token = `"access_token":"ey`
	return []operation{
		{returningSignIn, false, token, func(s *server, a algorithm, _ []string) requester {
			return signInRequests(a, func(int, int, int) string { return openID(rand.IntN(s.users)) })
		}},
		{accountRead, true, `"status":"ok"`, func(_ *server, _ algorithm, tokens []string) requester {
			return accountRequests(tokens)
		}},
		{profileUpdate, true, `"data":"Affected"`, func(s *server, _ algorithm, tokens []string) requester {
			return updateRequests(tokens, s.users)
		}},
		{newSignIn, false, token, func(_ *server, a algorithm, _ []string) requester {
			return signInRequests(a, func(series, worker, n int) string {
				return fmt.Sprintf("oNew-%d-%d-%d", series, worker, n)
			})
		}},
	}
}

func signInRequests(a algorithm, openID func(series, worker, n int) string) requester {
	clientID := a.clientID()
	return func(buf []byte, series, worker, n int) []byte {
		body := fmt.Appendf(nil, "tag=wechat_miniprogram&client_id=%s&code=u:%s::%d-%d-%d",
			clientID, openID(series, worker, n), series, worker, n)
		return appendPost(buf, "/api/login/oauth/access_token", "application/x-www-form-urlencoded", "", body)
	}
}

func accountRequests(tokens []string) requester {
	return func(buf []byte, _, worker, _ int) []byte {
		buf = append(buf, "GET /api/get-account HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer "...)
		return append(append(buf, tokens[worker]...), "\r\n\r\n"...)
	}
}

func updateRequests(tokens []string, users int) requester {
	return func(buf []byte, series, worker, n int) []byte {
		name := "wechat-" + openID(worker%users)
		body := fmt.Appendf(nil,
			`{"owner":"bench","name":%q,"displayName":"name %d-%d-%d","avatar":"https://example.com/%d/%d.png"}`,
			name, series, worker, n, series, n)
		path := "/api/update-user?columns=display_name,avatar&id=bench/" + name
		return appendPost(buf, path, "application/json", tokens[worker], body)
	}
}

func appendPost(buf []byte, path, contentType, token string, body []byte) []byte {
	buf = fmt.Appendf(buf, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n",
		path, contentType, len(body))
	if token != "" {
		buf = append(append(append(buf, "Authorization: Bearer "...), token...), "\r\n"...)
	}
	return append(append(buf, "\r\n"...), body...)
}

// measure measures every operation with every algorithm on every server, and floor right before.
func (b *bench) measure(ctx context.Context) (*report, error) {
	r := &report{Machine: machine(), Workers: b.workers, Seconds: b.duration.Seconds(), Rounds: b.rounds}
	for _, s := range b.servers {
		r.Idle = append(r.Idle, idle{s.users, float64(s.idle) / (1 << 20)})
	}
	for _, op := range operations() {
		for _, a := range b.algorithms {
			b.say("measuring %s, %s", op.name, a.label)
			rows, err := b.compare(ctx, op, a)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", op.name, a.label, err)
			}
			r.Rows = append(r.Rows, rows...)
		}
	}
	return r, nil
}

// compare measures one operation with one algorithm, in rounds that go through all servers, so that what slows the
// machine down for a while slows all of them down.
func (b *bench) compare(ctx context.Context, op operation, a algorithm) ([]row, error) {
	requests := make([]requester, len(b.servers))
	for i, s := range b.servers {
		var tokens []string
		if op.signedIn {
			var err error
			if tokens, err = s.tokensOf(ctx, a, b.workers); err != nil {
				return nil, err
			}
		}
		requests[i] = op.requests(s, a, tokens)
	}
	ours, floors := make([][]sample, len(b.servers)), make([][]sample, len(b.servers))
	for range b.rounds {
		for i, s := range b.servers {
			if f := b.floors[a.flag]; f != nil && !op.signedIn {
				if err := b.run(ctx, f.address, op, requests[i], &floors[i]); err != nil {
					return nil, fmt.Errorf("floor: %w", err)
				}
			}
			if err := b.run(ctx, s.address(), op, requests[i], &ours[i]); err != nil {
				return nil, err
			}
		}
	}
	rows := make([]row, len(b.servers))
	for i, s := range b.servers {
		rows[i] = newRow(op.name, a.label, s.users, ours[i], floors[i], ours[0])
	}
	return rows, nil
}

func (b *bench) run(ctx context.Context, address string, op operation, request requester, samples *[]sample) error {
	b.series++
	series := b.series
	s, err := load{
		address: address, workers: b.workers, duration: b.duration, want: []byte(op.want),
		request: func(buf []byte, worker, n int) []byte { return request(buf, series, worker, n) },
	}.run(ctx)
	*samples = append(*samples, s)
	return err
}
