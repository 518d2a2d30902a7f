// Command bench measures minidoor on SQLite, PostgreSQL and MySQL or MariaDB, with one instance and with several:
// sign-ins, account reads and profile updates a second, their latencies at full and at half rate, and memory, idle and
// under a crowd. It builds the server and runs it as processes of their own; the load and a fake WeChat run in this
// one. Each database is made for the run and dropped at its end.
//
//	go run ./test/bench                     # SQLite, 1 thousand and 2 million users, three signature algorithms
//	go run ./test/bench -db sqlite,postgres,mysql -instances 1,2 -users 1000
//	go run ./test/bench -users 1000 -alg ES256 -d 2s -rounds 1
//	go run ./test/bench -proxy              # what the gateway costs a request that it passes on
//	go run ./test/bench -smoke              # does it work at all, on each database that is there: a few seconds
//
// Beside it runs "floor", when its source is at hand (-floor): a bare program that does the least that a sign-in can
// be, on SQLite. It is measured right before each measurement on SQLite, under the same load. What share of floor's
// rate minidoor reaches says more than a rate that only one machine has.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
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
	databases  []string // Casdoor's driverNames
	instances  []int
	users      []int // sizes of the databases
	algorithms []algorithm
	workers    int
	duration   time.Duration // of one measurement
	rounds     int
	latency    time.Duration // of WeChat, at half rate and under a crowd; else it answers at once
	crowd      int           // sign-ins in flight; 0: no crowd
	floor      string        // folder of the reference program's source; empty: do without
	json       string        // file for the results; empty: none
	targets    bool
	proxy      bool
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	databases := flags.String("db", "sqlite", "`databases`: sqlite, postgres, mysql")
	instances := flags.String("instances", "1", "`numbers` of instances on one database")
	users := flags.String("users", "1000,2000000", "`numbers` of users in the database")
	names := flags.String("alg", "RS256,RS4096,ES256", "signature `algorithms`; RS256 has 2048 bits")
	flags.IntVar(&o.workers, "c", 32, "requests at a time")
	flags.DurationVar(&o.duration, "d", 5*time.Second, "how long one measurement takes")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each is measured; the median counts")
	flags.DurationVar(&o.latency, "latency", 80*time.Millisecond, "WeChat's, at half rate and under a crowd")
	flags.IntVar(&o.crowd, "crowd", 2000, "sign-ins in flight whose memory is measured; 0: none")
	flags.StringVar(&o.floor, "floor", "", "`folder` of the reference program (default ../shared/tools/floor or floor)")
	flags.StringVar(&o.json, "json", "", "`file` to write the results to, as JSON")
	flags.BoolVar(&o.targets, "targets", false, "fail when a figure misses its target")
	flags.BoolVar(&o.proxy, "proxy", false, "measure the gateway's pass-through, and nothing else")
	smoke := flags.Bool("smoke", false, "200 users, one algorithm, a moment each: does it work at all?")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *smoke {
		*databases, *instances = strings.Join(databasesHere(context.Background()), ","), "1,2"
		*users, *names, o.duration, o.rounds, o.crowd = "200", "RS256", 100*time.Millisecond, 1, 100
	}
	if o.databases, err = eachOf(*databases, "db", knownDatabase); err != nil {
		return o, err
	}
	if o.instances, err = eachOf(*instances, "instances", aboveZero); err != nil {
		return o, err
	}
	if o.users, err = eachOf(*users, "users", aboveZero); err != nil {
		return o, err
	}
	if o.algorithms, err = eachOf(*names, "alg", knownAlgorithm); err != nil {
		return o, err
	}
	if o.workers < 1 || o.rounds < 1 || o.duration <= 0 || o.latency < 0 || o.crowd < 0 {
		return o, errors.New("-c, -rounds and -d must be above zero, -latency and -crowd not below")
	}
	if o.floor == "" {
		o.floor = findFloor("../shared/tools/floor", "../../shared/tools/floor", "floor")
	}
	return o, nil
}

// eachOf reads the parts of a flag that commas separate.
func eachOf[T any](text, flag string, read func(part string) (T, error)) (values []T, err error) {
	for part := range strings.SplitSeq(text, ",") {
		value, err := read(part)
		if err != nil {
			return nil, fmt.Errorf("-%s: %q %w", flag, part, err)
		}
		values = append(values, value)
	}
	return values, nil
}

func aboveZero(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, errors.New("is not a number above zero")
	}
	return n, nil
}

func knownDatabase(name string) (string, error) {
	if !slices.Contains(databaseKinds(), name) {
		return "", fmt.Errorf("is not one of %s", strings.Join(databaseKinds(), ", "))
	}
	return name, nil
}

func knownAlgorithm(name string) (algorithm, error) {
	a, ok := algorithms()[name]
	if !ok {
		return a, errors.New("is not one of RS256, RS4096, ES256")
	}
	return a, nil
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
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.start(ctx); err != nil {
		return err
	}
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
