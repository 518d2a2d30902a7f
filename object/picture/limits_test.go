package picture

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLimits holds what Maker's comment promises of files of 3 MB, in pictures of 4 to 3.
func TestLimits(t *testing.T) {
	t.Parallel()
	m := newMaker()
	const size = 3 << 20
	jpeg := func(sof byte, sampling ...byte) func(w, h int) (*plan, error) {
		return func(w, h int) (*plan, error) {
			head := &jpegHead{plan: plan{width: w, height: h}, sof: sof, interleaved: true}
			for i, s := range sampling {
				head.components = append(head.components, [3]byte{byte(i), s, 0})
			}
			return head.choose(size, m.most)
		}
	}
	webp := func(w webpHead) func(width, height int) (*plan, error) {
		return func(width, height int) (*plan, error) {
			w.width, w.height, w.frame = width, height, &webpChunk{}
			return w.plan(size)
		}
	}
	for name, c := range map[string]struct {
		megapixels int
		plan       func(w, h int) (*plan, error)
	}{
		"baseline 4:2:0":    {39, jpeg(0xc0, 0x22, 0x11, 0x11)},
		"baseline 4:4:4":    {39, jpeg(0xc0, 0x11, 0x11, 0x11)},
		"progressive 4:2:0": {5, jpeg(0xc2, 0x22, 0x11, 0x11)},
		"CMYK":              {5, jpeg(0xc0, 0x11, 0x11, 0x11, 0x11)},
		"lossy":             {23, webp(webpHead{})},
		"lossless":          {5, webp(webpHead{lossless: true})},
		"transparent":       {3, webp(webpHead{alpha: &webpChunk{}})},
		"interlaced": {5, func(w, h int) (*plan, error) {
			return (&pngHead{plan: plan{width: w, height: h}, depth: 8, color: pngRGB, interlaced: true}).choose(size)
		}},
		"deep": {39, func(w, h int) (*plan, error) {
			return (&pngHead{plan: plan{width: w, height: h}, depth: 16, color: pngRGBA}).choose(size)
		}},
	} {
		unit := 1
		for 12*unit*unit < c.megapixels*1_000_000 {
			unit++
		}
		p, err := c.plan(4*unit, 3*unit)
		require.NoError(t, err, name)
		assert.LessOrEqual(t, p.cost+m.outcome(), m.gate.size, name)
	}
}
