package picture

import (
	"encoding/binary"
	"image"
	"image/color"
	"math/bits"
)

// testJPEG writes JPEGs that image/jpeg does not: each block has one color, so that they are small and need no more
// than two trivial Huffman tables.
type testJPEG struct {
	sof       byte
	size      image.Point
	sampling  []byte               // of each component
	colorAt   func(x, y int) []int // samples of the block at x, y of a component's grid; nil: all 128
	separate  bool                 // a scan for each component, instead of one for all
	scans     int                  // further scans, progressive only
	adobe     []byte               // its transform; nil: no Adobe segment
	precision byte                 // 0: 8
}

func (j testJPEG) bytes() []byte {
	b := []byte{0xff, 0xd8}
	if j.adobe != nil {
		b = segment(b, 0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), j.adobe...))
	}
	table := make([]byte, 65)
	for i := range 64 {
		table[i+1] = 8
	}
	b = segment(b, 0xdb, table)
	b = segment(b, j.sof, j.frame())
	dc := append([]byte{0x00, 0, 0, 0, 12}, make([]byte, 12)...) // twelve codes of 4 bits: sizes 0 to 11
	for s := range 12 {
		dc = append(dc, byte(s))
	}
	b = segment(b, 0xc4, dc)
	b = segment(b, 0xc4, append([]byte{0x10, 1}, make([]byte, 16)...)) // the one bit 0: end of block
	if all := j.all(); j.separate {
		for _, c := range all {
			b = j.scan(b, []int{c}, 0)
		}
	} else {
		b = j.scan(b, all, 0)
	}
	for i := range j.scans {
		b = j.scan(b, []int{i % len(j.sampling)}, 1)
	}
	return append(b, 0xff, 0xd9)
}

func (j testJPEG) all() []int {
	var all []int
	for c := range j.sampling {
		all = append(all, c)
	}
	return all
}

func segment(b []byte, marker byte, payload []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, 0xff, marker), uint16(len(payload)+2))
	return append(b, payload...)
}

func (j testJPEG) frame() []byte {
	precision := j.precision
	if precision == 0 {
		precision = 8
	}
	b := binary.BigEndian.AppendUint16([]byte{precision}, uint16(j.size.Y))
	b = append(binary.BigEndian.AppendUint16(b, uint16(j.size.X)), byte(len(j.sampling)))
	for c, s := range j.sampling {
		b = append(b, byte(c+1), s, 0)
	}
	return b
}

// scan appends a scan: of the first coefficients and, when sequential, of the others, or of the others alone.
func (j testJPEG) scan(b []byte, components []int, start byte) []byte {
	head := []byte{byte(len(components))}
	for _, c := range components {
		head = append(head, byte(c+1), 0)
	}
	end := start * 63
	if j.sof != 0xc2 {
		end = 63
	}
	b = segment(b, 0xda, append(head, start, end, 0))
	w := &msbWriter{b: b}
	j.blocks(components, func(c, x, y int, before *int) {
		if start == 0 {
			j.direct(w, c, x, y, before)
		}
		if end > 0 {
			w.put(0, 1)
		}
	})
	for w.used != 0 {
		w.put(1, 1)
	}
	return w.b
}

// blocks calls f for each block in the order of a scan (T.81 §A.2).
func (j testJPEG) blocks(components []int, f func(c, x, y int, before *int)) {
	across, down := 1, 1
	for _, s := range j.sampling {
		across, down = max(across, int(s>>4)), max(down, int(s&15))
	}
	before := make([]int, len(j.sampling))
	ceil := func(a, b int) int { return (a + b - 1) / b }
	if len(components) == 1 {
		c := components[0]
		h, v := int(j.sampling[c]>>4), int(j.sampling[c]&15)
		for y := range ceil(ceil(j.size.Y*v, down), 8) {
			for x := range ceil(ceil(j.size.X*h, across), 8) {
				f(c, x, y, &before[c])
			}
		}
		return
	}
	for my := range ceil(j.size.Y, 8*down) {
		for mx := range ceil(j.size.X, 8*across) {
			for _, c := range components {
				h, v := int(j.sampling[c]>>4), int(j.sampling[c]&15)
				for i := range h * v {
					f(c, mx*h+i%h, my*v+i/h, &before[c])
				}
			}
		}
	}
}

// direct writes a block's first coefficient as the difference from the one before.
func (j testJPEG) direct(w *msbWriter, c, x, y int, before *int) {
	level := 0
	if j.colorAt != nil {
		level = j.colorAt(x, y)[c] - 128
	}
	diff := level - *before
	*before = level
	size := bits.Len(uint(max(diff, -diff)))
	w.put(uint32(size), 4)
	if diff < 0 {
		diff--
	}
	w.put(uint32(diff)&(1<<size-1), size)
}

// msbWriter writes the bits of a scan, with a 0 byte stuffed behind each 0xff.
type msbWriter struct {
	b    []byte
	now  byte
	used int
}

func (w *msbWriter) put(v uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		w.now = w.now<<1 | byte(v>>i&1)
		if w.used++; w.used < 8 {
			continue
		}
		w.b = append(w.b, w.now)
		if w.now == 0xff {
			w.b = append(w.b, 0)
		}
		w.now, w.used = 0, 0
	}
}

// quarterBlocks is quarters for a testJPEG of w times h blocks without subsampling, in YCbCr.
func quarterBlocks(w, h int) func(x, y int) []int {
	return func(x, y int) []int {
		c := []color.NRGBA{red, green, blue, gray}[2*y/h*2+2*x/w]
		yy, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
		return []int{int(yy), int(cb), int(cr)}
	}
}
