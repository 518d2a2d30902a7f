package controllers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requests are what HTTP requests were answered, and how fast. Labels are few whatever clients send: routes as the
// table of routes spells them, methods in three classes, and the statuses that we, or a Casdoor, answer.
type requests struct {
	answered *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

// What stands in place of a route where there is none.
const (
	routeUnknown = "unknown" // no route has the path
	routeCasdoor = "casdoor" // the gateway passes the request on
)

func newRequests() requests {
	return requests{
		answered: counters("http_requests_total", "HTTP requests by route, method and status of the answer.",
			"route", "method", "status"),
		took: prometheus.NewHistogramVec(histogram("http_request_seconds", "How long answers took, by route."),
			[]string{"route"}),
	}
}

// request returns the writer to answer a request on, and what to call when that is done.
func (m *Metrics) request(w http.ResponseWriter, r *http.Request, route string) (http.ResponseWriter, func()) {
	if m == nil {
		return w, func() {}
	}
	start, method, seen := time.Now(), methodClass(r.Method), &statusWriter{ResponseWriter: w, status: http.StatusOK}
	return seen, func() {
		m.requests.took.WithLabelValues(route).Observe(time.Since(start).Seconds())
		m.requests.answered.WithLabelValues(route, method, seen.label()).Inc()
	}
}

func methodClass(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	default:
		return "other"
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter

	status int
	known  bool
}

// WriteHeader implements http.ResponseWriter. Of several statuses the last counts: those before it are informational.
func (w *statusWriter) WriteHeader(status int) {
	if !w.known {
		w.status = status
		w.known = status >= http.StatusOK
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	if !w.known {
		w.status, w.known = http.StatusOK, true
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController at the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// label bounds what a Casdoor may make up.
func (w *statusWriter) label() string {
	if w.status > 599 || w.status < 100 {
		return "other"
	}
	return strconv.Itoa(w.status)
}
