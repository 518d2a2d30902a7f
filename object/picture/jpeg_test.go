package picture

import (
	"image"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKindsOfJPEG(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	full := []byte{0x11, 0x11, 0x11}
	for _, size := range []image.Point{{320, 320}, {1600, 1600}, {6400, 5600}} {
		at := quarterBlocks(size.X/8, size.Y/8)
		for name, j := range map[string]testJPEG{
			"baseline":           {sof: 0xc0, sampling: full, colorAt: at},
			"extended":           {sof: 0xc1, sampling: full, colorAt: at},
			"several scans":      {sof: 0xc0, sampling: full, colorAt: at, separate: true},
			"adobe":              {sof: 0xc0, sampling: full, colorAt: at, adobe: []byte{1}},
			"progressive":        {sof: 0xc2, sampling: full, colorAt: at, scans: 3},
			"progressive apart":  {sof: 0xc2, sampling: full, colorAt: at, separate: true, scans: 6},
			"DC alone":           {sof: 0xc2, sampling: full, colorAt: at},
			"YCCK":               {sof: 0xc0, sampling: append(full, 0x11), colorAt: inks(at), adobe: []byte{2}},
			"progressive, Adobe": {sof: 0xc2, sampling: full, colorAt: at, adobe: []byte{1}, scans: 3},
		} {
			j.size = size
			if size.X > 1600 && (j.sof != 0xc0 || j.separate || len(j.sampling) > 3) {
				continue // more than there is memory for
			}
			t.Run(name, func(t *testing.T) { assertQuarters(t, j.bytes(), red, green, blue, gray) })
		}
	}
}

// inks are the same colors as Adobe writes them: cyan, magenta and yellow, turned over, as YCbCr, and no black.
func inks(at func(x, y int) []int) func(x, y int) []int {
	return func(x, y int) []int {
		c := at(x, y)
		return []int{255 - c[0], 256 - c[1], 256 - c[2], 255}
	}
}

func TestSamplings(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for _, y := range []byte{0x11, 0x12, 0x21, 0x22, 0x41, 0x42} {
		for _, sof := range []byte{0xc0, 0xc2} {
			for _, size := range []image.Point{{203, 101}, {1611, 1303}, {3001, 2777}} {
				j := testJPEG{sof: sof, size: size, sampling: []byte{y, 0x11, 0x11}, scans: int(sof & 2)}
				_, err := thumbnails(t, j.bytes())
				if size.X < 1000 || sof == 0xc0 {
					assert.NoError(t, err, "%x %x %v", y, sof, size)
				} else if err != nil {
					assert.ErrorIs(t, err, ErrTooManyPixels)
				}
			}
		}
	}
}

func TestUnsupportedJPEG(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for name, c := range map[string]struct {
		testJPEG
		want error
	}{
		"lossless":        {testJPEG{sof: 0xc3}, ErrUnsupported},
		"arithmetic":      {testJPEG{sof: 0xc9}, ErrUnsupported},
		"12 bits":         {testJPEG{sof: 0xc0, precision: 12}, ErrUnsupported},
		"too many scans":  {testJPEG{sof: 0xc2, scans: 200}, ErrDamaged},
		"large CMYK":      {testJPEG{size: image.Pt(4000, 3000), sampling: []byte("\x11\x11\x11\x11")}, ErrTooManyPixels},
		"progressive":     {testJPEG{sof: 0xc2, size: image.Pt(4000, 3000)}, ErrTooManyPixels},
		"41 megapixels":   {testJPEG{sof: 0xc0, size: image.Pt(8000, 5128)}, ErrTooManyPixels},
		"nothing":         {testJPEG{sof: 0xc0, size: image.Pt(0, 10)}, ErrDamaged},
		"5 components":    {testJPEG{sof: 0xc0, sampling: []byte("\x11\x11\x11\x11\x11")}, ErrDamaged},
		"sampled 0 times": {testJPEG{sof: 0xc0, sampling: []byte("\x00\x11\x11")}, ErrDamaged},
	} {
		if c.sof == 0 {
			c.sof = 0xc0
		}
		if c.size == (image.Point{}) {
			c.size = image.Pt(64, 64)
		}
		if c.sampling == nil {
			c.sampling = []byte{0x22, 0x11, 0x11}
		}
		_, err := thumbnails(t, c.bytes())
		assert.ErrorIs(t, err, c.want, name)
	}
}
