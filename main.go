// Command minidoor signs WeChat mini-program users in to Casdoor.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9/logging"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/conf/prelude" // before beego
	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/demo"
)

type lookup = func(string) (string, bool)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() {
	prelude.End()
	logging.Disable()              // go-redis would write lines in a form of its own, about what it returns too
	signal.Ignore(syscall.SIGPIPE) // a log whose reader has gone is no reason to end
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()
	if err := run(ctx, os.Args[1:], process{env: os.LookupEnv, stdout: os.Stdout, stderr: os.Stderr}); err != nil {
		time.AfterFunc(time.Second, func() { os.Exit(1) }) // where nobody reads what is said
		fmt.Fprintln(os.Stderr, "minidoor:", err)
		os.Exit(1)
	}
}

// endings returns the signals that end a server in order: of a terminal that is closed too, unless it was started to
// outlive that, by nohup.
func endings() []os.Signal {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// options are the flags.
type options struct {
	files   []string
	demo    bool
	version bool
	command command // nil: serve
	check   bool    // command is check
	backup  string  // the file to back up into; empty: none
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("minidoor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("conf", "configuration `file`, such as Casdoor's app.conf; may be given again: later files win",
		func(file string) error { o.files = append(o.files, file); return nil })
	flags.BoolVar(&o.demo, "demo", false, "try it out: loopback only, a throw-away database, a fake WeChat")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	flags.StringVar(&o.backup, "backup", "", "copy the SQLite database, in use or not, into the new `file`, and exit")
	o.defineCommands(flags)
	switch err = flags.Parse(args); {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.backup != "" && o.command != nil:
		err = errors.New("-backup goes with no other command")
	}
	return o, err
}

// process is what a server has around it.
type process struct {
	env            lookup
	stdout, stderr io.Writer
	demo           *demo.Demo // nil without -demo
}

// run is the whole life of a server: it returns when ctx has ended and what was running then has finished.
func run(ctx context.Context, args []string, p process) (err error) {
	o, err := parse(args, p.stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case o.version:
		_, err := fmt.Fprintln(p.stdout, "minidoor", version)
		return err
	case o.demo:
		if p.demo, err = demo.Start(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.demo.Close()) }()
		p.env = p.demo.LookupEnv(p.env)
	}
	cfg, err := conf.Load(o.files, p.env)
	if err != nil {
		return err
	}
	log := controllers.NewLogger(p.stderr, cfg.LogLevel, cfg.LogFormat)
	if len(cfg.Unknown) > 0 && !o.check { // which says so too
		log.Warn("keys that mean nothing here", "keys", strings.Join(cfg.Unknown, ", "))
	}
	switch {
	case o.backup != "":
		return backup(ctx, o.backup, cfg, p.stdout)
	case o.check:
		return check(ctx, workplace{cfg: cfg, log: log, w: p.stdout})
	case o.command != nil:
		return runCommand(ctx, o.command, cfg, log, p)
	}
	writer := controllers.NewLogWriter(p.stderr, func(lines int) { log.Warn("lines of the log are lost", "lines", lines) })
	defer writer.Flush(time.Second)
	log = controllers.NewLogger(writer, cfg.LogLevel, cfg.LogFormat)
	return serve(ctx, cfg, log, p)
}

func serve(ctx context.Context, cfg *conf.Config, log *slog.Logger, p process) error {
	var connections atomic.Int64
	defer tune(ctx, cfg, p.env, &connections)()
	metrics := controllers.NewMetrics(prometheus.NewRegistry(), version)
	deps := controllers.Deps{
		Origin: cfg.Origin, TrustedProxies: cfg.TrustedProxies, Version: version, Logger: log,
		Draining: ctx.Done(),
		Metrics:  metrics, MetricsToken: cfg.MetricsToken,
	}
	if cfg.Gateway() {
		deps.Upstream, _ = url.Parse(cfg.CasdoorUpstream) // conf has parsed it
	}
	services, releaseTokens, err := serviceConfig(cfg, log, metrics)
	if err != nil {
		return err
	}
	defer releaseTokens()
	store, err := attach(ctx, &deps, cfg, services, p.stdout)
	if err != nil {
		return err
	}
	if store != nil {
		defer store.Close()
		metrics.WatchStore(store)
	}
	releaseLimits, err := setLimits(&deps, cfg, store)
	if err != nil {
		return err
	}
	defer releaseLimits()
	if err := profile(ctx, cfg.PprofAddr, log); err != nil {
		return err
	}
	defer sweep(ctx, store, cfg, &deps)()
	defer watch(ctx, store, cfg, &deps)()
	defer inBackground(ctx, deps.Service.KeepHouse)()
	listener, err := net.Listen("tcp", net.JoinHostPort(cfg.HTTPAddr, strconv.Itoa(cfg.HTTPPort)))
	if err != nil {
		return fmt.Errorf("httpaddr, httpport: %w", err)
	}
	if p.demo != nil {
		deps.Demo = &controllers.Demo{
			ClientID: demo.ClientID, AppID: demo.AppID, NewCode: p.demo.NewCode, NewPhoneCode: p.demo.NewPhoneCode,
		}
		p.demo.Banner(p.stdout, "http://"+listener.Addr().String())
	}
	log.Info("listening", "address", listener.Addr().String(), "version", version)
	ctx = later(ctx, time.Duration(cfg.DrainDelay)*time.Second, log)
	return controllers.Serve(ctx, listener, controllers.New(deps), log, &connections)
}

// later returns a context that ends some time after ctx.
func later(ctx context.Context, delay time.Duration, log *slog.Logger) context.Context {
	if delay == 0 {
		return ctx
	}
	after, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		log.Info("told to end: the health paths say 503, requests are taken on", "drainDelay", delay.Seconds())
		time.AfterFunc(delay, cancel)
	})
	return after
}
