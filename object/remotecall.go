package object

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// casdoorError means that the Casdoor behind the API did not do its part. Its text is made of fixed words: what a
// Casdoor says may hold a text of its database, and what net/http says a URL.
type casdoorError struct {
	action  string // of Casdoor's API
	problem string // one of those below
	said    string // Casdoor's msg, to compare with; empty unless problem is refused
}

// The problems of a casdoorError.
const (
	noAnswer     = "casdoor does not answer"
	badStatus    = "casdoor answers with an HTTP error"
	badAnswer    = "casdoor's answer is not its API's: is casdoorEndpoint right?"
	refused      = "casdoor refuses the call: its own log says why"
	unauthorized = "casdoor refuses us: casdoorClientId or casdoorClientSecret is wrong"
	noSuchClient = "casdoor has no application with casdoorClientId"
	renamed      = "casdoor has stored the user under another name: isUsernameLowered must be false there"
)

// Error returns the action and the problem.
func (e *casdoorError) Error() string { return e.action + ": " + e.problem }

// casdoor calls a Casdoor's API through its SDK.
type casdoor struct {
	config  sdk.AuthConfig
	http    *http.Client
	timeout time.Duration // of a call
	slots   chan struct{} // holds one for each call that is under way
}

// Limits of the calls to one Casdoor.
const (
	maxCalls       = 64 // at once; its database has hardly more connections
	maxAnswer      = 8 << 20
	casdoorTimeout = 5 * time.Second
)

func newCasdoor(cfg RemoteConfig) *casdoor {
	c := &casdoor{
		config: sdk.AuthConfig{
			Endpoint: cfg.Endpoint, ClientId: cfg.ClientID, ClientSecret: cfg.ClientSecret.Reveal(),
		},
		timeout: cmp.Or(cfg.Timeout, casdoorTimeout), slots: make(chan struct{}, maxCalls),
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			// net/http goes on to connect when the call that wanted it has ended.
			DialContext: (&net.Dialer{Timeout: c.timeout}).DialContext, TLSHandshakeTimeout: c.timeout,
			MaxIdleConnsPerHost: maxCalls, IdleConnTimeout: 30 * time.Second,
		},
		// The client secret goes nowhere but to the endpoint.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// call runs do, which makes one call of Casdoor's API with the client that it is given. The call ends with ctx, and
// with the time-out. Every error is a *casdoorError.
func call[T any](ctx context.Context, c *casdoor, action string, do func(*sdk.Client) (T, error)) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return none, &casdoorError{action: action, problem: noAnswer}
	}
	running := &sdkCall{ctx: ctx, http: c.http}
	name := sdkCalls.begin(running)
	defer sdkCalls.end(name)
	client := sdk.NewClientWithConf(&c.config)
	client.CustomHeaders[callHeader] = name
	value, err := do(client)
	if err != nil {
		return none, running.explain(action, err)
	}
	return value, nil
}

// callForRow is call for a row. One that does not exist is ErrNotFound.
func callForRow[T any](ctx context.Context, c *casdoor, action string, do func(*sdk.Client) (*T, error)) (*T, error) {
	row, err := call(ctx, c, action, do)
	if err == nil && row == nil {
		err = ErrNotFound
	}
	return row, err
}

// sdkCalls is the HTTP client of the SDK, which knows one for the whole process, and no contexts. It is set before
// anything else runs: later, that would race with calls that others make through the SDK.
var sdkCalls = newSDKTransport()

func newSDKTransport() *sdkTransport {
	t := &sdkTransport{others: &http.Client{}} // as the SDK's own
	sdk.SetHttpClient(t)
	return t
}

// sdkTransport sends each request of the SDK as the call wants it that made the request. The two know each other by a
// header, which does not leave the process.
type sdkTransport struct {
	others *http.Client // for requests that are none of ours
	last   atomic.Uint64
	calls  sync.Map // of *sdkCall, by the header's value
}

const callHeader = "Minidoor-Call"

func (t *sdkTransport) begin(c *sdkCall) string {
	name := strconv.FormatUint(t.last.Add(1), 10)
	t.calls.Store(name, c)
	return name
}

func (t *sdkTransport) end(name string) { t.calls.Delete(name) }

// Do implements sdk.HttpClient.
func (t *sdkTransport) Do(r *http.Request) (*http.Response, error) {
	c, ours := t.calls.Load(r.Header.Get(callHeader))
	if !ours {
		return t.others.Do(r)
	}
	r.Header.Del(callHeader)
	return c.(*sdkCall).send(r)
}

// sdkCall is one call through the SDK, whose errors do not tell what went wrong.
type sdkCall struct {
	ctx     context.Context
	http    *http.Client
	problem string // empty while all is well
}

var errSent = errors.New("see sdkCall.problem")

// send reads the whole answer, so that the SDK meets no error but in what it holds.
func (c *sdkCall) send(r *http.Request) (*http.Response, error) {
	answer, err := c.http.Do(r.WithContext(c.ctx))
	if err != nil {
		c.problem = noAnswer
		return nil, errSent
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(http.MaxBytesReader(nil, answer.Body, maxAnswer))
	switch {
	case isA[*http.MaxBytesError](err):
		c.problem = badAnswer
	case err != nil:
		c.problem = noAnswer
	case answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusForbidden: // as the SDK has it
		c.problem = badStatus
	default:
		answer.Body = io.NopCloser(bytes.NewReader(text))
		return answer, nil
	}
	return nil, errSent
}

// explain says why the SDK has returned err.
func (c *sdkCall) explain(action string, err error) *casdoorError {
	e := &casdoorError{action: action, problem: c.problem}
	switch {
	case e.problem != "":
	case isA[*json.SyntaxError](err) || isA[*json.UnmarshalTypeError](err):
		e.problem = badAnswer
	case err.Error() == "Unauthorized operation":
		e.problem = unauthorized
	default:
		e.problem, e.said = refused, err.Error()
	}
	return e
}
