// Command bench measures minidoor on SQLite: sign-ins, account reads and profile updates a second, their latencies, and
// idle memory. It builds the server and runs it as a process of its own; the load and a fake WeChat run in this one.
//
//	go run ./test/bench                     # 1 thousand and 500 thousand users, three signature algorithms
//	go run ./test/bench -users 1000 -alg ES256 -d 2s -rounds 1
//	go run ./test/bench -proxy              # what the gateway costs a request that it passes on
//	go run ./test/bench -smoke              # does it work at all: a few seconds
//
// Beside it runs "floor", when its source is at hand (-floor): a bare program that does the least that a sign-in can
// be. It is measured right before each measurement, under the same load. What share of floor's rate minidoor reaches
// says more than a rate that only one machine has.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/minidoor/minidoor/test/process"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	users      []int // sizes of the databases
	algorithms []algorithm
	workers    int
	duration   time.Duration // of one measurement
	rounds     int
	floor      string // folder of the reference program's source; empty: do without
	json       string // file for the results; empty: none
	targets    bool
	proxy      bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	users := flags.String("users", "1000,500000", "`numbers` of users in the database")
	names := flags.String("alg", "RS256,RS4096,ES256", "signature `algorithms`; RS256 has 2048 bits")
	flags.IntVar(&o.workers, "c", 32, "requests at a time")
	flags.DurationVar(&o.duration, "d", 5*time.Second, "how long one measurement takes")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each is measured; the median counts")
	flags.StringVar(&o.floor, "floor", "", "`folder` of the reference program (default ../shared/tools/floor or floor)")
	flags.StringVar(&o.json, "json", "", "`file` to write the results to, as JSON")
	flags.BoolVar(&o.targets, "targets", false, "fail when a figure misses its target")
	flags.BoolVar(&o.proxy, "proxy", false, "measure the gateway's pass-through, and nothing else")
	smoke := flags.Bool("smoke", false, "200 users, one algorithm, one second each: does it work at all?")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *smoke {
		*users, *names, o.duration, o.rounds = "200", "RS256", time.Second, 1
	}
	for text := range strings.SplitSeq(*users, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-users: %q is not a number of users", text)
		}
		o.users = append(o.users, n)
	}
	for name := range strings.SplitSeq(*names, ",") {
		a, ok := algorithms()[name]
		if !ok {
			return o, fmt.Errorf("-alg: %q is not one of RS256, RS4096, ES256", name)
		}
		o.algorithms = append(o.algorithms, a)
	}
	if o.workers < 1 || o.rounds < 1 || o.duration <= 0 {
		return o, fmt.Errorf("-c, -rounds and -d must be above zero")
	}
	if o.floor == "" {
		o.floor = findFloor("../shared/tools/floor", "floor")
	}
	return o, nil
}

func findFloor(folders ...string) string {
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "main.go")); err == nil {
			return folder
		}
	}
	return ""
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "minidoor-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx, cancel := context.WithCancel(ctx) // ends the children
	defer cancel()
	say := func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }

	b := &bench{options: o, folder: folder, say: say}
	if o.proxy {
		return b.measureProxy(ctx, stdout)
	}
	if err := b.start(ctx); err != nil {
		return err
	}
	defer b.close()
	results, err := b.measure(ctx)
	if err != nil {
		return err
	}
	results.print(stdout)
	if o.json != "" {
		if err := results.writeJSON(o.json); err != nil {
			return err
		}
	}
	if missed := results.missed(); o.targets && len(missed) > 0 {
		return fmt.Errorf("%d targets are missed:\n%s", len(missed), strings.Join(missed, "\n"))
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
