package blob

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	testAccess = "AKIDtestaccess"
	testSecret = "verysecretkey"
)

// fakeS3 keeps the objects of one bucket in memory. What answers instead, if anything, is set by fail.
type fakeS3 struct {
	mu      sync.Mutex
	objects map[string]http.Header // by host and path
	bodies  map[string]string
	calls   int
	fail    http.HandlerFunc
}

func (s *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fail != nil {
		s.fail(w, r)
		return
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+testAccess+"/") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	switch at := r.Host + r.URL.Path; r.Method {
	case http.MethodPut:
		s.objects[at], s.bodies[at] = r.Header.Clone(), string(body)
		w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
	case http.MethodDelete:
		delete(s.objects, at)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// seen returns what is stored by now, and how many calls there were.
func (s *fakeS3) seen() (objects map[string]http.Header, bodies map[string]string, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.objects), maps.Clone(s.bodies), s.calls
}

// newFake returns a fake and the configuration of a bucket in it, whose host names all lead to the fake.
func newFake(t *testing.T) (*fakeS3, BucketConfig) {
	t.Helper()
	fake := &fakeS3{objects: map[string]http.Header{}, bodies: map[string]string{}}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return fake, BucketConfig{
		Endpoint: "http://cos.example", Region: "ap-guangzhou", Bucket: "avatars-125", AccessKey: testAccess,
		SecretKey: testSecret, Transport: transport,
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pathStyle            bool
		public, host, prefix string
		url                  string
	}{
		"virtual host": {host: "avatars-125.cos.example", prefix: "/", url: "http://avatars-125.cos.example/"},
		"path": {
			pathStyle: true, host: "cos.example", prefix: "/avatars-125/", url: "http://cos.example/avatars-125/",
		},
		"own domain": {
			public: "https://cdn.example/x", host: "avatars-125.cos.example", prefix: "/", url: "https://cdn.example/x/",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cfg := newFake(t)
			cfg.PathStyle, cfg.PublicURL = c.pathStyle, c.public
			b, err := NewBucket(cfg)
			require.NoError(t, err)
			key := NewKey(640, ".jpg")
			require.NoError(t, b.Put(t.Context(), key, "image/jpeg", []byte("a picture")))
			at := c.host + c.prefix + key
			objects, bodies, _ := fake.seen()
			require.Contains(t, objects, at)
			assert.Equal(t, "image/jpeg", objects[at].Get("Content-Type"))
			assert.Equal(t, "public, max-age=31536000, immutable", objects[at].Get("Cache-Control"))
			assert.Contains(t, bodies[at], "a picture")
			assert.Equal(t, c.url, b.Public())

			require.NoError(t, b.Try(t.Context()))
			require.NoError(t, b.Delete(t.Context(), key))
			require.NoError(t, b.Delete(t.Context(), key))
			objects, _, calls := fake.seen()
			assert.Empty(t, objects)
			for _, bad := range badKeys() {
				assert.ErrorIs(t, b.Put(t.Context(), bad, "image/jpeg", nil), ErrKey)
				assert.ErrorIs(t, b.Delete(t.Context(), bad), ErrKey)
			}
			assert.ErrorContains(t, b.Put(t.Context(), key, "text/html", nil), "content type")
			_, _, after := fake.seen()
			assert.Equal(t, calls, after)
		})
	}
}

func TestBucketErrors(t *testing.T) {
	t.Parallel()
	answer := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s %s</Message><StringToSign>%s</StringToSign></Error>",
				code, testSecret, r.Header.Get("Authorization"), testSecret)
		}
	}
	for name, c := range map[string]struct {
		fail   http.HandlerFunc
		status int
		code   string
	}{
		"wrong credentials": {answer(403, "SignatureDoesNotMatch"), 403, "SignatureDoesNotMatch"},
		"no bucket":         {answer(404, "NoSuchBucket"), 404, "NoSuchBucket"},
		"a code of its own": {answer(400, "x-secret: "+testSecret), 400, "unknown code"},
		"broken":            {answer(500, "InternalError"), 500, "InternalError"},
		"html":              {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 400) }, 400, ""},
		"hang up":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cfg := newFake(t)
			fake.fail = c.fail
			b, err := NewBucket(cfg)
			require.NoError(t, err)
			key := NewKey(1, ".png")
			for _, err := range []error{b.Put(t.Context(), key, "image/png", []byte("x")), b.Delete(t.Context(), key)} {
				var failed *BucketError
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, c.status, failed.Status)
				if c.code != "" {
					assert.Equal(t, c.code, failed.Code)
				}
				assertNoSecrets(t, err)
			}
			_, _, calls := fake.seen()
			assert.LessOrEqual(t, calls, 8, "new tries are few")
		})
	}
}

func assertNoSecrets(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = unwrap(err) {
		for _, secret := range []string{testSecret, testAccess, "Signature=", "cos.example/", "X-Amz"} {
			assert.NotContains(t, fmt.Sprintf("%s %+v %#v", err, err, err), secret)
		}
	}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

func TestBucketTimeout(t *testing.T) {
	t.Parallel()
	_, cfg := newFake(t)
	cfg.Timeout = 50 * time.Millisecond
	cfg.Transport = silent{}
	b, err := NewBucket(cfg)
	require.NoError(t, err)
	err = b.Put(t.Context(), NewKey(1, ".png"), "image/png", []byte("x"))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assertNoSecrets(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = b.Delete(ctx, NewKey(1, ".png"))
	assert.ErrorIs(t, err, context.Canceled)
	assertNoSecrets(t, err)
}

// silent is a storage that does not answer.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestNewBucketErrors(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*BucketConfig){
		"no endpoint":   func(c *BucketConfig) { c.Endpoint = "" },
		"no scheme":     func(c *BucketConfig) { c.Endpoint = "cos.example" },
		"path":          func(c *BucketConfig) { c.Endpoint = "https://cos.example/avatars" },
		"query":         func(c *BucketConfig) { c.Endpoint = "https://cos.example?sign=" + testSecret },
		"user":          func(c *BucketConfig) { c.Endpoint = "https://u:" + testSecret + "@cos.example" },
		"no bucket":     func(c *BucketConfig) { c.Bucket = "" },
		"no access key": func(c *BucketConfig) { c.AccessKey = "" },
		"no secret key": func(c *BucketConfig) { c.SecretKey = "" },
		"public URL":    func(c *BucketConfig) { c.PublicURL = "cdn.example" },
	} {
		_, cfg := newFake(t)
		change(&cfg)
		_, err := NewBucket(cfg)
		require.ErrorContains(t, err, "bucket:", name)
		assert.NotContains(t, err.Error(), testSecret, name)
	}
	_, cfg := newFake(t)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), testSecret)
}
