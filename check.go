package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/redis/go-redis/v9"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/provider"
)

// What is tried is given up after a while. There may be thousands of applications and providers, and WeChat, which is
// asked about each provider, may be slow.
const (
	checkTimeout             = 10 * time.Second
	checkApplicationsTimeout = time.Minute
	checkProvidersTimeout    = time.Hour
)

// check tries all settings and writes a line about each; what does not work is an error, and so is what an admin has to
// decide. It changes nothing, and opens the store itself.
func check(ctx context.Context, c workplace) error {
	r := newReport(c.w, c.cfg)
	r.redis(ctx, c.cfg)
	r.avatars(ctx, c.cfg)
	if c.cfg.Remote() {
		return checkRemote(ctx, c, r)
	}
	sealer := r.sealKey(ctx, c.cfg)
	r.initData(ctx, c.cfg)
	r.run(ctx, "database", func(context.Context) ([]object.Finding, error) {
		return object.DiagnoseFiles(storeConfig(c.cfg, c.log))
	})
	r.run(ctx, "database", func(ctx context.Context) (_ []object.Finding, err error) {
		c.store, err = object.OpenAsItIs(ctx, storeConfig(c.cfg, c.log))
		if missing, ok := errors.AsType[object.NotMadeError](err); ok {
			return []object.Finding{{Severity: object.Fine, Text: "database: " + missing.Error()}}, nil
		}
		return nil, err
	})
	if c.store == nil {
		return r.err()
	}
	defer c.store.Close()
	if c.store.Beside() && !c.cfg.Gateway() {
		r.add(object.Finding{Severity: object.Warning, Text: "casdoorUpstream: " + noUpstream})
	}
	for _, f := range slices.Concat(c.store.DiagnoseSchema(), c.store.DiagnoseWaiting(c.cfg.DataSourceName.Reveal())) {
		r.add(f)
	}
	r.run(ctx, "database", c.store.DiagnoseWriting)
	r.run(ctx, "texts", c.store.DiagnoseTexts)
	r.sealed(ctx, c.store, sealer)
	r.uploaded(ctx, c)
	r.runFor(ctx, checkApplicationsTimeout, "applications", c.store.DiagnoseApplications)
	r.runFor(ctx, checkProvidersTimeout, "providers", func(ctx context.Context) ([]object.Finding, error) {
		return c.store.DiagnoseProviders(ctx, r.registry(c))
	})
	r.run(ctx, "certs", func(ctx context.Context) ([]object.Finding, error) {
		return c.store.DiagnoseCerts(ctx, time.Now())
	})
	r.run(ctx, "clock", func(ctx context.Context) ([]object.Finding, error) {
		return c.store.DiagnoseClock(ctx, time.Now())
	})
	if c.cfg.CasdoorUpstream != "" {
		r.run(ctx, "casdoorUpstream", func(ctx context.Context) ([]object.Finding, error) {
			served, err := servedKeys(ctx, c.cfg.CasdoorUpstream)
			if err != nil {
				return nil, err
			}
			return c.store.DiagnoseUpstream(ctx, served)
		})
	}
	r.wechatClock()
	return errors.Join(checkAdoption(ctx, c), r.err())
}

// servedKeys asks a Casdoor for its public keys, as directly as the gateway does: by no proxy, and following no
// redirect.
func servedKeys(ctx context.Context, base string) ([]jose.JSONWebKey, error) {
	const path = "/.well-known/jwks"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	reply, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Body.Close() }()
	if to := reply.Header.Get("Location"); reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s %s", path, reply.Status, to)
	}
	var set struct {
		jose.JSONWebKeySet
		Msg string `json:"msg"` // of Casdoor's errors
	}
	if err := json.NewDecoder(reply.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("%s has no keys: %s", path, set.Msg)
	}
	return set.Keys, nil
}

// checkRemote is the rest of check where the users are behind a Casdoor's API.
func checkRemote(ctx context.Context, c workplace, r *report) error {
	var service *object.Service
	r.run(ctx, "Casdoor", func(ctx context.Context) (_ []object.Finding, err error) {
		service, err = object.NewRemoteService(ctx, remoteConfig(c.cfg),
			object.ServiceConfig{Registry: r.registry(c), Logger: c.log})
		if err == nil {
			err = service.Ping(ctx)
		}
		if err != nil {
			service = nil
			return nil, err
		}
		return []object.Finding{{Severity: object.Fine, Text: "Casdoor: " + c.cfg.CasdoorEndpoint + " answers"}}, nil
	})
	if service != nil {
		r.runFor(ctx, checkProvidersTimeout, "providers", func(ctx context.Context) ([]object.Finding, error) {
			return service.DiagnoseProviders(ctx, c.cfg.CasdoorClientID)
		})
	}
	r.wechatClock()
	return r.err()
}

// report writes findings and counts the problems among them.
type report struct {
	w        io.Writer
	wechat   dates
	problems int
}

func newReport(w io.Writer, cfg *conf.Config) *report {
	r := &report{w: w}
	if len(cfg.Unknown) > 0 {
		r.add(object.Finding{Severity: object.Warning,
			Text: "configuration: keys that mean nothing here: " + strings.Join(cfg.Unknown, ", ")})
	} else {
		r.add(object.Finding{Severity: object.Fine, Text: "configuration"})
	}
	return r
}

func (r *report) add(f object.Finding) {
	if f.Severity == object.Problem {
		r.problems++
	}
	fmt.Fprintln(r.w, f)
}

// run writes what look has found. That it could not look is a problem.
func (r *report) run(ctx context.Context, what string, look func(context.Context) ([]object.Finding, error)) {
	r.runFor(ctx, checkTimeout, what, look)
}

func (r *report) runFor(
	ctx context.Context, timeout time.Duration, what string, look func(context.Context) ([]object.Finding, error),
) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all, err := look(ctx)
	if err != nil {
		all = append(all, object.Finding{Severity: object.Problem, Text: what + ": " + err.Error()})
	}
	for _, f := range all {
		r.add(f)
	}
}

func (r *report) err() error {
	if r.problems == 0 {
		return nil
	}
	return fmt.Errorf("problems: %d", r.problems)
}

func (r *report) redis(ctx context.Context, cfg *conf.Config) {
	if cfg.RedisEndpoint == "" {
		return
	}
	r.run(ctx, "Redis", func(ctx context.Context) ([]object.Finding, error) {
		o, err := idp.RedisOptions(cfg.RedisEndpoint)
		if err != nil {
			return nil, err
		}
		client := redis.NewClient(o)
		defer func() { _ = client.Close() }()
		if err := client.Ping(ctx).Err(); err != nil {
			return nil, err
		}
		return []object.Finding{{Severity: object.Fine, Text: "Redis: it answers"}}, nil
	})
}

// avatars tries where they are kept.
func (r *report) avatars(ctx context.Context, cfg *conf.Config) {
	r.run(ctx, "avatars", func(ctx context.Context) ([]object.Finding, error) {
		text := "avatars: files can be written to " + cfg.AvatarDir
		var err error
		if cfg.S3Endpoint != "" {
			text = "avatars: the storage takes the keys of the bucket"
			err = tryBucket(ctx, cfg)
		} else if err = blob.TryFolder(cfg.AvatarDir); errors.Is(err, fs.ErrNotExist) {
			text = "avatars: " + cfg.AvatarDir + " is made at the first start"
			_, err = os.Stat(filepath.Dir(cfg.AvatarDir))
		}
		if err != nil {
			return nil, err
		}
		return []object.Finding{{Severity: object.Fine, Text: text}}, nil
	})
}

func tryBucket(ctx context.Context, cfg *conf.Config) error {
	bucket, err := newBucket(cfg)
	if err != nil {
		return err
	}
	return bucket.Try(ctx)
}

// initData looks whether a start can read the file of init data.
func (r *report) initData(ctx context.Context, cfg *conf.Config) {
	if cfg.InitDataFile == "" {
		return
	}
	r.run(ctx, "initDataFile", func(context.Context) ([]object.Finding, error) {
		return object.DiagnoseInitData(cfg.InitDataFile, cfg.Gateway())
	})
}

// sealKey reads the seal key, and makes none. The returned sealer has no key where it is still to be made, and is nil
// where it cannot be read.
func (r *report) sealKey(ctx context.Context, cfg *conf.Config) (sealer *object.Sealer) {
	r.run(ctx, "seal key", func(context.Context) ([]object.Finding, error) {
		text := "seal key"
		keys, err := cfg.ReadSealKeys()
		switch {
		case err == nil:
			sealer, err = object.NewSealer(keys)
		case errors.Is(err, fs.ErrNotExist):
			sealer = new(object.Sealer)
			text += ": " + cfg.SealKeyFile + " is made at the first start"
			_, err = os.Stat(filepath.Dir(cfg.SealKeyFile))
		}
		if err != nil {
			return nil, err
		}
		return []object.Finding{{Severity: object.Fine, Text: text}}, nil
	})
	return sealer
}

// sealed looks whether the sealer opens what is sealed in the database.
func (r *report) sealed(ctx context.Context, store *object.Store, sealer *object.Sealer) {
	if sealer == nil || store.Bare() {
		return
	}
	r.run(ctx, "seal key", func(ctx context.Context) ([]object.Finding, error) {
		lacks, err := store.LacksKey(ctx, sealer)
		if !lacks {
			return nil, err
		}
		return []object.Finding{{Severity: object.Warning, Text: "seal key: " + lacksKey}}, nil
	})
}

// uploaded looks whether the folder of avatars has those of the database.
func (r *report) uploaded(ctx context.Context, c workplace) {
	if c.cfg.S3Endpoint != "" || c.store.Bare() {
		return
	}
	r.run(ctx, "avatars", func(ctx context.Context) ([]object.Finding, error) {
		lacks, err := c.store.LacksAvatar(ctx, c.cfg.AvatarDir)
		if !lacks {
			return nil, err
		}
		dir, err := filepath.Abs(c.cfg.AvatarDir)
		return []object.Finding{{Severity: object.Warning, Text: "avatars: " + lacksAvatars + ": " + dir}}, err
	})
}

// registry is newRegistry that hears what WeChat's clock says.
func (r *report) registry(c workplace) *provider.Registry {
	return newRegistry(idp.Options{
		Endpoint: c.cfg.WeChatEndpoint, Logger: c.log, HTTPClient: &http.Client{Transport: &r.wechat},
	})
}

func (r *report) wechatClock() {
	if theirs, ours, known := r.wechat.last(); known {
		r.add(object.CompareClocks(ours, theirs, "WeChat's"))
	}
}

// dates is an http.RoundTripper that remembers the last Date of an answer, and when it came.
type dates struct {
	mu           sync.Mutex
	theirs, ours time.Time
}

// RoundTrip implements http.RoundTripper.
func (d *dates) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(reply.Header.Get("Date")); err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.theirs, d.ours = date, time.Now()
	}
	return reply, nil
}

func (d *dates) last() (theirs, ours time.Time, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.theirs, d.ours, !d.theirs.IsZero()
}
