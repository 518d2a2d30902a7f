package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	"image/color"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// corpusFile is an upload; want is nil where there must be thumbnails.
type corpusFile struct {
	name string
	data []byte
	want error
}

func corpus(t testing.TB) []corpusFile {
	t.Helper()
	var all []corpusFile
	add := func(name string, want error, data []byte) { all = append(all, corpusFile{name, data, want}) }
	addForeign(add)
	addCutOff(t, add)
	addBombs(t, add)
	addLarge(t, add)
	return all
}

type adder func(name string, want error, data []byte)

func addForeign(add adder) {
	for name, text := range map[string]string{
		"empty": "", "one byte": "\xff", "html": "<!doctype html><script>alert(1)</script>",
		"svg": `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`,
		"xml": `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><svg>&y;</svg>`,
		"pdf": "%PDF-1.7\n\xff\xd8\xff\xe0", "zip": "PK\x03\x04\x14\x00\x00\x00\x08\x00", "bmp": "BM\x36\x00\x0c\x00\x00\x00",
		"tiff": "II*\x00\x08\x00\x00\x00", "avif": "\x00\x00\x00\x20ftypavif\x00\x00", "wav": "RIFF\x24\x00\x00\x00WAVEfmt ",
		"text before": " \xff\xd8\xff\xe0", "exe": "MZ\x90\x00",
	} {
		add(name, ErrUnsupported, []byte(text))
	}
	add("11 MB", ErrTooLarge, append([]byte("\xff\xd8\xff\xe0"), make([]byte, 11<<20)...))
}

func addCutOff(t testing.TB, add adder) {
	img := quarters(300, 300)
	for name, data := range map[string][]byte{
		"jpeg": jpegOf(t, img), "large jpeg": jpegOf(t, photo(2600, 2600, 9)), "png": pngOf(t, photo(300, 300, 9)),
		"gif":  gifOf(t, img.Rect.Max, image.NewPaletted(img.Rect, color.Palette{red, blue})),
		"webp": riff(riffChunk("VP8L", losslessVP8(img))), "lossy webp": riff(riffChunk("VP8 ", lossyVP8(300, 300))),
		"progressive": testJPEG{sof: 0xc2, size: image.Pt(2000, 2000), sampling: []byte{0x11}, scans: 3}.bytes(),
	} {
		for _, n := range []int{4, 12, 20, 30, len(data) / 2, len(data) * 9 / 10} {
			want := error(ErrDamaged)
			if n == 4 && (name == "gif" || name == "webp" || name == "lossy webp" || name == "png") {
				want = ErrUnsupported
			}
			add("cut off: "+name, want, data[:n:n])
		}
	}
	flipped := bytes.Clone(pngOf(t, photo(300, 300, 9)))
	flipped[len(flipped)/2] ^= 0x40
	add("a bit of a png", ErrDamaged, flipped)
}

// zeros returns n bytes of 0, compressed.
func zeros(t testing.TB, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	require.NoError(t, err)
	block := make([]byte, 1<<16)
	for ; n > 0; n -= int64(len(block)) {
		_, err := z.Write(block[:min(n, int64(len(block)))])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func addBombs(t testing.TB, add adder) {
	nothing := pngChunk("IDAT", zeros(t, 100))
	plain := image.Rect(0, 0, 20, 20)
	add("png of 60000x60000", ErrTooManyPixels, rawPNG(60000, 60000, 8, 6, 0, nothing))
	add("png of 2^31 in a row", ErrDamaged, rawPNG(1<<31, 1, 8, 6, 0, nothing))
	add("png 40 million wide", ErrTooManyPixels, rawPNG(39_000_000, 1, 16, 6, 0, nothing))
	add("png of no height", ErrDamaged, rawPNG(10, 0, 8, 6, 0, nothing))
	add("png that promises 40 MP", ErrDamaged, rawPNG(6300, 6300, 16, 6, 0, nothing))
	add("png with too much in it", ErrDamaged, rawPNG(1, 1, 8, 6, 0, pngChunk("IDAT", zeros(t, 200<<20))))
	profile := append([]byte("x\x00\x00"), zeros(t, 50<<20)...)
	add("png with a bomb of a profile", nil, withChunk(pngOf(t, image.NewNRGBA(plain)), "iCCP", profile))
	add("png, huge and interlaced", ErrTooManyPixels, rawPNG(6300, 6300, 8, 6, 1, nothing))
	add("png, 5 MP and interlaced", ErrDamaged, rawPNG(2100, 2100, 8, 6, 1, nothing))
	add("png without a palette", ErrDamaged, rawPNG(1, 1, 8, 3, 0, nothing))
	add("png of an odd depth", ErrDamaged, rawPNG(1, 1, 3, 0, 0, nothing))

	screen := gifOf(t, plain.Max, image.NewPaletted(plain, color.Palette{red}))
	binary.LittleEndian.PutUint16(screen[6:], 65535)
	add("gif with a wide screen", nil, bytes.Clone(screen))
	binary.LittleEndian.PutUint16(screen[8:], 65535)
	add("gif with a huge screen", ErrTooManyPixels, screen)
	frames := make([]*image.Paletted, 3000)
	for i := range frames {
		frames[i] = image.NewPaletted(image.Rect(0, 0, 300, 300), color.Palette{red})
	}
	add("gif of 3000 frames", nil, gifOf(t, image.Pt(300, 300), frames...))

	colors := []byte{0x22, 0x11, 0x11}
	flat := testJPEG{sof: 0xc0, size: image.Pt(64, 64), sampling: colors}.bytes()
	huge := bytes.Clone(flat)
	at := bytes.Index(huge, []byte{0xff, 0xc0})
	copy(huge[at+5:], "\xff\xff\xff\xff")
	add("jpeg of 65535x65535", ErrTooManyPixels, bytes.Clone(huge))
	copy(huge[at+5:], "\x18\x00\x18\x00")
	add("jpeg that promises 38 MP", ErrDamaged, huge)
	scans := testJPEG{sof: 0xc2, size: image.Pt(1000, 1000), sampling: colors, scans: 500}
	add("jpeg of many scans", ErrDamaged, scans.bytes())
	add("webp that promises 260 MP", ErrTooManyPixels, riff(riffChunk("VP8 ", lossyVP8(16383, 16383)[:1000])))
	add("webp that promises 20 MP", ErrDamaged, riff(riffChunk("VP8 ", lossyVP8(5000, 4000)[:1000])))
	add("webp of two sizes", nil, riff(vp8x(0, 1, 1), riffChunk("VP8L", losslessVP8(quarters(20, 20)))))
	add("webp without a frame", ErrDamaged, riff(vp8x(2, 9, 9), riffChunk("ANIM", make([]byte, 6))))
	alpha := riffChunk("ALPH", append([]byte{1}, make([]byte, 999)...))
	for side, want := range map[int]error{4000: ErrTooManyPixels, 1500: ErrDamaged} {
		frame := riffChunk("VP8 ", lossyVP8(side, side))
		add("webp with a broken alpha", want, riff(vp8x(0x10, side, side), alpha, frame))
	}
}

// addLarge adds what is as large as may be.
func addLarge(t testing.TB, add adder) {
	colors := []byte{0x22, 0x11, 0x11}
	full := []byte{0x11, 0x11, 0x11}
	add("phone photo", nil, phonePhoto(t))
	add("jpeg of 40 MP", nil, testJPEG{sof: 0xc0, size: image.Pt(7300, 5470), sampling: colors}.bytes())
	add("jpeg of 40 MP, 4:4:4", nil, testJPEG{sof: 0xc0, size: image.Pt(5470, 7300), sampling: full}.bytes())
	add("jpeg, a strip", nil, testJPEG{sof: 0xc0, size: image.Pt(40000, 1000), sampling: full}.bytes())
	add("jpeg of 8 MP, 4:4:4", nil, testJPEG{sof: 0xc0, size: image.Pt(3300, 2500), sampling: full}.bytes())
	add("progressive, 5 MP", nil, testJPEG{sof: 0xc2, size: image.Pt(2600, 1900), sampling: colors, scans: 9}.bytes())
	add("progressive, 12 MP", ErrTooManyPixels, testJPEG{sof: 0xc2, size: image.Pt(4000, 3000), sampling: colors}.bytes())
	cmyk := testJPEG{sof: 0xc0, size: image.Pt(2000, 2000), sampling: append(full, 0x11), adobe: []byte{2}}
	add("cmyk, 4 MP", nil, cmyk.bytes())
	padded := testJPEG{sof: 0xc0, size: image.Pt(7300, 5470), sampling: colors}.bytes()
	add("jpeg of 40 MP and 10 MB", nil, append(padded, make([]byte, MaxBytes-len(padded))...))
	for name, h := range map[string]struct {
		depth, color byte
		bytes        int64
	}{"rgba16": {16, 6, 8}, "rgb8": {8, 2, 3}, "gray8": {8, 0, 1}} {
		pixels := pngChunk("IDAT", zeros(t, 6300*(6300*h.bytes+1)))
		add("png of 40 MP, "+name, nil, rawPNG(6300, 6300, h.depth, h.color, 0, pixels))
	}
	noise := make([]byte, 3*1700*1800)
	for i := range noise {
		noise[i] = byte(rand.IntN(256))
	}
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	for y := range 1800 {
		_, err := z.Write(append([]byte{4}, noise[y*3*1700:(y+1)*3*1700]...))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	add("png of 9 MB of noise", nil, rawPNG(1700, 1800, 8, 2, 0, pngChunk("IDAT", b.Bytes())))
	large := image.NewPaletted(image.Rect(0, 0, 5000, 3800), color.Palette{red, green})
	add("gif of 19 MP", nil, gifOf(t, large.Rect.Max, large))
	add("webp of 20 MP", nil, riff(riffChunk("VP8 ", append(lossyVP8(5000, 4000), make([]byte, 2<<20)...))))
	add("lossless webp of 2 MP", nil, riff(riffChunk("VP8L", losslessVP8(quarters(1600, 1250)))))
}

// TestCorpus works on all bad and extreme files, each alone and then many at once, and watches the process's memory.
// It is not parallel, so that the memory is its own.
func TestCorpus(t *testing.T) {
	skipUnderRace(t)
	files, bad := onDisk(t, corpus(t)), 0
	m := newMaker()
	work := func(t *testing.T, f *diskFile) {
		thumbs, err := m.Thumbnails(t.Context(), f, f.size)
		if f.want == nil {
			assert.NoError(t, err, f.name)
			assert.Len(t, thumbs, 2, f.name)
			return
		}
		assert.ErrorIs(t, err, f.want, f.name)
		assert.Empty(t, thumbs, f.name)
	}
	watch := watchMemory()
	for _, f := range files {
		work(t, f)
		if f.want != nil {
			bad++
		}
	}
	alone := watch()
	t.Logf("%d files, %d of them refused: at most %d MB over idle", len(files), bad, alone>>20)
	assert.Less(t, alone, int64(64<<20))

	watch = watchMemory()
	var wg sync.WaitGroup
	next := make(chan *diskFile)
	for range 16 {
		wg.Go(func() {
			for f := range next {
				work(t, f)
			}
		})
	}
	for _, i := range rand.Perm(len(files)) {
		next <- files[i]
	}
	close(next)
	wg.Wait()
	together := watch()
	t.Logf("16 at once: at most %d MB over idle", together>>20)
	assert.Less(t, together, int64(64<<20))
}

// diskFile is an upload as net/http keeps it: on disk.
type diskFile struct {
	*os.File
	name string
	size int64
	want error
}

func onDisk(t *testing.T, files []corpusFile) []*diskFile {
	t.Helper()
	dir, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	var all []*diskFile
	for i, f := range files {
		file, err := dir.Create(strconv.Itoa(i))
		require.NoError(t, err)
		t.Cleanup(func() { _ = file.Close() })
		_, err = io.Copy(file, bytes.NewReader(f.data))
		require.NoError(t, err)
		all = append(all, &diskFile{file, f.name, int64(len(f.data)), f.want})
	}
	return all
}

// watchMemory begins to watch what the process holds of the system's memory; the function returned ends it and gives
// the most above the beginning.
func watchMemory() func() int64 {
	debug.FreeOSMemory()
	idle := held()
	tick := time.NewTicker(time.Millisecond)
	done, most := make(chan struct{}), make(chan int64)
	go func() {
		worst := int64(0)
		for {
			select {
			case <-done:
				most <- worst
				return
			default:
				worst = max(worst, held()-idle)
				<-tick.C
			}
		}
	}()
	return func() int64 {
		close(done)
		return <-most
	}
}

func held() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

func FuzzThumbnails(f *testing.F) {
	img := quarters(30, 20)
	f.Add(jpegOf(f, img))
	f.Add(withExif(jpegOf(f, img), tiff(binary.BigEndian, 6)))
	f.Add(testJPEG{sof: 0xc2, size: img.Rect.Max, sampling: []byte{0x22, 0x11, 0x11}, scans: 3}.bytes())
	f.Add(testJPEG{sof: 0xc0, size: img.Rect.Max, sampling: []byte("\x11\x11\x11\x11"), adobe: []byte{2}}.bytes())
	f.Add(testJPEG{sof: 0xc0, size: image.Pt(1500, 1400), sampling: []byte{0x11, 0x11, 0x11}}.bytes())
	f.Add(pngOf(f, img))
	f.Add(withChunk(pngOf(f, img), "eXIf", tiff(binary.LittleEndian, 3)))
	for _, data := range pngZoo(f) {
		f.Add(data)
	}
	f.Add(randomPNG(f, pngRGBA, 8, 4, 1, nil))
	f.Add(gifOf(f, img.Rect.Max, image.NewPaletted(img.Rect, color.Palette{red, blue})))
	f.Add(riff(riffChunk("VP8L", losslessVP8(img))))
	f.Add(riff(riffChunk("VP8 ", lossyVP8(30, 20))))
	alpha := riffChunk("ALPH", make([]byte, 601))
	f.Add(riff(vp8x(2, 30, 20), anmf(30, 20, alpha, riffChunk("VP8 ", lossyVP8(30, 20)))))
	m := New(16, 40)
	f.Fuzz(func(t *testing.T, data []byte) {
		thumbs, err := m.Thumbnails(t.Context(), bytes.NewReader(data), int64(len(data)))
		if err != nil {
			var refused Error
			require.ErrorAs(t, err, &refused)
			return
		}
		require.Len(t, thumbs, 2)
		for _, thumb := range thumbs {
			img, format, err := image.Decode(bytes.NewReader(thumb.Data))
			require.NoError(t, err)
			require.Equal(t, "image/"+format, thumb.ContentType)
			require.Equal(t, thumb.Side, img.Bounds().Dx())
		}
	})
}
