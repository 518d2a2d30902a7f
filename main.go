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
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/demo"
)

type lookup = func(string) (string, bool)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// gcPercent lets the heap grow to five times what lives, a few MB, before it is swept: that halves the cost of
// sweeping.
const gcPercent = 400

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], process{env: os.LookupEnv, stdout: os.Stdout, stderr: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, "minidoor:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	files   []string
	demo    bool
	version bool
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("minidoor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("conf", "configuration `file`, such as Casdoor's app.conf; may be given again: later files win",
		func(file string) error { o.files = append(o.files, file); return nil })
	flags.BoolVar(&o.demo, "demo", false, "try it out: loopback only, a throw-away database, a fake WeChat")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	return o, flags.Parse(args)
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
	return serve(ctx, o.files, p)
}

func serve(ctx context.Context, files []string, p process) error {
	cfg, err := conf.Load(files, p.env)
	if err != nil {
		return err
	}
	if _, set := p.env("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	log := controllers.NewLogger(p.stderr, cfg.LogLevel, cfg.LogFormat)
	if len(cfg.Unknown) > 0 {
		log.Warn("keys that mean nothing here", "keys", strings.Join(cfg.Unknown, ", "))
	}
	store, first, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer store.Close()
	if first != nil && p.demo == nil {
		// At once: it would be lost with a start that fails further down.
		fmt.Fprintf(p.stdout, "First start: user %s, password %s (shown this once)\n",
			first.AdminName, first.AdminPassword)
	}
	if cfg.InitDataFile != "" {
		if err := store.ApplyInitData(ctx, cfg.InitDataFile, cfg.InitDataNewOnly); err != nil {
			return err
		}
	}
	service, err := newService(store, cfg, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(cfg.HTTPAddr, strconv.Itoa(cfg.HTTPPort)))
	if err != nil {
		return err
	}
	deps := controllers.Deps{
		Service: service.Service, Authority: service, Origin: cfg.Origin, TrustedProxies: cfg.TrustedProxies, Version: version, Logger: log,
	}
	if p.demo != nil {
		deps.Demo = &controllers.Demo{ClientID: demo.ClientID, AppID: demo.AppID, NewCode: p.demo.NewCode}
		p.demo.Banner(p.stdout, "http://"+listener.Addr().String(), first.AdminPassword)
	}
	log.Info("listening", "address", listener.Addr().String(), "version", version)
	return controllers.Serve(ctx, listener, controllers.New(deps), log)
}

func open(ctx context.Context, cfg *conf.Config, log *slog.Logger) (*object.Store, *object.FirstStart, error) {
	return object.Open(ctx, object.StoreConfig{
		DriverName: cfg.DriverName, DataSourceName: cfg.DataSourceName.Reveal(), DBName: cfg.DBName,
		TableNamePrefix: cfg.TableNamePrefix, Logger: log,
	})
}

func newService(store *object.Store, cfg *conf.Config, log *slog.Logger) (*object.Authority, error) {
	keys, err := cfg.SealKeyRing()
	if err != nil {
		return nil, err
	}
	sealer, err := object.NewSealer(keys)
	if err != nil {
		return nil, err
	}
	registry, err := provider.NewRegistry(
		idp.WeChatPlatform(idp.Options{Endpoint: cfg.WeChatEndpoint, Logger: log}),
	)
	if err != nil {
		return nil, err
	}
	return object.NewAuthority(store, object.ServiceConfig{
		Registry: registry, Sealer: sealer, RefreshTokenJWT: cfg.RefreshTokenFormat == "jwt", Logger: log,
	})
}
