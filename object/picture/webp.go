package picture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"

	"golang.org/x/image/webp"
)

// webpChunk is the place of a chunk of a RIFF file.
type webpChunk struct {
	id         string
	start, end int64 // of its payload
}

// nextChunk reads the head of a chunk. at is where r stands.
func nextChunk(r *bufio.Reader, at int64) (webpChunk, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return webpChunk{}, err
	}
	start := at + int64(len(head))
	return webpChunk{string(head[:4]), start, start + int64(binary.LittleEndian.Uint32(head[4:]))}, nil
}

func probeWebP(r *bufio.Reader, size int64) (*plan, error) {
	w := &webpHead{}
	if _, err := r.Discard(12); err != nil {
		return nil, err
	}
	for at := int64(12); at < size; {
		c, err := nextChunk(r, at)
		if err != nil {
			break // an odd tail
		}
		at = c.start
		n, err := w.take(c, r)
		if err != nil {
			return nil, err
		}
		at += n
		if w.inside(c) {
			continue
		}
		skip := c.end + c.end&1 - at
		skipped, err := r.Discard(int(skip))
		if at += int64(skipped); err != nil {
			break
		}
	}
	return w.plan(size)
}

// webpHead is what the chunks of a WebP file say (RFC 9649 §2).
type webpHead struct {
	width, height int
	orientation   int
	alpha, frame  *webpChunk // of the picture or of the first frame of an animation
	frameEnd      int64      // where the first frame of an animation ends; 0 in a still picture
	lossless      bool
}

// inside reports whether the chunks that follow lie in this one.
func (w *webpHead) inside(c webpChunk) bool { return c.id == "ANMF" && w.frameEnd == c.end }

// take looks at a chunk and returns how much of its payload it has read.
func (w *webpHead) take(c webpChunk, r *bufio.Reader) (int64, error) {
	if w.frame != nil && c.id != "EXIF" {
		return 0, nil
	}
	switch c.id {
	case "VP8X":
		head, err := payload(r, c, 10)
		if err != nil {
			return 0, err
		}
		w.width, w.height = uint24(head[4:])+1, uint24(head[7:])+1
		return 10, nil
	case "ANMF":
		head, err := payload(r, c, 16)
		if err != nil {
			return 0, err
		}
		w.frameEnd, w.width, w.height = c.end, uint24(head[6:])+1, uint24(head[9:])+1
		return 16, nil
	case "ALPH":
		w.alpha = &c
	case "VP8 ", "VP8L":
		w.frame, w.lossless = &c, c.id == "VP8L"
		return w.size(c, r)
	case "EXIF":
		head, err := payload(r, c, min(c.end-c.start, 64<<10))
		if err != nil {
			return 0, nil // orientation is not worth a refusal
		}
		w.orientation = exifOrientation(head)
		return int64(len(head)), nil
	}
	return 0, nil
}

// size reads the size of the bitstream itself: the one that the decoder goes by.
func (w *webpHead) size(c webpChunk, r *bufio.Reader) (int64, error) {
	n := int64(10)
	if w.lossless {
		n = 5
	}
	head, err := payload(r, c, n)
	if err != nil {
		return 0, err
	}
	if w.lossless { // RFC 9649 §3.4
		bits := binary.LittleEndian.Uint32(head[1:])
		w.width, w.height = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1
	} else { // RFC 6386 §9.1
		w.width = int(binary.LittleEndian.Uint16(head[6:]) & 0x3fff)
		w.height = int(binary.LittleEndian.Uint16(head[8:]) & 0x3fff)
	}
	return int64(len(head)), nil
}

func payload(r *bufio.Reader, c webpChunk, n int64) ([]byte, error) {
	if c.end-c.start < n {
		return nil, ErrDamaged
	}
	head := make([]byte, n)
	_, err := io.ReadFull(r, head)
	return head, err
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func (w *webpHead) plan(size int64) (*plan, error) {
	if w.frame == nil || w.frame.end > size {
		return nil, ErrDamaged
	}
	pixels := int64(w.width) * int64(w.height)
	p := &plan{width: w.width, height: w.height, orientation: w.orientation}
	// Lossy: a byte for Y, a quarter each for U and V, and what a file may say of its Huffman trees and macroblocks.
	const trees = 8 << 20
	switch {
	case w.lossless:
		p.cost = size + 6*pixels + trees // 4, and palettes are unpacked into a copy
	case w.alpha != nil:
		p.cost = 2*size + pixels*17/2 + trees // the alpha is a lossless picture first
	default:
		p.cost = 2*size + pixels*13/8 + 1<<20
	}
	p.decode = w.decode
	return p, nil
}

// decode hands the decoder a file of the picture alone, since it knows no animations and trusts sizes.
func (w *webpHead) decode(data []byte) (rows, int, error) {
	chunks := []*webpChunk{w.frame}
	var head []byte
	if w.alpha != nil && !w.lossless && w.alpha.end <= int64(len(data)) {
		chunks = []*webpChunk{w.alpha, w.frame}
		head = binary.LittleEndian.AppendUint32([]byte("VP8X"), 10)
		head = append(head, 0x10, 0, 0, 0) // has alpha
		for _, v := range []int{w.width - 1, w.height - 1} {
			head = append(head, byte(v), byte(v>>8), byte(v>>16))
		}
	}
	parts := []io.Reader{nil, bytes.NewReader(head)}
	length := int64(4 + len(head))
	for _, c := range chunks {
		chunk := data[c.start-8 : c.end]
		parts = append(parts, bytes.NewReader(chunk))
		if length += int64(len(chunk)); len(chunk)%2 == 1 {
			parts = append(parts, bytes.NewReader([]byte{0}))
			length++
		}
	}
	riff := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(length))
	parts[0] = bytes.NewReader(append(riff, "WEBP"...))
	return middleOfWhole(webp.Decode(io.MultiReader(parts...)))
}
