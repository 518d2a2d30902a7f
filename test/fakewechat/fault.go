package fakewechat

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault answers a call in place of the server. It may ask answer, which is what the server would have said, with all
// that this changes: a code is spent then.
type Fault func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc)

// Errcode answers with WeChat's error n.
func Errcode(n int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { refuse(w, n) }
}

// ErrcodeText answers with WeChat's error n as a string, which one of WeChat's samples does.
func ErrcodeText(n int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		reply(w, map[string]string{"errcode": strconv.Itoa(n), "errmsg": messageOf(n)})
	}
}

// ErrcodeMessage answers with WeChat's error n and an errmsg of any text.
func ErrcodeMessage(n int, errmsg string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { reply(w, status{n, errmsg}) }
}

// Status answers with an HTTP status and a body that is no JSON.
func Status(status int) Fault { return Body(status, "text/plain", http.StatusText(status)) }

// HTML answers with the page of some proxy, and status 200.
func HTML() Fault {
	return Body(http.StatusOK, "text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>")
}

// WrongTypes answers with JSON whose fields have other types than documented.
func WrongTypes() Fault {
	return Body(http.StatusOK, "text/plain",
		`{"errcode":0,"errmsg":0,"openid":12345,"session_key":["k"],"access_token":{},"expires_in":"soon"}`)
}

// Empty answers with status 200 and nothing else.
func Empty() Fault { return Body(http.StatusOK, "text/plain", "") }

// Body answers with anything.
func Body(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body) //nolint:errcheck // the client is gone
	}
}

// Truncated answers with the first half of the right answer.
func Truncated() Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		body := record(r, answer)
		w.Write(body[:len(body)/2]) //nolint:errcheck // the client is gone
	}
}

// Oversized answers with the right answer and 1 MiB of another field.
func Oversized() Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		body := bytes.TrimSuffix(record(r, answer), []byte("}"))
		w.Write(body)                                                     //nolint:errcheck // the client is gone
		io.WriteString(w, `,"padding":"`+strings.Repeat("x", 1<<20)+`"}`) //nolint:errcheck // as above
	}
}

// OversizedHeader answers with the right answer, behind a header of 1 MiB.
func OversizedHeader() Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		body := record(r, answer)
		w.Header().Set("Padding", strings.Repeat("x", 1<<20))
		w.Write(body) //nolint:errcheck // the client is gone
	}
}

// Reset closes the connection when the request has been read, and answers nothing.
func Reset() Fault {
	return func(http.ResponseWriter, *http.Request, http.HandlerFunc) { panic(http.ErrAbortHandler) }
}

// Hang answers nothing until the client leaves or the server is closed.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// SlowBody sends the first half of the right answer, and the rest never: a code is spent then.
func SlowBody() Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		body := record(r, answer)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body[:len(body)/2])           //nolint:errcheck // the client is gone
		http.NewResponseController(w).Flush() //nolint:errcheck // as above
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Slow gives the right answer after d.
func Slow(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		select {
		case <-time.After(d):
			answer(w, r)
		case <-r.Context().Done():
		}
	}
}

// recorder is an http.ResponseWriter that keeps the body.
type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func record(r *http.Request, answer http.HandlerFunc) []byte {
	rec := &recorder{header: http.Header{}}
	answer(rec, r)
	return rec.body.Bytes()
}
