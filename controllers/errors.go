package controllers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/picture"
	"github.com/minidoor/minidoor/provider"
)

// APIError is an answer that is no success: what the client reads, and what the log says.
type APIError struct {
	Status     int              // of HTTP
	Code       object.ErrorCode // OAuth's error
	Message    string           // fixed text for the client
	RetryAfter time.Duration    // 0: no Retry-After
	Err        error            // the cause, for the log only; may be nil
	Told       bool             // the log tells of it in another way
}

// Error returns what the log says.
func (e *APIError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause.
func (e *APIError) Unwrap() error { return e.Err }

func badRequest(message string) *APIError {
	return &APIError{Status: http.StatusBadRequest, Code: object.InvalidRequest, Message: message}
}

func notFound() *APIError {
	return &APIError{Status: http.StatusNotFound, Code: object.InvalidRequest, Message: "There is nothing at this path"}
}

// casdoorCall is the path of a call of Casdoor's API: a verb, and nearly always what it is about.
var casdoorCall = regexp.MustCompile(`^/api/([a-z]+-[a-z-]{1,50}|enforce)$`)

// notServed is the answer at a path that is not here. What an SDK of Casdoor calls there tells it in its own form: some
// read nothing from a 404, and then say of a null what they cannot do with it.
func notServed(path string) (shape, *APIError) {
	e := notFound()
	if !casdoorCall.MatchString(path) {
		return casdoorShape, e
	}
	e.Message = "minidoor does not serve " + path
	return sdkShape, e
}

func methodNotAllowed(methods string) *APIError {
	return &APIError{
		Status: http.StatusMethodNotAllowed, Code: object.InvalidRequest, Message: "This path takes " + methods + " only",
	}
}

func forbidden(message string, err error) *APIError {
	return &APIError{Status: http.StatusForbidden, Code: object.AccessDenied, Message: message, Err: err}
}

// tooLarge is the answer to a body that is larger than its path takes.
func tooLarge(message string, err error) *APIError {
	return &APIError{Status: http.StatusRequestEntityTooLarge, Code: object.InvalidRequest, Message: message, Err: err}
}

func serverError(err error) *APIError {
	return &APIError{
		Status: http.StatusInternalServerError, Code: "server_error", Message: "Something is wrong here", Err: err,
	}
}

// clientLeft is the outcome of a request whose client has not waited for it, which is nobody's fault. It goes to the
// log and the metrics, with nginx's status.
const (
	clientLeft       object.ErrorCode = "client_left"
	statusClientLeft int              = 499
)

// orLeft returns the error of a request or, where that ended with its client, clientLeft.
func orLeft(r *http.Request, err error) error {
	if errors.Is(r.Context().Err(), context.Canceled) && errors.Is(err, context.Canceled) {
		return &APIError{Status: statusClientLeft, Code: clientLeft, Message: "The client has left", Err: err}
	}
	return err
}

// defaultRetry is what Retry-After says where nobody knows better.
const defaultRetry = 5 * time.Second

// apiError turns any error into an answer. The words of an error that is not meant for clients stay in the log.
func apiError(err error) *APIError {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e
	}
	if refusal, ok := errors.AsType[*object.Refusal](err); ok {
		return &APIError{
			Status: statusOf(refusal.Code), Code: refusal.Code, Message: refusal.Message, RetryAfter: refusal.RetryAfter, Err: err,
		}
	}
	if upstream, ok := errors.AsType[*provider.Error](err); ok {
		return upstreamError(upstream)
	}
	if unfit, ok := errors.AsType[picture.Error](err); ok {
		return pictureError(unfit)
	}
	if object.IsUnavailable(err) {
		return unavailable("The server is busy, please try again", defaultRetry, err)
	}
	return serverError(err)
}

// isRefusal reports whether err is a refusal with that code.
func isRefusal(err error, code object.ErrorCode) bool {
	refusal, ok := errors.AsType[*object.Refusal](err)
	return ok && refusal.Code == code
}

// pictureError says why a picture is not fit.
func pictureError(e picture.Error) *APIError {
	if e == picture.ErrTooLarge || e == picture.ErrTooManyPixels {
		return tooLarge(e.Error(), e)
	}
	return &APIError{Status: http.StatusBadRequest, Code: object.InvalidRequest, Message: e.Error(), Err: e}
}

func statusOf(code object.ErrorCode) int {
	switch code {
	case object.InvalidClient, object.InvalidToken:
		return http.StatusUnauthorized
	case object.SlowDown:
		return http.StatusTooManyRequests
	case object.Unavailable:
		return http.StatusServiceUnavailable
	case object.Unsupported:
		return http.StatusNotImplemented
	default:
		return http.StatusBadRequest
	}
}

func unavailable(message string, retry time.Duration, err error) *APIError {
	return &APIError{
		Status: http.StatusServiceUnavailable, Code: object.Unavailable, Message: message, RetryAfter: retry, Err: err,
	}
}

// upstreamError says what a platform's failure means for the mini program: get a new code, give up, or wait.
func upstreamError(e *provider.Error) *APIError {
	refused := func(code object.ErrorCode, message string) *APIError {
		return &APIError{Status: http.StatusBadRequest, Code: code, Message: message, Err: e}
	}
	switch e.Kind {
	case provider.KindInvalidCode:
		return refused(object.InvalidGrant, "the code is invalid, expired or used: get a new one with wx.login")
	case provider.KindInvalidPhoneCode:
		return refused(object.InvalidGrant, "the phone code is invalid, expired, used or another "+
			"user's: it must come from the getPhoneNumber button, and is not the login code of wx.login")
	case provider.KindInvalidSession:
		return refused(object.InvalidGrant, "the session_key is stale: call wx.login and sign in again")
	case provider.KindRefused:
		return refused(object.AccessDenied, "WeChat refuses this user: do not try again")
	case provider.KindInvalidContent:
		return refused(object.InvalidRequest, "the content cannot be checked as it is")
	case provider.KindInactive:
		return refused(object.AccessDenied,
			"WeChat checks content of users who were there within 2 hours only: open the mini program and sign in again")
	case provider.KindInvalidPush:
		return forbidden("the message does not prove to be WeChat's", e)
	case provider.KindThrottled:
		return &APIError{
			Status: http.StatusTooManyRequests, Code: object.SlowDown, Message: "too many calls to WeChat: try again later",
			RetryAfter: cmp.Or(e.RetryAfter, defaultRetry), Err: e,
		}
	case provider.KindMisconfigured:
		return unavailable("this is not set up rightly: the administrator finds the reason in the log", 0, e)
	default:
		return unavailable("WeChat does not answer as it should: try again with a new code",
			cmp.Or(e.RetryAfter, defaultRetry), e)
	}
}

// shape is one of the two forms that errors have on the wire.
type shape int

const (
	oauthShape   shape = iota // RFC 6749 §5.2
	casdoorShape              // Casdoor's, with the status of HTTP
	sdkShape                  // Casdoor's, with 200 for what the client did wrong: Casdoor's SDKs read the body alone
)

func shapeOf(path string) shape {
	switch {
	case strings.HasPrefix(path, "/api/login/oauth/"):
		return oauthShape
	case strings.HasPrefix(path, "/api/mini-program/"), strings.HasPrefix(path, filesPath), path == metricsPath,
		strings.HasPrefix(path, wellKnownPath), isConsole(path):
		return casdoorShape
	default:
		return sdkShape
	}
}

// status returns the status that an error is answered with.
func (form shape) status(e *APIError) int {
	if form != sdkShape || e.Status >= http.StatusInternalServerError {
		return e.Status
	}
	switch e.Status {
	case http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, statusClientLeft:
		return e.Status
	}
	return http.StatusOK
}

// logError logs an error with its cause and the status of its answer: as an error when the server is to blame, and not
// a client that has left, or asks for what this way to run has not.
func logError(log *slog.Logger, r *http.Request, message string, e *APIError, attrs ...slog.Attr) {
	if e.Told {
		return
	}
	level := slog.LevelInfo
	if e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented &&
		!errors.Is(r.Context().Err(), context.Canceled) {
		level = slog.LevelError
	}
	attrs = append(attrs, slog.String("path", r.URL.Path), slog.Int("status", shapeOf(r.URL.Path).status(e)),
		slog.String("outcome", string(e.Code)), slog.String("cause", e.Error()))
	log.LogAttrs(r.Context(), level, message, attrs...)
}

// writeError answers with an error in one of its forms.
func writeError(w http.ResponseWriter, form shape, e *APIError) {
	setRetryAfter(w, e)
	var body any = casdoorError{Status: "error", Msg: e.Message}
	challenge := "Bearer"
	if form == oauthShape {
		body = oauthError{e.Code, e.Message}
		challenge = `Basic realm="minidoor"`
	}
	status := form.status(e)
	if status == http.StatusUnauthorized { // RFC 9110 §15.5.2
		w.Header().Set("WWW-Authenticate", challenge)
	}
	writeJSON(w, status, body)
}

func setRetryAfter(w http.ResponseWriter, e *APIError) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
}

type oauthError struct {
	Error       object.ErrorCode `json:"error"`
	Description string           `json:"error_description"`
}

type casdoorError struct {
	Status string `json:"status"`
	Msg    string `json:"msg"`
	Data   any    `json:"data"`
	Data2  any    `json:"data2"`
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text := texts.Get().(*bytes.Buffer)
	defer keepText(text)
	text.Reset()
	if err := json.NewEncoder(text).Encode(body); err != nil {
		status = http.StatusInternalServerError
		text.Reset()
		text.WriteString(`{"error":"server_error","status":"error"}`)
	}
	writeText(w, status, bytes.TrimSuffix(text.Bytes(), []byte("\n")))
}

// texts holds buffers for answers, each a *bytes.Buffer: a token's would be a tenth of all memory that a sign-in takes.
var texts = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxKeptText is far above most answers. A buffer that has held a list of thousands would stay as large, with small
// ones in it, for as long as there are requests.
const maxKeptText = 64 << 10

func keepText(text *bytes.Buffer) {
	if text.Cap() <= maxKeptText {
		texts.Put(text)
	}
}

// writeText answers with a JSON text.
func writeText(w http.ResponseWriter, status int, text []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'") // for a browser that shows it
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
	}
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client has left
}
