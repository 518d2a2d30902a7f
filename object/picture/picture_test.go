package picture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newMaker() *Maker { return New(132, 640) }

func thumbnails(t testing.TB, data []byte) ([]Thumbnail, error) {
	t.Helper()
	return newMaker().Thumbnails(t.Context(), bytes.NewReader(data), int64(len(data)))
}

// decoded returns the thumbnails' pictures, after it has checked what holds for all.
func decoded(t testing.TB, data []byte) []image.Image {
	t.Helper()
	thumbs, err := thumbnails(t, data)
	require.NoError(t, err)
	require.Len(t, thumbs, 2)
	var images []image.Image
	for i, side := range []int{132, 640} {
		img, format, err := image.Decode(bytes.NewReader(thumbs[i].Data))
		require.NoError(t, err)
		assert.Equal(t, side, thumbs[i].Side)
		assert.Equal(t, image.Rect(0, 0, side, side), img.Bounds())
		assert.Equal(t, "image/"+format, thumbs[i].ContentType)
		assert.Equal(t, map[string]string{"jpeg": ".jpg", "png": ".png"}[format], thumbs[i].Extension)
		assert.Less(t, len(thumbs[i].Data), 2<<20)
		images = append(images, img)
	}
	return images
}

func assertNear(t *testing.T, want, got color.NRGBA, delta float64, msg ...any) {
	t.Helper()
	for i, v := range []uint8{want.R, want.G, want.B, want.A} {
		assert.InDelta(t, v, []uint8{got.R, got.G, got.B, got.A}[i], delta, msg...)
	}
}

func assertQuarters(t *testing.T, data []byte, want ...color.NRGBA) {
	t.Helper()
	for _, img := range decoded(t, data) {
		for i, c := range want {
			assertNear(t, c, at(img, i%2, i/2), 8, "quarter %d of %d", i, img.Bounds().Dx())
		}
	}
}

func TestFormats(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	img := quarters(900, 700)
	paletted := image.NewPaletted(img.Rect, color.Palette{red, green, blue, gray})
	draw.Draw(paletted, img.Rect, img, image.Point{}, draw.Src)
	second := image.NewPaletted(img.Rect, color.Palette{gray})
	for name, data := range map[string][]byte{
		"jpeg":          jpegOf(t, img),
		"large jpeg":    jpegOf(t, quarters(3000, 2600)),
		"huge jpeg":     jpegOf(t, quarters(7300, 5470)),
		"small jpeg":    jpegOf(t, quarters(40, 30)),
		"png":           pngOf(t, img),
		"small png":     pngOf(t, quarters(2, 2)),
		"gif":           gifOf(t, img.Rect.Max, paletted, second),
		"lossless webp": riff(riffChunk("VP8L", losslessVP8(img))),
		"extended webp": riff(vp8x(0x10, 900, 700), riffChunk("VP8L", losslessVP8(img))),
		"animated webp": riff(vp8x(2, 900, 700), riffChunk("ANIM", make([]byte, 6)),
			anmf(900, 700, riffChunk("VP8L", losslessVP8(img))),
			anmf(1, 1, riffChunk("VP8L", losslessVP8(quarters(1, 1))))),
		"polyglot":     append(jpegOf(t, img), "<script>alert(1)</script>\xff\xd9PK\x03\x04"...),
		"png polyglot": append(pngOf(t, img), "<svg/>"...),
	} {
		t.Run(name, func(t *testing.T) { assertQuarters(t, data, red, green, blue, gray) })
	}
}

func TestLossyWebP(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	middle := color.NRGBA{R: 130, G: 130, B: 130, A: 255}
	assertQuarters(t, riff(riffChunk("VP8 ", lossyVP8(700, 800))), middle, middle, middle, middle)

	alpha := append([]byte{0}, bytes.Repeat([]byte{255}, 700*400)...)
	alpha = append(alpha, make([]byte, 700*400)...)
	frame := [][]byte{riffChunk("ALPH", alpha), riffChunk("VP8 ", lossyVP8(700, 800))}
	for name, data := range map[string][]byte{
		"still":    riff(append([][]byte{vp8x(0x10, 700, 800)}, frame...)...),
		"animated": riff(vp8x(0x12, 900, 900), anmf(700, 800, frame...), anmf(700, 800, frame[1])),
	} {
		for _, img := range decoded(t, data) {
			assertNear(t, middle, at(img, 0, 0), 2, name)
			assert.Zero(t, at(img, 0, 1).A, name)
		}
	}
}

func TestOrientation(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	img := quarters(801, 700)
	for o, want := range map[uint16][]color.NRGBA{
		0: {red, green, blue, gray}, 1: {red, green, blue, gray}, 2: {green, red, gray, blue},
		3: {gray, blue, green, red}, 4: {blue, gray, red, green}, 5: {red, blue, green, gray},
		6: {blue, red, gray, green}, 7: {gray, green, blue, red}, 8: {green, gray, red, blue}, 9: {red, green, blue, gray},
	} {
		assertQuarters(t, withExif(jpegOf(t, img), tiff(binary.BigEndian, o)), want...)
		assertQuarters(t, withExif(jpegOf(t, img), tiff(binary.LittleEndian, o)), want...)
		assertQuarters(t, withChunk(pngOf(t, img), "eXIf", tiff(binary.LittleEndian, o)), want...)
		assertQuarters(t, riff(vp8x(8, 801, 700), riffChunk("VP8L", losslessVP8(img)),
			riffChunk("EXIF", tiff(binary.BigEndian, o))), want...)
	}
	for n := range tiff(binary.BigEndian, 6) { // whatever is cut off, there is a picture
		decoded(t, withExif(jpegOf(t, quarters(16, 16)), tiff(binary.BigEndian, 6)[:n]))
	}
}

func TestTransparency(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	img := quarters(1400, 1300)
	draw.Draw(img, image.Rect(0, 0, 700, 650), image.Transparent, image.Point{}, draw.Src)
	for _, thumb := range decoded(t, pngOf(t, img)) {
		assert.Zero(t, at(thumb, 0, 0).A)
		assertNear(t, gray, at(thumb, 1, 1), 0)
	}
	frame := image.NewPaletted(image.Rect(150, 150, 300, 300), color.Palette{blue})
	for _, thumb := range decoded(t, gifOf(t, image.Pt(300, 300), frame)) {
		assertNear(t, blue, at(thumb, 1, 1), 0)
		assert.Zero(t, at(thumb, 0, 0).A, "where the first frame does not reach")
	}
}

func TestShapes(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for _, size := range []image.Point{{1, 1}, {1, 40000}, {40000, 1}, {3, 65535}, {40000, 1000}, {131, 133}} {
		img := image.NewNRGBA(image.Rectangle{Max: size})
		draw.Draw(img, img.Rect, image.NewUniform(blue), image.Point{}, draw.Src)
		assertQuarters(t, jpegOf(t, img), blue, blue, blue, blue)
		assertQuarters(t, pngOf(t, img), blue, blue, blue, blue)
	}
	wide := image.NewNRGBA(image.Rect(0, 0, 3000, 1000))
	draw.Draw(wide, wide.Rect, image.NewUniform(red), image.Point{}, draw.Src)
	draw.Draw(wide, image.Rect(1000, 0, 2000, 1000), image.NewUniform(green), image.Point{}, draw.Src)
	assertQuarters(t, pngOf(t, wide), green, green, green, green) // the middle
}

func TestNothingElseComesThrough(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	const secret = "GPS 48.1372 N"
	img := quarters(700, 700)
	exif := append(tiff(binary.BigEndian, 1), secret...)
	for name, data := range map[string][]byte{
		"exif":    withExif(jpegOf(t, img), exif),
		"comment": withSegment(jpegOf(t, img), 0xfe, []byte(secret)),
		"text":    withChunk(pngOf(t, img), "tEXt", []byte("Comment\x00"+secret)),
		"eXIf":    withChunk(pngOf(t, img), "eXIf", exif),
		"trailer": append(jpegOf(t, img), secret...),
		"xmp":     riff(vp8x(4, 700, 700), riffChunk("VP8L", losslessVP8(img)), riffChunk("XMP ", []byte(secret))),
	} {
		thumbs, err := thumbnails(t, data)
		require.NoError(t, err, name)
		for _, thumb := range thumbs {
			assert.NotContains(t, string(thumb.Data), secret, name)
		}
	}
}

// TestAgainstTheStandardLibrary compares our PNG rows, and the scaled decoding of JPEG, with what the standard library
// makes of the same file.
func TestAgainstTheStandardLibrary(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for name, data := range pngZoo(t) {
		img, err := png.Decode(bytes.NewReader(data))
		require.NoError(t, err, name)
		got := decoded(t, data)[1]
		assertSame(t, name, whole(t, img), got, 3)
	}
	for name, img := range map[string]image.Image{
		"photo": photo(2801, 2703, 40), "quarters": quarters(1500, 1400), "gray": grayOf(photo(2600, 2600, 60)),
	} {
		data := jpegOf(t, img)
		img, err := jpeg.Decode(bytes.NewReader(data))
		require.NoError(t, err, name)
		assertSame(t, name, whole(t, img), decoded(t, data)[1], 12)
	}
}

// whole shrinks the middle of a picture that is decoded in full.
func whole(t *testing.T, img image.Image) image.Image {
	t.Helper()
	from, side, err := middleOf(img, img.Bounds())
	require.NoError(t, err)
	s := newShrinker(side, side)
	row := make([]byte, side*4)
	for range side {
		require.NoError(t, from.next(row))
		s.add(row)
	}
	return resize(s.dst, 640)
}

// assertSame compares pictures; a JPEG in between costs a little.
func assertSame(t *testing.T, name string, want, got image.Image, delta float64) {
	t.Helper()
	var sum, worst float64
	for y := range 640 {
		for x := range 640 {
			a := color.NRGBAModel.Convert(want.At(x, y)).(color.NRGBA)
			b := color.NRGBAModel.Convert(got.At(x, y)).(color.NRGBA)
			if a.A == 0 && b.A == 0 {
				continue
			}
			for _, d := range []int{int(a.R) - int(b.R), int(a.G) - int(b.G), int(a.B) - int(b.B), int(a.A) - int(b.A)} {
				sum, worst = sum+float64(max(d, -d)), max(worst, float64(max(d, -d)))
			}
		}
	}
	t.Logf("%s: mean difference %.2f, worst %.0f", name, sum/(4*640*640), worst)
	assert.Less(t, sum/(4*640*640), delta, name)
}

func grayOf(img *image.YCbCr) *image.Gray {
	return &image.Gray{Pix: img.Y, Stride: img.YStride, Rect: img.Rect}
}

func TestReaderErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	_, err := newMaker().Thumbnails(t.Context(), brokenReader{broken}, 1000)
	assert.ErrorIs(t, err, broken)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	data := pngOf(t, quarters(700, 700))
	_, err = newMaker().Thumbnails(ctx, bytes.NewReader(data), int64(len(data)))
	assert.ErrorIs(t, err, context.Canceled)
}

type brokenReader struct{ err error }

func (r brokenReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

func TestSides(t *testing.T) {
	t.Parallel()
	data := pngOf(t, quarters(7, 7))
	thumbs, err := New(10, 20, 5).Thumbnails(t.Context(), bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	for i, side := range []int{10, 20, 5} {
		assert.Equal(t, side, thumbs[i].Side)
	}
}
