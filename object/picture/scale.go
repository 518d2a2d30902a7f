package picture

import (
	"image"

	"golang.org/x/image/draw"
)

// shrinker averages a square of from pixels a side, given row by row, into one of to pixels: each pixel counts by the
// part of it that lies in the new one. It keeps one row of sums, whatever the size of the picture.
type shrinker struct {
	from, to int
	dst      *image.RGBA
	across   []uint32 // the current row, averaged across: sums of 255 * from
	sums     []uint64 // the current row of dst: sums of 255 * from * from
	y        int      // the current row of dst
	left     int      // how much of it is still to come; a row of the picture is worth to, one of dst from
}

// newShrinker returns a shrinker for to <= from.
func newShrinker(from, to int) *shrinker {
	return &shrinker{
		from: from, to: to, left: from, dst: image.NewRGBA(image.Rect(0, 0, to, to)),
		across: make([]uint32, to*4), sums: make([]uint64, to*4),
	}
}

// add takes the next row.
func (s *shrinker) add(row []byte) {
	if s.from == s.to {
		copy(s.dst.Pix[s.y*s.dst.Stride:], row)
		s.y++
		return
	}
	s.average(row)
	if s.to < s.left {
		s.sum(s.to)
		s.left -= s.to
		return
	}
	rest := s.to - s.left
	s.sum(s.left)
	s.flush()
	s.left = s.from - rest
	if rest > 0 {
		s.sum(rest)
	}
}

// average sets across.
func (s *shrinker) average(row []byte) {
	clear(s.across)
	weight, left, cell := uint32(s.to), uint32(s.from), s.across
	for ; len(row) >= 4; row = row[4:] {
		px, c := row[:4:4], cell[:4:4]
		if weight < left {
			for i, v := range px {
				c[i] += uint32(v) * weight
			}
			left -= weight
			continue
		}
		rest := weight - left
		for i, v := range px {
			c[i] += uint32(v) * left
		}
		left = uint32(s.from) - rest
		if cell = cell[4:]; rest > 0 {
			for i, v := range px {
				cell[i] += uint32(v) * rest
			}
		}
	}
}

func (s *shrinker) sum(weight int) {
	for i, v := range s.across {
		s.sums[i] += uint64(v) * uint64(weight)
	}
}

// flush writes the current row of dst and begins the next.
func (s *shrinker) flush() {
	whole := uint64(s.from) * uint64(s.from)
	out := s.dst.Pix[s.y*s.dst.Stride:]
	for i, v := range s.sums {
		out[i] = uint8((v + whole/2) / whole)
	}
	clear(s.sums)
	s.y++
}

// resize returns the square with the side given. It may return the square itself.
func resize(square *image.RGBA, side int) *image.RGBA {
	have := square.Rect.Dx()
	if side == have {
		return square
	}
	if side > have {
		dst := image.NewRGBA(image.Rect(0, 0, side, side))
		draw.ApproxBiLinear.Scale(dst, dst.Rect, square, square.Rect, draw.Src, nil)
		return dst
	}
	s := newShrinker(have, side)
	for y := range have {
		s.add(square.Pix[y*square.Stride:][:have*4])
	}
	return s.dst
}

// orient returns the square as EXIF's orientation asks: 2 mirrored, 3 upside down, 4 both, 5 to 8 the same with x and y
// exchanged. It returns the square itself for any other.
func orient(square *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return square
	}
	side := square.Rect.Dx()
	dst := image.NewRGBA(square.Rect)
	for y := range side {
		for x := range side {
			fx, fy := turned(x, y, side-1, orientation)
			copy(dst.Pix[dst.PixOffset(x, y):][:4], square.Pix[square.PixOffset(fx, fy):])
		}
	}
	return dst
}

// turned returns where the pixel comes from that is shown at x, y (CIPA DC-008, tag 0x0112).
func turned(x, y, last, orientation int) (fromX, fromY int) {
	switch orientation {
	case 2:
		return last - x, y
	case 3:
		return last - x, last - y
	case 4:
		return x, last - y
	case 5:
		return y, x
	case 6:
		return y, last - x
	case 7:
		return last - y, last - x
	default: // 8
		return last - y, x
	}
}

// middle are the rows of the middle square of a decoded image.
type middle struct {
	img image.Image
	at  image.Point
}

// middleOf returns the rows and the side of the square in the middle of bounds. Where the image does not reach it is
// transparent.
func middleOf(img image.Image, bounds image.Rectangle) (rows, int, error) {
	side := min(bounds.Dx(), bounds.Dy())
	if side < 1 {
		return nil, 0, ErrDamaged
	}
	at := bounds.Min.Add(image.Pt((bounds.Dx()-side)/2, (bounds.Dy()-side)/2))
	return &middle{img, at}, side, nil
}

// middleOfWhole is middleOf for what a decoder returns.
func middleOfWhole(img image.Image, err error) (rows, int, error) {
	if err != nil {
		return nil, 0, err
	}
	return middleOf(img, img.Bounds())
}

func (m *middle) next(row []byte) error {
	clear(row)
	line := &image.RGBA{Pix: row, Stride: len(row), Rect: image.Rect(0, 0, len(row)/4, 1)}
	draw.Draw(line, line.Rect, m.img, m.at, draw.Src)
	m.at.Y++
	return nil
}
