package harness

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/testclock"
)

// NewClock returns a clock that shows the present, in whole seconds as stored times are.
func NewClock() *testclock.Clock { return testclock.At(time.Now().Truncate(time.Second)) }

// What a server is started with.
const (
	Organization = "shop"
	Application  = "app-shop"
	Provider     = "wxmp"
	ClientID     = "shopclient0000000000"
	ClientSecret = "shopsecret000000000000000000000000000000"
	AppID        = "wx1234567890abcdef"
	AppSecret    = "appsecret+/=&?%-0123456789abcdef" // with what changes in a URL
	AdminName    = "boss"
	Version      = "v0-harness"
	MetricsToken = "metrics-token-0123456789"
)

// Row is a row of Casdoor's init data file, and Rows such a file: "applications" → its rows.
type (
	Row  = map[string]any
	Rows = map[string][]Row
)

// Options adapt a server. The zero Options are those of a first start with one mini program.
type Options struct {
	Store        object.StoreConfig      // the zero StoreConfig: SQLite in a temporary folder
	Organization Row                     // settings that differ
	Application  Row                     // as above
	Provider     Row                     // as above
	Push         fakewechat.PushSettings // of the mini program; the zero PushSettings: it has none
	Rows         Rows                    // more rows

	Now             func() time.Time // the clock of the server and of the fake WeChat; nil: time.Now
	RefreshTokenJWT bool
	UpstreamTimeout time.Duration                   // of a call to WeChat; 0: as in production
	WeChat          func(*idp.Options)              // changes how WeChat is reached; may be nil
	Limits          controllers.LimitsConfig        // the zero LimitsConfig: none
	Files           func(object.Files) object.Files // what takes the place of the folder of avatars; nil: itself
	FilesByRequest  bool                            // avatars are where a request names the server, as without an origin
	Deps            func(*controllers.Deps)         // changes them; may be nil
	Wrap            func(http.Handler) http.Handler // sees all requests and replies; may be nil
}

// Server is a running server. It ends with its test.
type Server struct {
	URL         string
	Handler     http.Handler // the same, without a socket
	Fake        *fakewechat.Server
	Store       *object.Store
	Service     *object.Authority
	Watch       *object.Watch // writes when the test has it do so
	Log         *Log
	Folder      string             // of avatars
	SealKey     string             // in base64
	FirstStart  *object.FirstStart // nil where the store was not empty
	Certificate string             // of the tokens, in PEM form

	store   object.StoreConfig
	address string // of the client, as a proxy would name it; empty: its own
}

// Start starts a server.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{Log: &Log{}, store: o.Store}
	log := controllers.NewLogger(s.Log, slog.LevelDebug, "json")
	if s.store.DriverName == "" {
		s.store.DriverName, s.store.DataSourceName = "sqlite", "file:"+filepath.Join(t.TempDir(), "harness.db")
	}
	s.store.Logger = log
	metrics := controllers.NewMetrics(prometheus.NewRegistry(), Version)
	s.store.Observer = metrics
	var err error
	s.Store, s.FirstStart, err = object.Open(t.Context(), s.store)
	require.NoError(t, err)
	t.Cleanup(s.Store.Close)
	s.Apply(t, o.rows())

	s.Fake = fakewechat.New(fakewechat.Options{
		AppID: AppID, AppSecret: AppSecret, Now: o.Now, CodesPerMinute: -1, KeepSecrets: true,
	})
	wechat := Serve(t, s.Fake)
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	s.URL = "http://" + server.Listener.Addr().String()
	files := s.openFiles(t)
	s.Service = s.newService(t, o, object.ServiceConfig{Files: files, Logger: log}, wechat, metrics)
	s.keepHouse(t)

	deps := controllers.Deps{
		Service: s.Service.Service, Authority: s.Service, Console: s.Service, Files: files, Version: Version, Logger: log,
		Metrics: metrics, MetricsToken: MetricsToken, Limits: s.limits(o, log, metrics),
	}
	metrics.WatchStore(s.Store)
	s.Watch = object.NewWatch(s.Store, object.WatchConfig{Lost: metrics.LogLost, Logger: log})
	deps.Watch = s.Watch
	if o.Deps != nil {
		o.Deps(&deps)
	}
	s.Handler = controllers.New(deps)
	if o.Wrap != nil {
		s.Handler = o.Wrap(s.Handler)
	}
	server.Config.Handler = s.Handler
	server.Start()
	return s
}

// Serve serves a fake WeChat or Casdoor until the test ends, and returns its URL.
func Serve(t testing.TB, fake interface {
	http.Handler
	Close()
}) (url string) {
	t.Helper()
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	t.Cleanup(fake.Close) // first: Close of httptest waits for what hangs
	return server.URL
}

// keepHouse does so until the test ends.
func (s *Server) keepHouse(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var house sync.WaitGroup
	house.Go(func() { s.Service.KeepHouse(ctx) })
	t.Cleanup(func() {
		cancel()
		house.Wait()
	})
}

func (s *Server) openFiles(t testing.TB) *blob.Folder {
	t.Helper()
	s.Folder = filepath.Join(t.TempDir(), "avatars")
	files, err := blob.NewFolder(s.Folder, "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = files.Close() })
	return files
}

func (s *Server) newService(
	t testing.TB, o Options, cfg object.ServiceConfig, wechat string, observer idp.Observer,
) *object.Authority {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s.SealKey = base64.StdEncoding.EncodeToString(key)
	var err error
	cfg.Sealer, err = object.NewSealer([][]byte{key})
	require.NoError(t, err)
	upstream := idp.Options{
		Endpoint: wechat, Now: o.Now, Logger: cfg.Logger, Timeout: o.UpstreamTimeout, Observer: observer,
	}
	if o.WeChat != nil {
		o.WeChat(&upstream)
	}
	cfg.Registry, err = provider.NewRegistry(idp.WeChatPlatform(upstream))
	require.NoError(t, err)
	cfg.RefreshTokenJWT, cfg.Now = o.RefreshTokenJWT, o.Now
	if o.Files != nil {
		cfg.Files = o.Files(cfg.Files)
	}
	if !o.FilesByRequest {
		cfg.FilesURL = s.URL + "/avatars/"
	}
	service, err := object.NewAuthority(s.Store, cfg)
	require.NoError(t, err)
	keys, err := service.Keys(t.Context())
	require.NoError(t, err)
	for _, key := range keys.Keys {
		if key.KeyID == o.application()["cert"] {
			block := &pem.Block{Type: "CERTIFICATE", Bytes: key.Certificates[0].Raw}
			s.Certificate = string(pem.EncodeToMemory(block))
		}
	}
	return service
}

func (s *Server) limits(o Options, log *slog.Logger, metrics *controllers.Metrics) *controllers.Limits {
	cfg := o.Limits
	cfg.Metrics, cfg.Logger = metrics, log
	if cfg.Now == nil {
		cfg.Now = o.Now
	}
	if cfg.Backlog == nil {
		cfg.Backlog = s.Store.Writing
	}
	return controllers.NewLimits(cfg)
}

// Apply brings rows into the store, as an init data file does. A running server sees those of users at once, and the
// others within seconds of its clock.
func (s *Server) Apply(t testing.TB, rows Rows) {
	t.Helper()
	text, err := json.Marshal(rows)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "init_data.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	require.NoError(t, s.Store.ApplyInitData(t.Context(), file, false))
}

// SDK returns Casdoor's client for the server.
func (s *Server) SDK() *casdoorsdk.Client {
	return casdoorsdk.NewClient(s.URL, ClientID, ClientSecret, s.Certificate, Organization, Application)
}
