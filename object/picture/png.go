package picture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image/png"
	"io"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// Color types of PNG (W3C PNG §11.2.1).
const (
	pngGray      = 0
	pngRGB       = 2
	pngPalette   = 3
	pngGrayAlpha = 4
	pngRGBA      = 6
)

// pngHead is what precedes the pixels of a PNG.
type pngHead struct {
	plan
	depth, color byte
	interlaced   bool
	palette      [256][4]byte // premultiplied
	entries      int          // of palette
	transparent  []byte       // tRNS
}

func probePNG(r *bufio.Reader, size int64) (*plan, error) {
	h := &pngHead{}
	if _, err := r.Discard(len(pngMagic)); err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, err
		}
		id, length := string(head[4:]), int64(binary.BigEndian.Uint32(head[:4]))
		if first != (id == "IHDR") || length > size {
			return nil, ErrDamaged
		}
		if id == "IDAT" {
			return h.choose(size)
		}
		payload, err := h.payload(r, id, int(length))
		if err != nil {
			return nil, err
		}
		if err := h.take(id, payload); err != nil {
			return nil, err
		}
	}
}

// payload reads a chunk to its end, and returns what it holds if that is of interest.
func (h *pngHead) payload(r *bufio.Reader, id string, length int) (payload []byte, err error) {
	const crc = 4
	switch id {
	case "IHDR", "PLTE", "tRNS", "eXIf":
		payload = make([]byte, min(length, 64<<10))
		if _, err := io.ReadFull(r, payload); err != nil {
			return nil, err
		}
	}
	_, err = r.Discard(length - len(payload) + crc)
	return payload, err
}

// take reads a chunk before the pixels.
func (h *pngHead) take(id string, payload []byte) error {
	switch id {
	case "IHDR":
		return h.header(payload)
	case "PLTE":
		h.entries = len(payload) / 3
		if h.entries > len(h.palette) {
			return ErrDamaged
		}
		for i := range h.entries {
			copy(h.palette[i][:], payload[3*i:3*i+3])
			h.palette[i][3] = 0xff
		}
	case "tRNS":
		h.transparent = payload
		if h.color != pngPalette {
			return nil
		}
		for i := range min(len(payload), h.entries) {
			c := h.palette[i]
			premultiply(h.palette[i][:], c[0], c[1], c[2], payload[i])
		}
	case "eXIf":
		h.orientation = exifOrientation(payload)
	}
	return nil
}

func (h *pngHead) header(payload []byte) error {
	if len(payload) != 13 || payload[10] != 0 || payload[11] != 0 || payload[12] > 1 {
		return ErrDamaged
	}
	width, height := binary.BigEndian.Uint32(payload), binary.BigEndian.Uint32(payload[4:])
	if width>>31 != 0 || height>>31 != 0 {
		return ErrDamaged
	}
	h.width, h.height = int(width), int(height)
	h.depth, h.color, h.interlaced = payload[8], payload[9], payload[12] == 1
	depths := map[byte]string{ // W3C PNG, table 12
		pngGray: "\x01\x02\x04\x08\x10", pngRGB: "\x08\x10", pngPalette: "\x01\x02\x04\x08",
		pngGrayAlpha: "\x08\x10", pngRGBA: "\x08\x10",
	}
	if bytes.IndexByte([]byte(depths[h.color]), h.depth) < 0 {
		return ErrDamaged
	}
	return nil
}

// channels returns the samples of a pixel.
func (h *pngHead) channels() int {
	switch h.color {
	case pngRGB:
		return 3
	case pngGrayAlpha:
		return 2
	case pngRGBA:
		return 4
	default:
		return 1
	}
}

// choose picks a decoder: our own, which keeps two rows of the picture, or the standard library's, which keeps it all.
// An interlaced picture has no rows before it is whole.
func (h *pngHead) choose(size int64) (*plan, error) {
	if h.color == pngPalette && h.entries == 0 {
		return nil, ErrDamaged
	}
	p := &h.plan
	if !h.interlaced {
		const inflate = 1 << 20
		p.cost = size + int64(h.width)*24 + inflate
		p.decode = h.stream
		return p, nil
	}
	bytesPerPixel := int64(1)
	if h.channels() > 1 || h.color == pngGray && h.transparent != nil {
		bytesPerPixel = 4
	}
	if h.depth == 16 {
		bytesPerPixel *= 2
	}
	p.cost = size + 2*bytesPerPixel*int64(h.width)*int64(h.height) + 1<<20 // each pass is a picture of its own
	p.decode = func(data []byte) (rows, int, error) { return middleOfWhole(png.Decode(bytes.NewReader(data))) }
	return p, nil
}
