package picture

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
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
	p.decode = func(data []byte) (rows, int, error) {
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			return nil, 0, err
		}
		return middleOf(img, img.Bounds())
	}
	return p, nil
}

// pngRows decodes a PNG row by row.
type pngRows struct {
	*pngHead
	pixels      io.ReadCloser // filtered rows, each after a byte that names its filter
	row, before []byte        // unfiltered
	y, x, side  int           // next row; column and side of the square
}

func (h *pngHead) stream(data []byte) (rows, int, error) {
	pixels, err := zlib.NewReader(&idat{data: data[len(pngMagic):]})
	if err != nil {
		return nil, 0, err
	}
	side := min(h.width, h.height)
	stride := (h.width*h.channels()*int(h.depth) + 7) / 8
	r := &pngRows{
		pngHead: h, pixels: pixels, side: side, x: (h.width - side) / 2,
		row: make([]byte, 1+stride), before: make([]byte, 1+stride),
	}
	for range (h.height - side) / 2 {
		if err := r.read(); err != nil {
			return nil, 0, err
		}
	}
	return r, side, nil
}

// read reads the next row of the picture.
func (r *pngRows) read() error {
	r.row, r.before = r.before, r.row
	if _, err := io.ReadFull(r.pixels, r.row); err != nil {
		return err
	}
	r.y++
	size := max(1, r.channels()*int(r.depth)/8)
	return unfilter(r.row[0], size, r.row[1:], r.before[1:])
}

// next implements rows.
func (r *pngRows) next(row []byte) error {
	if row == nil {
		return r.finish()
	}
	if err := r.read(); err != nil {
		return err
	}
	for i := range r.side {
		r.pixel(row[4*i:][:4:4], r.x+i)
	}
	return nil
}

// finish reads the rows below the square and the checksum of all.
func (r *pngRows) finish() error {
	for r.y < r.height {
		if err := r.read(); err != nil {
			return err
		}
	}
	if n, err := r.pixels.Read(r.row[:1]); n != 0 || !errors.Is(err, io.EOF) {
		return ErrDamaged
	}
	return nil
}

// pixel sets px to the pixel in column x of the row.
func (r *pngRows) pixel(px []byte, x int) {
	line := r.row[1:]
	if r.depth < 8 {
		r.packed(px, line, x)
		return
	}
	size := int(r.depth) / 8
	s := line[x*r.channels()*size:]
	alpha := byte(0xff)
	if r.transparent != nil && (r.color == pngGray || r.color == pngRGB) && r.isTransparent(s) {
		alpha = 0
	}
	switch r.color { // of 16 bits the upper 8
	case pngGray:
		premultiply(px, s[0], s[0], s[0], alpha)
	case pngRGB:
		premultiply(px, s[0], s[size], s[2*size], alpha)
	case pngPalette:
		r.indexed(px, s[0])
	case pngGrayAlpha:
		premultiply(px, s[0], s[0], s[0], s[size])
	case pngRGBA:
		premultiply(px, s[0], s[size], s[2*size], s[3*size])
	}
}

// packed is pixel for samples of 1, 2 or 4 bits: gray or indexed.
func (r *pngRows) packed(px, line []byte, x int) {
	depth := int(r.depth)
	most := byte(1)<<depth - 1
	v := line[x*depth/8] >> (8 - depth - x*depth%8) & most
	if r.color == pngPalette {
		r.indexed(px, v)
		return
	}
	alpha := byte(0xff)
	if len(r.transparent) == 2 && r.transparent[1] == v {
		alpha = 0
	}
	gray := v * (0xff / most)
	premultiply(px, gray, gray, gray, alpha)
}

// indexed takes an index past the palette for black, as browsers do.
func (r *pngRows) indexed(px []byte, i byte) {
	if copy(px, r.palette[i][:]); int(i) >= r.entries {
		px[3] = 0xff
	}
}

// isTransparent reports whether s begins with the color that tRNS calls transparent, in 2 bytes a sample.
func (r *pngRows) isTransparent(s []byte) bool {
	for c := range r.channels() {
		switch {
		case len(r.transparent) < 2*c+2:
			return false
		case r.depth == 8 && s[c] != r.transparent[2*c+1]:
			return false
		case r.depth == 16 && !bytes.Equal(s[2*c:2*c+2], r.transparent[2*c:2*c+2]):
			return false
		}
	}
	return true
}

func premultiply(px []byte, r, g, b, a byte) {
	if a != 0xff {
		m := uint32(a)
		r, g, b = byte(uint32(r)*m/0xff), byte(uint32(g)*m/0xff), byte(uint32(b)*m/0xff)
	}
	px[0], px[1], px[2], px[3] = r, g, b, a
}

// unfilter undoes a row's filter (W3C PNG §9). size is that of a pixel in bytes.
func unfilter(filter byte, size int, row, before []byte) error {
	switch filter {
	case 0:
	case 1: // sub
		for i := size; i < len(row); i++ {
			row[i] += row[i-size]
		}
	case 2: // up
		for i, b := range before {
			row[i] += b
		}
	case 3: // average
		for i, b := range before {
			left := 0
			if i >= size {
				left = int(row[i-size])
			}
			row[i] += byte((left + int(b)) / 2)
		}
	case 4: // Paeth
		for i, b := range before {
			if i < size {
				row[i] += b
				continue
			}
			row[i] += paeth(int(row[i-size]), int(b), int(before[i-size]))
		}
	default:
		return ErrDamaged
	}
	return nil
}

// paeth returns which of its neighbors left, above and above left is nearest to left + above - corner.
func paeth(left, above, corner int) byte {
	dl, da := above-corner, left-corner
	dc := dl + da
	dl, da, dc = max(dl, -dl), max(da, -da), max(dc, -dc)
	switch {
	case dl <= da && dl <= dc:
		return byte(left)
	case da <= dc:
		return byte(above)
	default:
		return byte(corner)
	}
}

// idat reads the payloads of the IDAT chunks, which are one zlib stream. The stream's own checksum covers the pixels.
type idat struct {
	data []byte // from a chunk's head on
	now  []byte // what is left of the current payload
}

// Read implements io.Reader.
func (d *idat) Read(p []byte) (int, error) {
	for len(d.now) == 0 {
		if len(d.data) < 12 || string(d.data[4:8]) == "IEND" {
			return 0, io.ErrUnexpectedEOF
		}
		length := int64(binary.BigEndian.Uint32(d.data))
		if length+12 > int64(len(d.data)) {
			return 0, io.ErrUnexpectedEOF
		}
		if string(d.data[4:8]) == "IDAT" {
			d.now = d.data[8 : 8+length]
		}
		d.data = d.data[12+length:]
	}
	n := copy(p, d.now)
	d.now = d.now[n:]
	return n, nil
}
