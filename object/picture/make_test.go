package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	red   = color.NRGBA{R: 220, A: 255}
	green = color.NRGBA{G: 200, A: 255}
	blue  = color.NRGBA{B: 210, A: 255}
	gray  = color.NRGBA{R: 120, G: 120, B: 120, A: 255}
)

// quarters has four colors: red, green / blue, gray.
func quarters(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i, c := range []color.Color{red, green, blue, gray} {
		at := image.Pt(i%2*w/2, i/2*h/2)
		draw.Draw(img, image.Rect(at.X, at.Y, w, h), image.NewUniform(c), image.Point{}, draw.Src)
	}
	return img
}

// photo is a picture with the gradients and the noise of a real one.
func photo(w, h int, noise int) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	random := rand.New(rand.NewPCG(1, 2))
	for y := range h {
		for x := range w {
			img.Y[img.YOffset(x, y)] = uint8(20 + 180*x/w + 20*y/h + random.IntN(noise))
		}
	}
	for i := range img.Cb {
		x, y := i%img.CStride, i/img.CStride
		img.Cb[i], img.Cr[i] = uint8(90+60*x/img.CStride), uint8(100+50*y*2/h)
	}
	return img
}

func jpegOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}))
	return b.Bytes()
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img))
	return b.Bytes()
}

func gifOf(t testing.TB, screen image.Point, frames ...*image.Paletted) []byte {
	t.Helper()
	g := &gif.GIF{Config: image.Config{Width: screen.X, Height: screen.Y}}
	for _, f := range frames {
		g.Image, g.Delay = append(g.Image, f), append(g.Delay, 1)
	}
	var b bytes.Buffer
	require.NoError(t, gif.EncodeAll(&b, g))
	return b.Bytes()
}

// phonePhoto is a JPEG of 12 megapixels and about 3 MB.
func phonePhoto(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, photo(4000, 3000, 29), &jpeg.Options{Quality: 85}))
	require.InDelta(t, 3<<20, b.Len(), 1<<19)
	return b.Bytes()
}

// tiff is EXIF data with an orientation.
func tiff(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order == binary.BigEndian {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2) // entries
	for _, e := range [][2]uint16{{0x0100, 1}, {0x0112, orientation}} {
		b = order.AppendUint16(order.AppendUint16(b, e[0]), 3)
		b = order.AppendUint16(order.AppendUint32(b, 1), e[1])
		b = append(b, 0, 0)
	}
	return order.AppendUint32(b, 0)
}

// withSegment puts a segment behind a JPEG's first two bytes.
func withSegment(data []byte, marker byte, payload []byte) []byte {
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, marker}, uint16(len(payload)+2))
	return append(append(head, payload...), data[2:]...)
}

func withExif(data, tiff []byte) []byte {
	return withSegment(data, 0xe1, append([]byte("Exif\x00\x00"), tiff...))
}

func pngChunk(id string, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	b = append(append(b, id...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// withChunk puts a chunk behind a PNG's header.
func withChunk(data []byte, id string, payload []byte) []byte {
	const header = 8 + 25
	return bytes.Join([][]byte{data[:header], pngChunk(id, payload), data[header:]}, nil)
}

// rawPNG is a PNG with a header of one's own; the pixels are what it is given, compressed.
func rawPNG(w, h uint32, depth, color, interlace byte, chunks ...[]byte) []byte {
	ihdr := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	b := append([]byte(pngMagic), pngChunk("IHDR", append(ihdr, depth, color, 0, 0, interlace))...)
	for _, c := range chunks {
		b = append(b, c...)
	}
	return append(b, pngChunk("IEND", nil)...)
}

// riff is a WebP file of chunks.
func riff(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func riffChunk(id string, payload []byte) []byte {
	b := append(binary.LittleEndian.AppendUint32([]byte(id), uint32(len(payload))), payload...)
	return append(b, make([]byte, len(payload)%2)...)
}

// lossyVP8 is a key frame of nothing but zeros, which any decoder reads as middle gray (RFC 6386: each bit that a
// partition of zeros holds is a 0).
func lossyVP8(w, h int) []byte {
	const first = 100_000
	b := []byte{first<<5&0xff | 0x10, first >> 3 & 0xff, first >> 11, 0x9d, 0x01, 0x2a}
	b = binary.LittleEndian.AppendUint16(b, uint16(w))
	b = binary.LittleEndian.AppendUint16(b, uint16(h))
	return append(b, make([]byte, 2*first)...)
}

// losslessVP8 is a VP8L bitstream with 8 bits for each sample (RFC 9649 §3).
func losslessVP8(img *image.NRGBA) []byte {
	w := &bitWriter{b: []byte{0x2f}}
	w.put(uint32(img.Rect.Dx()-1), 14)
	w.put(uint32(img.Rect.Dy()-1), 14)
	w.put(1, 1) // alpha
	w.put(0, 3) // version
	w.put(0, 3) // no transform, no color cache, one group of codes
	for _, symbols := range []int{280, 256, 256, 256} {
		w.put(0, 1)       // not a simple code
		w.put(12-4, 4)    // lengths of 12 code length codes follow, in the order 17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8
		w.put(1<<6, 3*11) // of 0: 1 bit
		w.put(1, 3)       // of 8: 1 bit
		w.put(0, 1)       // all symbols
		for s := range symbols {
			w.put(uint32((255-min(s, 256)+256)/256), 1)
		}
	}
	w.put(1, 4) // distances: a simple code of the one symbol 0
	for i := 0; i < len(img.Pix); i += 4 {
		for _, c := range []int{1, 0, 2, 3} {
			w.put(uint32(bits.Reverse8(img.Pix[i+c])), 8)
		}
	}
	return w.b
}

type bitWriter struct {
	b    []byte
	used int // bits of the last byte, 0 when it is full
}

func (w *bitWriter) put(v uint32, n int) {
	for i := range n {
		if w.used == 0 {
			w.b = append(w.b, 0)
		}
		if i < 32 && v>>i&1 == 1 {
			w.b[len(w.b)-1] |= 1 << w.used
		}
		w.used = (w.used + 1) % 8
	}
}

// vp8x is the chunk of an extended WebP; anmf that of a frame.
func vp8x(flags byte, w, h int) []byte {
	return riffChunk("VP8X", append([]byte{flags, 0, 0, 0}, size24(w, h)...))
}

func anmf(w, h int, chunks ...[]byte) []byte {
	head := append(make([]byte, 6), size24(w, h)...)
	return riffChunk("ANMF", append(append(head, 0, 0, 0, 0), bytes.Join(chunks, nil)...))
}

func size24(w, h int) []byte {
	w, h = w-1, h-1
	return []byte{byte(w), byte(w >> 8), byte(w >> 16), byte(h), byte(h >> 8), byte(h >> 16)}
}

// at returns the color in the middle of one of a thumbnail's quarters.
func at(img image.Image, right, down int) color.NRGBA {
	side := img.Bounds().Dx()
	return color.NRGBAModel.Convert(img.At(side/4+right*side/2, side/4+down*side/2)).(color.NRGBA)
}
