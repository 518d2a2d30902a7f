package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/minidoor/minidoor/provider"
)

var errShape = errors.New("reply is no JSON of the documented shape")

// request is one call of WeChat's API.
type request struct {
	op      string            // what errors call it
	method  string            // GET or POST
	path    string            // such as "/sns/jscode2session"
	query   map[string]string // may be nil
	body    any               // sent as JSON; nil for none
	file    *file             // sent as multipart/form-data; nil for none
	secrets redactor          // what no error may show, besides the AppSecret
}

// file is the one part of a form.
type file struct {
	field, name, contentType string
	content                  []byte
}

// withToken returns a copy of r that carries an access token.
func (r request) withToken(token string) request {
	query := map[string]string{"access_token": token}
	maps.Copy(query, r.query)
	r.query = query
	r.secrets = append(redactor{token}, r.secrets...)
	return r
}

// envelope is what every reply may hold.
type envelope struct {
	Code    number `json:"errcode"`
	Message string `json:"errmsg"`
}

// validator is a reply that is checked by more than its JSON types.
type validator interface {
	valid() bool
}

// number is a JSON number, or a string of one: an official sample shows errcode as "40029".
type number int

// UnmarshalJSON reads 1, "1" and null, which leaves n as it is.
func (n *number) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	digits := strings.TrimSuffix(strings.TrimPrefix(string(text), `"`), `"`)
	v, err := strconv.Atoi(digits)
	if err != nil {
		return errShape // Atoi's error shows its input
	}
	*n = number(v)
	return nil
}

// shared runs f once for all who ask for the same key at the same time, under the time limit of w and not under ctx: a
// caller whose ctx ends leaves at once, and the others get their answer. Every error is a *provider.Error.
func shared[T any](
	ctx context.Context, w *WeChat, op, key string, f func(context.Context) (T, error),
) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, &provider.Error{Op: op, Kind: provider.KindUnavailable, Err: err}
	}
	result := w.flights.DoChan(key, func() (_ any, err error) {
		defer w.recoverTo(&err, op)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.timeout)
		defer cancel()
		return f(ctx)
	})
	select {
	case <-ctx.Done():
		return none, &provider.Error{Op: op, Kind: provider.KindUnavailable, Err: ctx.Err()}
	case r := <-result:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	}
}

// recoverTo turns a panic into an error: in a goroutine of singleflight it would end the process.
func (w *WeChat) recoverTo(err *error, op string) {
	p := recover()
	if p == nil {
		return
	}
	cause := provider.PanicError(p)
	w.logger.Error("provider call panicked", "op", op, "error", cause, "stack", string(debug.Stack()))
	*err = &provider.Error{Op: op, Kind: provider.KindUnavailable, Err: cause}
}

// call sends r and decodes the reply into out. Every error is a *provider.Error without a secret.
func (w *WeChat) call(ctx context.Context, r request, out validator) error {
	r.secrets = append(redactor{w.secret.Reveal()}, r.secrets...)
	return w.breakers[r.op].run(ctx, r.op, func() (err error) {
		start := time.Now()
		defer func() { w.observer.Called(r.op, time.Since(start), err) }()
		reply, err := w.send(ctx, r)
		if err != nil {
			return unavailable(r, err)
		}
		return decode(r, reply.StatusCode(), reply.Body(), out)
	})
}

// send tries again once when nothing was sent because no connection came about.
func (w *WeChat) send(ctx context.Context, r request) (*resty.Response, error) {
	reply, err := w.sendOnce(ctx, r)
	if isDialError(err) && ctx.Err() == nil {
		return w.sendOnce(ctx, r)
	}
	return reply, err
}

func (w *WeChat) sendOnce(ctx context.Context, r request) (*resty.Response, error) {
	req := w.client.R().SetContext(ctx).SetQueryParams(r.query)
	if r.body != nil {
		req.SetBody(r.body)
	}
	if f := r.file; f != nil {
		req.SetMultipartField(f.field, f.name, f.contentType, bytes.NewReader(f.content))
	}
	return req.Execute(r.method, r.path)
}

func isDialError(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}

// decode reads a reply by its content alone: WeChat labels JSON as text/plain, and errors come with status 200.
func decode(r request, status int, body []byte, out validator) error {
	var e envelope
	err := json.Unmarshal(body, &e)
	switch {
	case err == nil && e.Code != 0:
		return platformError(r, int(e.Code), e.Message)
	case status != http.StatusOK:
		return unavailable(r, fmt.Errorf("http status %d", status))
	case err != nil || json.Unmarshal(body, out) != nil || !out.valid():
		return unavailable(r, errShape) // the decoder's own error may show a value
	}
	return nil
}
