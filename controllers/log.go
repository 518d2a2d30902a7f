package controllers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"unicode"
	"unicode/utf8"
)

// NewLogger returns a logger that writes to w in format "text" or "json", and adds the request id to what is logged
// with a request's context.
func NewLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(&logHandler{slog.NewTextHandler(w, options)})
	}
	return slog.New(&logHandler{slog.NewJSONHandler(harmless{w}, options)})
}

// harmless writes lines of JSON with what a terminal acts on spelt out: of control characters JSON lets DEL and those
// behind ASCII stand, and all that turn the writing direction, in whatever a client has sent.
type harmless struct{ io.Writer }

// Write implements io.Writer for one line.
func (h harmless) Write(line []byte) (int, error) {
	if !bytes.ContainsFunc(line, isActedOn) {
		return h.Writer.Write(line)
	}
	var spelt []byte
	for _, r := range string(line) {
		if isActedOn(r) {
			spelt = fmt.Appendf(spelt, `\u%04x`, r)
		} else {
			spelt = utf8.AppendRune(spelt, r)
		}
	}
	_, err := h.Writer.Write(spelt)
	return len(line), err
}

func isActedOn(r rune) bool {
	const del = 0x7f // JSON spells out what is below
	return r >= del && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
}

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := requestID(ctx); id != "" {
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.Handler.WithGroup(name)}
}
