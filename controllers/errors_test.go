package controllers

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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
