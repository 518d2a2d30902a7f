package picture

import (
	"bytes"
	"compress/zlib"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pngZoo returns a PNG of each color type and depth, with and without transparency and interlace.
func pngZoo(t testing.TB) map[string][]byte {
	t.Helper()
	zoo := map[string][]byte{}
	src := quarters(700, 660)
	glass := image.NewUniform(color.NRGBA{200, 100, 50, 90})
	draw.Draw(src, image.Rect(100, 100, 300, 300), glass, image.Point{}, draw.Src)
	for name, img := range map[string]draw.Image{
		"gray8": image.NewGray(src.Rect), "gray16": image.NewGray16(src.Rect), "rgba8": image.NewNRGBA(src.Rect),
		"rgba16": image.NewNRGBA64(src.Rect), "palette8": image.NewPaletted(src.Rect, palette.WebSafe),
		"palette1": image.NewPaletted(src.Rect, color.Palette{red, color.NRGBA{10, 200, 30, 100}}),
		"palette4": image.NewPaletted(src.Rect, color.Palette{red, green, blue, gray, color.Transparent}),
	} {
		draw.Draw(img, src.Rect, src, image.Point{}, draw.Src)
		zoo[name] = pngOf(t, img)
	}
	for name, c := range map[string]struct {
		color, depth byte
		channels     int
		trns         []byte
	}{
		"raw gray1": {pngGray, 1, 1, nil}, "raw gray2": {pngGray, 2, 1, nil}, "raw gray4": {pngGray, 4, 1, nil},
		"raw gray4 key": {pngGray, 4, 1, []byte{0, 5}}, "raw gray8 key": {pngGray, 8, 1, []byte{0, 77}},
		"raw gray16 key": {pngGray, 16, 1, []byte{7, 7}}, "raw rgb8": {pngRGB, 8, 3, nil},
		"raw rgb8 key": {pngRGB, 8, 3, []byte{0, 1, 0, 1, 0, 1}}, "raw rgb16": {pngRGB, 16, 3, nil},
		"raw rgb16 key": {pngRGB, 16, 3, make([]byte, 6)}, "raw gray alpha 8": {pngGrayAlpha, 8, 2, nil},
		"raw gray alpha 16": {pngGrayAlpha, 16, 2, nil}, "raw rgba16": {pngRGBA, 16, 4, nil},
	} {
		zoo[name] = randomPNG(t, c.color, c.depth, c.channels, 0, c.trns)
	}
	return zoo
}

// randomPNG has 65 times 50 pixels and each filter.
func randomPNG(t testing.TB, color, depth byte, channels int, interlace byte, trns []byte) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	for y := range 50 {
		row := []byte{byte(y % 5)}
		for range (65*channels*int(depth) + 7) / 8 {
			row = append(row, byte(random.IntN(3)*random.IntN(40)))
		}
		_, err := z.Write(row)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	half := b.Len() / 2
	chunks := [][]byte{pngChunk("IDAT", b.Bytes()[:half]), pngChunk("IDAT", nil), pngChunk("IDAT", b.Bytes()[half:])}
	if trns != nil {
		chunks = append([][]byte{pngChunk("tRNS", trns)}, chunks...)
	}
	return rawPNG(65, 50, depth, color, interlace, chunks...)
}

func TestUnfilter(t *testing.T) {
	t.Parallel()
	assert.ErrorIs(t, unfilter(5, 1, []byte{1}, []byte{1}), ErrDamaged)
	assert.Equal(t, byte(3), paeth(3, 3, 3))
	assert.Equal(t, byte(9), paeth(1, 9, 1), "the one above, where left and corner are alike")
}
