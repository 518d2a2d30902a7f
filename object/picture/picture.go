// Package picture turns an uploaded picture into square thumbnails, whatever the upload is: nothing of it but its
// pixels comes through, and neither its size nor its damage costs more memory than was agreed on.
//
// JPEG, PNG, GIF (its first frame) and WebP (of an animation, the first frame) are told by their content. The middle
// square is taken, turned as EXIF asks, and averaged down, or enlarged where it is smaller, to exactly the sides asked
// for. Metadata goes, the color profile too.
package picture

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"runtime"
	"slices"
)

// Error is why a picture is refused, in words for the one who sent it. It is always one of the constants below.
type Error string

// Error returns the words.
func (e Error) Error() string { return string(e) }

// The errors of Maker.Thumbnails that are the sender's.
const (
	ErrTooLarge      Error = "the picture is larger than 10 MB"
	ErrTooManyPixels Error = "the picture has too many pixels: send a smaller one"
	ErrUnsupported   Error = "the file is not a JPEG, PNG, GIF or WebP picture"
	ErrDamaged       Error = "the picture is damaged or incomplete"
)

// What an upload may be, both looked at before it is decoded. Some formats must be decoded whole, and then memory
// allows fewer pixels; see Maker.
const (
	MaxBytes  = 10 << 20
	MaxPixels = 40_000_000
)

// memory is how many bytes all pictures of a Maker together may take while they are worked on.
const memory = 48 << 20

// Maker makes thumbnails, for several callers at once, on half of the processors at most: a picture that is made for it
// takes one for seconds, and others have work to do. With 48 MB it takes up to MaxPixels of baseline JPEG in gray or
// YCbCr and of PNG that is not interlaced. What must be decoded whole is bounded by memory; with a file of 3 MB that is
// about 20 megapixels of GIF, 23 of lossy WebP, 5 of progressive JPEG in 4:2:0 and half of that in 4:4:4, 5 of JPEG in
// CMYK or RGB, 5 of lossless WebP, 3 of lossy WebP with transparency, 5 of interlaced PNG in 8-bit color.
type Maker struct {
	gate  *gate
	turns chan struct{} // holds a value for each picture that is worked on
	sides []int
	most  int // the largest of sides
}

// Thumbnail is a square picture, ready to be stored and served.
type Thumbnail struct {
	Side        int // in pixels
	Data        []byte
	ContentType string // image/jpeg, or image/png for a picture with transparency
	Extension   string // .jpg or .png
}

// New returns a Maker of thumbnails with these sides, of which there must be one: 1 to 2048 pixels each.
func New(sides ...int) *Maker {
	turns := make(chan struct{}, max(1, runtime.NumCPU()/2))
	return &Maker{newGate(memory), turns, sides, slices.Max(sides)}
}

// Thumbnails returns the thumbnails of an upload of size bytes, one for each of the Maker's sides, all of one type. It
// reads the upload only when there is memory for it, so one that lies on disk costs nothing while it waits; ctx ends
// the wait. An error is an Error, ctx's, or, when the upload cannot be read, its reader's.
func (m *Maker) Thumbnails(ctx context.Context, file io.ReaderAt, size int64) ([]Thumbnail, error) {
	if size > MaxBytes {
		return nil, ErrTooLarge
	}
	u := &upload{file: file, size: size}
	thumbs, err := m.thumbnails(ctx, u)
	switch {
	case err == nil:
		return thumbs, nil
	case u.err != nil:
		return nil, fmt.Errorf("read the upload: %w", u.err)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, err
}

func (m *Maker) thumbnails(ctx context.Context, u *upload) ([]Thumbnail, error) {
	p, err := probe(u, m.most)
	if err != nil {
		return nil, err
	}
	cost := p.cost + m.outcome()
	if int64(p.width)*int64(p.height) > MaxPixels || cost > m.gate.size {
		return nil, ErrTooManyPixels
	}
	select {
	case m.turns <- struct{}{}:
		defer func() { <-m.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := m.gate.enter(ctx, cost); err != nil {
		return nil, err
	}
	defer m.gate.leave(cost)
	square, err := p.square(ctx, u, m.most)
	if err != nil {
		return nil, err
	}
	return m.encode(orient(square, p.orientation))
}

// outcome is what the thumbnails of a picture cost besides its decoding: pixels twice, and encoders.
func (m *Maker) outcome() int64 { return int64(m.most)*int64(m.most)*4*2 + 2<<20 }

func (m *Maker) encode(square *image.RGBA) ([]Thumbnail, error) {
	opaque := square.Opaque()
	thumbs := make([]Thumbnail, 0, len(m.sides))
	for _, side := range m.sides {
		t := Thumbnail{Side: side, ContentType: "image/jpeg", Extension: ".jpg"}
		var (
			b   bytes.Buffer
			err error
		)
		if img := resize(square, side); opaque {
			err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 85})
		} else {
			t.ContentType, t.Extension = "image/png", ".png"
			err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img)
		}
		if err != nil {
			return nil, fmt.Errorf("encode thumbnail: %w", err)
		}
		t.Data = b.Bytes()
		thumbs = append(thumbs, t)
	}
	return thumbs, nil
}
