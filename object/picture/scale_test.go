package picture

import (
	"bytes"
	"image"
	"testing"

	"github.com/stretchr/testify/assert"
)

// shrink runs gray values, row by row, through a shrinker.
func shrink(to int, square ...[]byte) [][]byte {
	s := newShrinker(len(square), to)
	for _, line := range square {
		var row []byte
		for _, v := range line {
			row = append(row, v, v, v, 0xff)
		}
		s.add(row)
	}
	var out [][]byte
	for y := range to {
		var line []byte
		for x := range to {
			line = append(line, s.dst.RGBAAt(x, y).G)
		}
		out = append(out, line)
	}
	return out
}

func TestShrinker(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	assert.Equal(t, [][]byte{{7}}, shrink(1, []byte{7}))
	assert.Equal(t, [][]byte{{1, 2}, {3, 4}}, shrink(2, []byte{1, 2}, []byte{3, 4}))
	assert.Equal(t, [][]byte{{25}}, shrink(1, []byte{10, 20}, []byte{30, 40}))
	// Half of the middle row and column goes to each side: (4*0 + 2*90 + 2*90 + 1*90) / 9.
	assert.Equal(t, [][]byte{{50, 50}, {50, 50}}, shrink(2, []byte{0, 90, 0}, []byte{90, 90, 90}, []byte{0, 90, 0}))
	for _, from := range []int{2, 3, 7, 640, 641, 1279, 4001} {
		for _, to := range []int{1, 2, from/2 + 1, from - 1, from} {
			white := bytes.Repeat([]byte{0xff}, from)
			square := make([][]byte, from)
			for i := range square {
				square[i] = white
			}
			for _, line := range shrink(to, square...) {
				assert.Equal(t, white[:to], line, "%d to %d", from, to)
			}
			if from > 1000 {
				break
			}
		}
	}
}

func TestResizeKeepsTheSquare(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	square := image.NewRGBA(image.Rect(0, 0, 5, 5))
	assert.Same(t, square, resize(square, 5))
	assert.Equal(t, 9, resize(square, 9).Rect.Dx())
	assert.Equal(t, 2, resize(square, 2).Rect.Dx())
	assert.Same(t, square, orient(square, 0))
	assert.Same(t, square, orient(square, 1))
}
