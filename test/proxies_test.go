package test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/process"
)

// TestProxies runs the examples of sites in the real nginx and Caddy: with sockets and files of the test's own, and
// with a stand-in for minidoor.
func TestProxies(t *testing.T) {
	t.Parallel()
	for program, start := range map[string]func(t *testing.T, s *site){"nginx": startNginx, "caddy": startCaddy} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			needProgram(t, program)
			s := newSite(t)
			start(t, s)
			s.waitFor(t)
			s.checkTLS(t)
			s.checkPassedOn(t)
			s.checkPlain(t)
			s.checkSizes(t)
			s.checkAway(t)
			s.checkLogs(t)
		})
	}
}

// site is a proxy that runs before a stand-in for minidoor that shows what it got.
type site struct {
	folder      string
	http, https string // where it listens: addresses, or paths of Unix sockets
	cert, key   string // files
	log         string // the access log's file
	upstream    *httptest.Server
	process     *process.Process
}

// seen is what the stand-in got of a request.
type seen struct {
	Path, Query string
	Header      http.Header
	Size        int64
}

func newSite(t *testing.T) *site {
	t.Helper()
	folder, err := os.MkdirTemp("", "site") // that of t.TempDir is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	s := &site{folder: folder, cert: folder + "/cert.pem", key: folder + "/key.pem", log: folder + "/access.log"}
	s.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := io.Copy(io.Discard, r.Body)
		r.Header.Set("Host", r.Host)
		_ = json.NewEncoder(w).Encode(seen{r.URL.Path, r.URL.RawQuery, r.Header, size})
	}))
	t.Cleanup(s.upstream.Close)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"id.example.com"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	writePEM(t, s.cert, "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	writePEM(t, s.key, "PRIVATE KEY", der)
	return s
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func startNginx(t *testing.T, s *site) {
	t.Helper()
	s.http, s.https = s.folder+"/http", s.folder+"/https"
	text := strings.NewReplacer(
		"listen 80;", "listen unix:"+s.http+";", "listen [::]:80;", "",
		"listen 443 ssl http2;", "listen unix:"+s.https+" ssl http2;", "listen [::]:443 ssl http2;", "",
		"/etc/letsencrypt/live/id.example.com/fullchain.pem", s.cert,
		"/etc/letsencrypt/live/id.example.com/privkey.pem", s.key,
		"/var/log/nginx/minidoor.access.log", s.log, "/var/log/nginx/minidoor.error.log", s.folder+"/error.log",
		"127.0.0.1:8000", s.upstream.Listener.Addr().String(),
	).Replace(readDeploy(t, "nginx.conf"))
	text = "daemon off; master_process off; pid nginx.pid; error_log error.log; events {}\nhttp {\n" + text
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += kind + "_temp_path " + kind + ";\n"
	}
	s.start(t, text+"}\n", "nginx", "-p", s.folder, "-c", "site.conf", "-e", "error.log")
}

func startCaddy(t *testing.T, s *site) {
	t.Helper()
	// On a Unix socket Caddy would not know a client.
	s.https, s.http = freeAddress(t), freeAddress(t)
	_, httpsPort, _ := net.SplitHostPort(s.https)
	_, httpPort, _ := net.SplitHostPort(s.http)
	text := strings.NewReplacer(
		"{\n\tservers {", "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port "+httpPort+"\n\thttps_port "+httpsPort+
			"\n\tservers {",
		"tls {", "tls "+s.cert+" "+s.key+" {",
		"/var/log/caddy/minidoor.log", s.log,
		"127.0.0.1:8000", s.upstream.Listener.Addr().String(),
	).Replace(readDeploy(t, "Caddyfile"))
	s.start(t, text, "caddy", "run", "--adapter", "caddyfile", "--config", "site.conf")
}

// start runs the program, in the site's folder, on a configuration.
func (s *site) start(t *testing.T, text string, program string, args ...string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(s.folder, "site.conf"), []byte(text), 0o600))
	p, err := process.Start(t.Context(), process.Config{
		Binary: program, Args: args, Dir: s.folder, Env: map[string]string{"HOME": s.folder, "XDG_DATA_HOME": s.folder},
	})
	require.NoError(t, err)
	s.process = p
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Log(p.Output())
		}
	})
}

// freeAddress returns a loopback address that nobody listens on, or is about to: its port is none of those that systems
// give to listeners and connections which want any.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+mathrand.IntN(20_000)))
		if err == nil {
			defer listener.Close()
			return listener.Addr().String()
		}
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	}
}

func (s *site) dial(address string) (net.Conn, error) {
	if strings.HasPrefix(address, "/") {
		return net.Dial("unix", address)
	}
	return net.Dial("tcp", address)
}

func (s *site) waitFor(t *testing.T) {
	t.Helper()
	for _, address := range []string{s.http, s.https} {
		require.Eventually(t, func() bool {
			conn, err := s.dial(address)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		}, time.Minute, 10*time.Millisecond)
	}
}

// client returns one that speaks TLS of a version at most, and follows no redirects.
func (s *site) client(version uint16) *http.Client {
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(s.cert); err == nil {
		pool.AppendCertsFromPEM(text)
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: version},
			DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
				return s.dial(map[string]string{"id.example.com:80": s.http, "id.example.com:443": s.https}[address])
			},
		},
	}
}

// send sends a request of so many bytes, as a client does that makes itself interesting.
func (s *site) send(t *testing.T, url string, size int) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(make([]byte, size)))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer topsecret")
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	r.Header.Set("X-Forwarded-Host", "evil.example.com")
	r.Header.Set("X-Forwarded-Proto", "http")
	r.Header.Set("Forwarded", "for=198.51.100.1")
	reply, err := s.client(tls.VersionTLS13).Do(r)
	require.NoError(t, err)
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return reply, string(text)
}

func (s *site) checkTLS(t *testing.T) {
	t.Helper()
	for version, works := range map[uint16]bool{
		tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		reply, err := s.client(version).Get("https://id.example.com/api/health")
		if assert.Equal(t, works, err == nil, "%s: %v", tls.VersionName(version), err) && works {
			_ = reply.Body.Close()
			assert.Equal(t, version, reply.TLS.Version)
			assert.NotEmpty(t, reply.Header.Get("Strict-Transport-Security"))
		}
	}
}

func (s *site) checkPassedOn(t *testing.T) {
	t.Helper()
	reply, text := s.send(t, "https://id.example.com/api/get-account?clientSecret=topsecret", 100)
	assert.Equal(t, http.StatusOK, reply.StatusCode)
	var got seen
	require.NoError(t, json.Unmarshal([]byte(text), &got), text)
	assert.Equal(t, "/api/get-account", got.Path)
	assert.Equal(t, "clientSecret=topsecret", got.Query)
	assert.EqualValues(t, 100, got.Size)
	assert.Equal(t, "Bearer topsecret", got.Header.Get("Authorization"))
	assert.Equal(t, "id.example.com", got.Header.Get("Host"))
	assert.Equal(t, "https", got.Header.Get("X-Forwarded-Proto"))
	assert.Equal(t, "id.example.com", got.Header.Get("X-Forwarded-Host"))
	assert.NotEmpty(t, got.Header.Get("X-Request-Id"))
	assert.Len(t, got.Header.Values("X-Forwarded-For"), 1)
	assert.NotContains(t, got.Header.Get("X-Forwarded-For"), "198.51.100.1", "clients say who they are")
	assert.Empty(t, got.Header.Get("Forwarded"))
}

// checkPlain looks that HTTP leads nowhere on API paths, and elsewhere to HTTPS.
func (s *site) checkPlain(t *testing.T) {
	t.Helper()
	reply, _ := s.send(t, "http://id.example.com/api/login/oauth/access_token?client_secret=topsecret", 0)
	assert.Equal(t, http.StatusNotFound, reply.StatusCode)
	reply, _ = s.send(t, "http://id.example.com/login?a=b", 0)
	assert.Equal(t, http.StatusMovedPermanently, reply.StatusCode)
	assert.Equal(t, "https://id.example.com/login?a=b", reply.Header.Get("Location"))
}

func (s *site) checkSizes(t *testing.T) {
	t.Helper()
	reply, _ := s.send(t, "https://id.example.com/api/mini-program/profile", 10<<20+10_000)
	assert.Equal(t, http.StatusOK, reply.StatusCode, "a file of 10 MB in a form")
	reply, text := s.send(t, "https://id.example.com/api/mini-program/profile", 11<<20+100)
	assert.Equal(t, http.StatusRequestEntityTooLarge, reply.StatusCode)
	assert.Contains(t, text, `"error":"invalid_request"`)
}

// checkAway looks what clients hear while minidoor is away.
func (s *site) checkAway(t *testing.T) {
	t.Helper()
	s.upstream.Close()
	reply, text := s.send(t, "https://id.example.com/api/get-account?clientSecret=topsecret", 0)
	assert.Equal(t, http.StatusServiceUnavailable, reply.StatusCode)
	assert.Equal(t, "5", reply.Header.Get("Retry-After"))
	assert.Equal(t, "application/json", reply.Header.Get("Content-Type"))
	var answer map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
	assert.Equal(t, "error", answer["status"])
	assert.Equal(t, "temporarily_unavailable", answer["error"])
}

func (s *site) checkLogs(t *testing.T) {
	t.Helper()
	log, err := os.ReadFile(s.log)
	require.NoError(t, err)
	assert.Contains(t, string(log), "/api/get-account")
	errors, err := os.ReadFile(s.folder + "/error.log")
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	assert.NotContains(t, string(log)+string(errors)+s.process.Output(), "topsecret", "a query or a credential is logged")
}
