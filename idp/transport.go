package idp

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/go-resty/resty/v2"
)

// maxReply is far above any reply of WeChat's JSON API, and low enough to read a thousand at once.
const maxReply = 64 << 10

// newClient returns a client that sends each request at most once: no retries, no redirects, no replays.
func newClient(o Options) *resty.Client {
	hc := &http.Client{}
	if o.HTTPClient != nil {
		*hc = *o.HTTPClient
	}
	if hc.Transport == nil {
		hc.Transport = newTransport()
	}
	hc.Transport = onceTransport{hc.Transport}
	hc.Jar = nil
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	return resty.NewWithClient(hc).
		SetBaseURL(o.Endpoint).
		SetHeader("User-Agent", "minidoor").
		SetResponseBodyLimit(maxReply).
		SetJSONEscapeHTML(false). // a text to be checked goes out as it is
		SetLogger(silence{})      // resty's own lines may show a URL, which holds the AppSecret
}

func newTransport() *http.Transport {
	// HTTP/1.1 only: with HTTP/2 all calls share one connection and its fate, and net/http replays them by other rules.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		Protocols:           protocols,
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 2 * time.Second,
		// No limit of those in use: who waited for one while WeChat is slow would be sent with too little time left for
		// the answer, and so would everybody behind. Those who sign in are limited.
		MaxIdleConns:        1024,
		MaxIdleConnsPerHost: 512,
		ReadBufferSize:      2 << 10, // more than a request or a reply has
		WriteBufferSize:     1 << 10,
		// As much as of the body.
		MaxResponseHeaderBytes: maxReply,
		// Shorter than servers keep an idle connection: a request on one that is just being closed is lost, because
		// it must not be sent again.
		IdleConnTimeout: 15 * time.Second,
	}
}

// onceTransport keeps net/http from sending a request again by itself, which it does with a GET when a kept-alive
// connection ends before the first byte of the reply. WeChat may have spent the code by then. A request whose body
// cannot be rewound is never replayed; an empty one adds nothing to what is sent.
type onceTransport struct{ base http.RoundTripper }

func (t onceTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.WithContext(r.Context()) // a RoundTripper must not change its caller's request
	r.GetBody = nil
	if r.Body == nil || r.Body == http.NoBody {
		r.Body = io.NopCloser(bytes.NewReader(nil))
		r.TransferEncoding = []string{"identity"} // else net/http starts a goroutine to see whether the body is empty
	}
	return t.base.RoundTrip(r)
}

// silence is a resty.Logger that says nothing.
type silence struct{}

func (silence) Errorf(string, ...any) {}
func (silence) Warnf(string, ...any)  {}
func (silence) Debugf(string, ...any) {}
