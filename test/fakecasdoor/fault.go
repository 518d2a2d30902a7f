package fakecasdoor

import (
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/minidoor/minidoor/test/fakewechat"
)

// Fault answers a request in place of the server, as in fakewechat, whose faults (Hang, Reset, Empty, Truncated, Slow,
// Body, …) serve here as well.
type Fault = fakewechat.Fault

// LeakedSQL is in the message of Leak.
const LeakedSQL = "Error 1062 (23000): Duplicate entry 'shop-wechat-o1' for key 'user.PRIMARY'"

// Leak answers, with status 200, with an error of Casdoor that holds a text of its database.
func Leak() Fault { return Refusal(LeakedSQL) }

// Refusal answers as Casdoor refuses: status 200 and an error with a message.
func Refusal(message string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { write(w, refuse(message)) }
}

// Page answers with status 500 and the page of some proxy.
func Page() Fault {
	return fakewechat.Body(http.StatusInternalServerError, "text/html",
		"<html><body><h1>500 Internal Server Error</h1></body></html>")
}

// Garbage answers with status 200 and a body that only begins like JSON.
func Garbage() Fault {
	return fakewechat.Body(http.StatusOK, "application/json; charset=utf-8", `{"status":"ok","data":{"owner":`)
}

// SlowBody gives the status and the first half of the right answer at once, and the rest after d.
func SlowBody(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		rec := httptest.NewRecorder()
		answer(rec, r)
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		body := rec.Body.Bytes()
		w.Write(body[:len(body)/2]) //nolint:errcheck // the client is gone
		flush(w)
		select {
		case <-time.After(d):
			w.Write(body[len(body)/2:]) //nolint:errcheck // as above
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}
