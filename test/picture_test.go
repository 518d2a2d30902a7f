package test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"mime/multipart"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// painted is a picture of one color.
func painted(c color.Color) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 320, 240))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
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
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

func gifOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, gif.Encode(&b, img, nil))
	return b.Bytes()
}

// webp is a picture of one pixel.
func webp(t testing.TB) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString("UklGRh4AAABXRUJQVlA4TBEAAAAvAAAAAAfQ//73v/+BiOh/AAA=")
	require.NoError(t, err)
	return data
}

// photo is a JPEG as a phone takes it: 12 megapixels, about 3 MB.
var photo = sync.OnceValue(func() []byte {
	img := image.NewYCbCr(image.Rect(0, 0, 4000, 3000), image.YCbCrSubsampleRatio420)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Y {
		img.Y[i] = uint8(60 + i%4000/40 + random.IntN(20))
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = uint8(90+i%2000/40), uint8(100+i/2000/40)
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 88}) // a Buffer takes everything
	return b.Bytes()
})

// hugePNG says that it has 60000 pixels on each side.
func hugePNG(t testing.TB) []byte {
	t.Helper()
	data := pngOf(t, painted(color.Black))
	binary.BigEndian.PutUint32(data[16:], 60000)
	binary.BigEndian.PutUint32(data[20:], 60000)
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
	return data
}

// part is one of a form; a file where it has a file's name.
type part struct {
	field, file string
	data        []byte
}

func picturePart(data []byte) part { return part{"avatar", "tmp_1a2b3c.jpg", data} }

func nickPart(name string) part { return part{field: "nickName", data: []byte(name)} }

// uploadForm is a form as wx.uploadFile sends it.
func uploadForm(t testing.TB, parts ...part) harness.Text {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, p := range parts {
		w, err := form.CreateFormField(p.field)
		if p.file != "" {
			w, err = form.CreateFormFile(p.field, p.file)
		}
		require.NoError(t, err)
		_, err = w.Write(p.data)
		require.NoError(t, err)
	}
	require.NoError(t, form.Close())
	return harness.Text{ContentType: form.FormDataContentType(), Body: body.String()}
}
