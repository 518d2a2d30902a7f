package blob

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/minidoor/minidoor/provider"
)

// BucketConfig names a bucket of an S3-compatible storage: AWS, Tencent COS, MinIO.
type BucketConfig struct {
	Endpoint  string // such as https://cos.ap-guangzhou.myqcloud.com or http://minio:9000; no path
	Region    string // empty: us-east-1, which is MinIO's
	Bucket    string // its name; COS: with the APPID
	AccessKey string
	SecretKey provider.Secret
	// PathStyle puts the bucket into the path (MinIO) and not into the host name (COS, AWS).
	PathStyle bool
	// PublicURL is where the bucket's objects are public: its own domain or a CDN. Empty: the bucket at the endpoint.
	PublicURL string
	Timeout   time.Duration     // of a Put or Delete, new tries included; 0: 15 s
	Transport http.RoundTripper // nil: the library's own
}

// Bucket keeps files as objects of a bucket, which must let anybody read them. It is safe for concurrent use.
type Bucket struct {
	publicURL
	client  *minio.Client
	name    string
	timeout time.Duration
}

// NewBucket returns the bucket; it does not call the storage.
func NewBucket(cfg BucketConfig) (*Bucket, error) {
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" ||
		endpoint.User != nil || endpoint.RawQuery != "" || endpoint.Path != "" && endpoint.Path != "/" {
		return nil, errors.New("bucket: endpoint: want http(s)://host[:port]") // its query may be a secret
	}
	if cfg.Bucket == "" || cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, errors.New("bucket: its name, access key and secret key are all needed")
	}
	cfg.Region = cmp.Or(cfg.Region, "us-east-1") // else the library asks for it
	cfg.Timeout = cmp.Or(cfg.Timeout, 15*time.Second)
	base, err := newPublicURL(cfg.public(endpoint))
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	lookup := minio.BucketLookupDNS
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey.Reveal(), ""),
		Secure: endpoint.Scheme == "https", Transport: cfg.Transport, Region: cfg.Region, BucketLookup: lookup,
		MaxRetries: 3,
	})
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	return &Bucket{base, client, cfg.Bucket, cfg.Timeout}, nil
}

func (c *BucketConfig) public(endpoint *url.URL) string {
	switch {
	case c.PublicURL != "":
		return c.PublicURL
	case c.PathStyle:
		return endpoint.Scheme + "://" + endpoint.Host + "/" + c.Bucket
	default:
		return endpoint.Scheme + "://" + c.Bucket + "." + endpoint.Host
	}
}

// Put stores a file, whole or not at all. Its error is a *BucketError or ErrKey.
func (b *Bucket) Put(ctx context.Context, key, contentType string, data []byte) error {
	if _, err := check(key, contentType); err != nil {
		return fmt.Errorf("store file: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	_, err := b.client.PutObject(ctx, b.name, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{
		ContentType: contentType, CacheControl: CacheControl, DisableMultipart: true,
	})
	return bucketError("put object", err)
}

// Delete removes a file. A file that is not there is removed already. Its error is a *BucketError or ErrKey.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if _, ok := parse(key); !ok {
		return fmt.Errorf("remove file: %w", ErrKey)
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	err := b.client.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{})
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil
	}
	return bucketError("delete object", err)
}

// Try finds out whether the storage takes the keys, by deleting what is not there. Its error is a *BucketError.
func (b *Bucket) Try(ctx context.Context) error { return b.Delete(ctx, NewKey(1, ".png")) }

// BucketError is a failed call to the storage. It holds no URL, header or key, and may be logged as it is.
type BucketError struct {
	Op     string // "put object" or "delete object"
	Status int    // of HTTP; 0 when there was no answer
	Code   string // the storage's own, such as SignatureDoesNotMatch; "" when there was no answer
	Err    error  // why there was no answer; else nil
}

// Error describes the failure in one line.
func (e *BucketError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s", e.Op, e.Err)
	}
	return fmt.Sprintf("%s: HTTP %d, %s", e.Op, e.Status, e.Code)
}

// Unwrap returns the cause.
func (e *BucketError) Unwrap() error { return e.Err }

// bucketError keeps of the library's error what is no secret: its messages repeat what the storage says, and that may
// be the request.
func bucketError(op string, err error) error {
	if err == nil {
		return nil
	}
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok && answer.StatusCode != 0 {
		return &BucketError{Op: op, Status: answer.StatusCode, Code: plainCode(answer.Code)}
	}
	for _, known := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return &BucketError{Op: op, Err: known}
		}
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok {
		return &BucketError{Op: op, Err: dial} // of an address and a port
	}
	return &BucketError{Op: op, Err: errNoAnswer}
}

var errNoAnswer = errors.New("the storage hung up, or its answer made no sense")

// plainCode returns the code if it looks like one of S3's.
func plainCode(code string) string {
	for _, c := range code {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "unknown code"
		}
	}
	return code[:min(len(code), 64)]
}
