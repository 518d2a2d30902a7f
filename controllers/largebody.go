package controllers

import (
	"context"
	"io"
	"net/http"
)

// A body is in memory until its request is done, with all that is decoded of it, and its client may take half a minute
// to send it. So many requests at a time may have one of more than smallBody bytes, which none of a mini program has.
const (
	smallBody      = 16 << 10
	maxLargeBodies = 64
)

// largeBody takes a place before more than smallBody is read. Where there is none, nothing more is.
type largeBody struct {
	io.ReadCloser

	ctx     context.Context // of the request
	limits  *Limits
	read    int
	placed  bool
	refused error // nil: there was a place, or it has not been asked for
}

// boundBody has a request's body turned away where it is large and too many are. leave must be called when the request
// is done.
func (l *Limits) boundBody(r *http.Request) (leave func()) {
	if r.ContentLength >= 0 && r.ContentLength <= smallBody { // more than it says is not read
		return func() {}
	}
	b := &largeBody{ReadCloser: r.Body, ctx: r.Context(), limits: l}
	r.Body = b
	return b.leave
}

// Read implements io.Reader. Its error is an *APIError where there is no place.
func (b *largeBody) Read(p []byte) (int, error) {
	if b.read >= smallBody && !b.placed && b.refused == nil {
		if b.placed = b.limits.bodies.enter(); !b.placed {
			b.refused = b.limits.busy(b.ctx, overBodies)
		}
	}
	if b.refused != nil {
		return 0, b.refused
	}
	n, err := b.ReadCloser.Read(p)
	b.read += n
	return n, err
}

func (b *largeBody) leave() {
	if b.placed {
		b.limits.bodies.add(-1)
	}
}
