package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/minidoor/minidoor/test/process"
)

// bench is a run: servers on each database and a floor for each algorithm. One at a time is under load.
type bench struct {
	options

	folder string // for everything that is written
	say    func(format string, args ...any)
	binary string // minidoor's
	wechat *upstream
	sites  []*site
	floors map[string]*floor // by the algorithm's flag; empty without floor
	series int               // how many measurements there were: no two send the same code
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
	for _, kind := range b.databases {
		instances := 1
		if takesSeveral(kind) {
			instances = slices.Max(b.instances)
		}
		for _, users := range b.users {
			began := time.Now()
			if _, err := b.startSite(ctx, kind, users, instances); err != nil {
				return fmt.Errorf("%s with %d users: %w", kind, users, err)
			}
			b.say("%s with %d users is there after %.1f s", kind, users, time.Since(began).Seconds())
		}
	}
	return nil
}

// build compiles the server and, when its source is there, floor. Without it the returned path is empty.
func (b *bench) build(ctx context.Context) (floor string, err error) {
	b.binary = filepath.Join(b.folder, "minidoor")
	if err := process.Build(ctx, "", process.Minidoor, b.binary); err != nil {
		return "", err
	}
	if b.floor == "" {
		b.say("floor's source is not here (-floor): there will be no shares")
		return "", nil
	}
	floor = filepath.Join(b.folder, "floor")
	return floor, process.Build(ctx, b.floor, ".", floor)
}

// close ends the children and drops the databases.
func (b *bench) close() (err error) {
	for _, s := range b.sites {
		err = errors.Join(err, s.close())
	}
	for _, f := range b.floors {
		if f != nil {
			f.Kill()
		}
	}
	return err
}

// targets returns what is measured, and says what is not.
func (b *bench) targets() (all []target, left []string) {
	for _, s := range b.sites {
		for _, instances := range b.instances {
			if instances > 1 && !takesSeveral(s.kind) {
				left = append(left, fmt.Sprintf("%s, %d instances, %d users: n/a, such a database is one server's",
					s.kind, instances, s.users))
				continue
			}
			all = append(all, target{s, instances})
		}
	}
	return all, left
}

// measure measures every operation with every algorithm on every target.
func (b *bench) measure(ctx context.Context) (*report, error) {
	r := &report{
		Machine: machine(), Workers: b.workers, Seconds: b.duration.Seconds(), Rounds: b.rounds,
		LatencyMS: milliseconds(b.latency), SignatureMS: map[string]float64{},
	}
	for _, a := range b.algorithms {
		cost, err := a.cost()
		if err != nil {
			return nil, err
		}
		r.SignatureMS[a.label] = milliseconds(cost)
	}
	for _, s := range b.sites {
		r.Idle = append(r.Idle, idle{s.kind, s.users, mebibytes(s.idle)})
	}
	var targets []target
	targets, r.Left = b.targets()
	for _, op := range operations() {
		for _, a := range b.algorithms {
			b.say("measuring %s, %s", op.name, a.label)
			rows, err := b.compare(ctx, op, a, targets)
			if err == nil && op.name == returningSignIn {
				rows, err = b.addHalfRate(ctx, op, a, targets, rows)
			}
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", op.name, a.label, err)
			}
			r.Rows = append(r.Rows, rows...)
		}
	}
	return r, b.measureCrowds(ctx, r)
}

// compare measures one operation with one algorithm, in rounds that go through all targets, so that what slows the
// machine down for a while slows all of them down. floor is measured right before each on SQLite.
func (b *bench) compare(ctx context.Context, op operation, a algorithm, targets []target) ([]row, error) {
	all := make([]samples, len(targets))
	requests := make([]requester, len(targets))
	for i, t := range targets {
		var tokens []string
		if op.signedIn {
			var err error
			if tokens, err = t.tokensOf(ctx, a, b.workers); err != nil {
				return nil, err
			}
		}
		requests[i] = op.requests(t.site, a, tokens)
	}
	for round := range b.rounds {
		for _, i := range order(len(targets), round) {
			t := targets[i]
			l := load{addresses: t.addresses(), workers: b.workers, duration: b.duration, want: []byte(op.want)}
			if err := b.runRound(ctx, t, l, b.floorBeside(t, op, a), requests[i], &all[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", t.kind, err)
			}
		}
	}
	return newRows(op.name, a.label, targets, all), nil
}

// order returns the numbers below n, in every other round from the end: who always follows another one has to bear what
// that leaves behind, such as writes on their way to the disk.
func order(n, round int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	if round%2 == 1 {
		slices.Reverse(numbers)
	}
	return numbers
}

// addHalfRate adds, behind the rows of an operation, rows of the same at half their rates: requests that come evenly,
// whether the server is ready for them or not, while WeChat takes its time. floor gets as many right before.
func (b *bench) addHalfRate(
	ctx context.Context, op operation, a algorithm, targets []target, rows []row,
) ([]row, error) {
	all := make([]samples, len(targets))
	err := b.wechat.during(b.latency, func() error {
		for round := range b.rounds {
			for _, i := range order(len(targets), round) {
				t, rate := targets[i], rows[i].Rate/2
				l := load{
					addresses: t.addresses(), duration: b.duration, want: []byte(op.want),
					interval: time.Duration(float64(time.Second) / rate),
					workers:  b.workers + int(2*rate*b.latency.Seconds()), // enough for answers that take twice as long
				}
				request := op.requests(t.site, a, nil)
				if err := b.runRound(ctx, t, l, b.floorBeside(t, op, a), request, &all[i]); err != nil {
					return fmt.Errorf("%s: %w", t.kind, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return append(rows, newRows(halfRate, a.label, targets, all)...), nil
}

// floorBeside returns the floor that a target is compared with, or nil: it does sign-ins, on SQLite.
func (b *bench) floorBeside(t target, op operation, a algorithm) *floor {
	if op.signedIn || t.kind != "sqlite" {
		return nil
	}
	return b.floors[a.flag]
}

// runRound runs a load on a target whose database is in memory, and right before it the same on floor unless that is
// nil. Beside requests that come evenly WeChat is asked for nothing else: they cannot be faster.
func (b *bench) runRound(ctx context.Context, t target, l load, f *floor, request requester, s *samples) error {
	if err := warm(t.store); err != nil {
		return err
	}
	if f != nil {
		if err := b.runOnFloor(ctx, l, f, request, &s.floor); err != nil {
			return err
		}
	}
	if l.interval == 0 {
		return b.run(ctx, l, request, &s.ours)
	}
	asked := make(chan error, 1)
	go func(series int) {
		alone, err := b.wechat.ask(ctx, series, l.duration)
		s.wechat = append(s.wechat, alone)
		asked <- err
	}(b.series)
	return errors.Join(b.run(ctx, l, request, &s.ours), <-asked)
}

// runOnFloor runs on floor what a load does to a target.
func (b *bench) runOnFloor(ctx context.Context, l load, f *floor, request requester, samples *[]sample) error {
	l.addresses = []string{f.address}
	if err := b.run(ctx, l, request, samples); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	return nil
}

func (b *bench) run(ctx context.Context, l load, request requester, samples *[]sample) error {
	b.series++
	series := b.series
	l.request = func(buf []byte, worker, n int) []byte { return request(buf, series, worker, n) }
	s, err := l.run(ctx)
	*samples = append(*samples, s)
	return err
}
