package controllers

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/object"
)

// What a long answer took does not stay taken.
func TestLongAnswersAreNotKept(t *testing.T) {
	t.Parallel()
	for range 100 {
		w := httptest.NewRecorder()
		writeJSON(w, 200, strings.Repeat("x", 2*maxKeptText))
		assert.Equal(t, 2*maxKeptText+len(`""`), w.Body.Len())
		text := texts.Get().(*bytes.Buffer)
		assert.LessOrEqual(t, text.Cap(), maxKeptText)
		keepText(text)
	}
}

// An alert on errors in the log is for what an operator can mend: neither for clients that leave, nor for what is told
// in another way.
func TestLevelsOfErrorsInTheLog(t *testing.T) {
	t.Parallel()
	left, leave := context.WithCancel(t.Context())
	leave()
	told := serverError(errors.New("disk"))
	told.Told = true
	for name, c := range map[string]struct {
		ctx  context.Context
		err  *APIError
		want string // empty: no line
	}{
		"server fails":                 {t.Context(), serverError(errors.New("disk")), "ERROR"},
		"server fails for nobody":      {left, serverError(errors.New("disk")), "INFO"},
		"client is wrong":              {t.Context(), badRequest("x"), "INFO"},
		"remote mode has it not":       {t.Context(), apiError(&object.Refusal{Code: object.Unsupported}), "INFO"},
		"what is told of in a summary": {t.Context(), told, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			r := httptest.NewRequestWithContext(c.ctx, http.MethodGet, "/api/get-account", nil)
			logError(NewLogger(&log, slog.LevelInfo, "text"), r, "request failed", c.err)
			if c.want == "" {
				assert.Empty(t, log.String())
			} else {
				assert.Contains(t, log.String(), "level="+c.want)
			}
		})
	}
}
