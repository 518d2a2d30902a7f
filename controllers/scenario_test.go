package controllers_test

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/test/harness"
)

// Content types of bodies.
const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// scenario is one request and what must come back.
type scenario struct {
	name   string
	method string            // empty: POST
	path   string            // empty: the token route
	header map[string]string // Content-Type of a body that has none: a form
	body   string

	status int
	has    []string          // what the body must hold
	hasNot []string          // what it must not
	reply  map[string]string // headers, whole; empty: must not be there
}

// run sends the request to handler, and checks the reply.
func (c scenario) run(t *testing.T, handler http.Handler) {
	t.Helper()
	w := c.send(handler)
	body := w.Body.String()
	assert.Equal(t, c.status, w.Code, body)
	for _, part := range c.has {
		assert.Contains(t, body, part)
	}
	for _, part := range append(c.hasNot, "sql:", ".go:", "SQLITE", "session_key", harness.AppSecret) {
		assert.NotContains(t, body, part)
	}
	for name, want := range c.reply {
		assert.Equal(t, want, w.Header().Get(name), name)
	}
	assert.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
}

func (c scenario) send(handler http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.sendBody(w, handler, strings.NewReader(c.body))
	return w
}

// sendBody sends the request with another body.
func (c scenario) sendBody(w http.ResponseWriter, handler http.Handler, body io.Reader) {
	r := httptest.NewRequest(cmp.Or(c.method, http.MethodPost), cmp.Or(c.path, harness.PathToken), body)
	r.Header.Set("Content-Type", formType)
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	handler.ServeHTTP(w, r)
}

// runAll runs the scenarios at once, and returns when all are done.
func runAll(t *testing.T, handler http.Handler, scenarios []scenario) {
	t.Helper()
	t.Run("scenarios", func(t *testing.T) {
		for _, c := range scenarios {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, handler)
			})
		}
	})
}

// oauth is the start of an error on a token route.
func oauth(code string) string { return `{"error":"` + code + `","error_description":"` }

// casdoor is an error on any other route, whole.
func casdoor(message string) string {
	return `{"status":"error","msg":"` + message + `","data":null,"data2":null}`
}

func typed(contentType string) map[string]string {
	return map[string]string{"Content-Type": contentType}
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}
