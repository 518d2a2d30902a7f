package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/object"
)

// limitConnections is how many connections to Redis the limits may use.
const limitConnections = 32

// setLimits sets the limits of cfg. release must be called when nobody asks them any more.
func setLimits(deps *controllers.Deps, cfg *conf.Config, store *object.Store) (release func(), err error) {
	limits := controllers.LimitsConfig{
		PerIP: cfg.LimitPerIP, PerApplication: cfg.LimitPerApplication, PerOpenID: cfg.LimitPerOpenID,
		FailedPerIP: cfg.LimitFailedPerIP, FailedShare: cfg.LimitFailedShare,
		MaxSignIns: cfg.MaxSignIns, MaxWaiting: cfg.MaxWaiting, MaxUploads: cfg.MaxUploads,
		MaxPassedOn: controllers.MaxPassedOn(),
		Metrics:     deps.Metrics, Logger: deps.Logger,
	}
	if store != nil {
		limits.Backlog = store.Writing
	}
	release = func() {}
	if cfg.RedisEndpoint != "" {
		o, err := idp.RedisOptions(cfg.RedisEndpoint)
		if err != nil {
			return nil, err
		}
		o.PoolSize = limitConnections
		limits.Redis = redis.NewClient(o)
		release = func() { _ = limits.Redis.Close() }
	}
	deps.Limits = controllers.NewLimits(limits)
	return release, nil
}

// sweep begins to sweep, if cfg says so. end must be called before the store is closed.
func sweep(ctx context.Context, store *object.Store, cfg *conf.Config, deps *controllers.Deps) (end func()) {
	if store == nil || cfg.SweepMinutes == 0 {
		return func() {}
	}
	sweeper := object.NewSweeper(store, object.SweeperConfig{
		Every: time.Duration(cfg.SweepMinutes) * time.Minute, Swept: deps.Metrics.Swept, Logger: deps.Logger,
	})
	return inBackground(ctx, sweeper.Run)
}

// inBackground runs f until end is called, which waits for it.
func inBackground(ctx context.Context, f func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// watch begins to keep a log of sign-ins, if cfg says so. end must be called when there are no more, and before the
// store is closed; unlike other work it goes on when ctx has ended.
func watch(ctx context.Context, store *object.Store, cfg *conf.Config, deps *controllers.Deps) (end func()) {
	if store == nil || !cfg.SignInLog {
		return func() {}
	}
	deps.Watch = object.NewWatch(store, object.WatchConfig{Lost: deps.Metrics.LogLost, Logger: deps.Logger})
	return inBackground(context.WithoutCancel(ctx), deps.Watch.Run)
}

// profile serves Go's profiles at address until ctx ends; an empty address is none.
func profile(ctx context.Context, address string, log *slog.Logger) error {
	if address == "" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("pprofAddr: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }() // ends with Close
	log.Info("profiles", "address", listener.Addr().String())
	return nil
}
