package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
)

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
