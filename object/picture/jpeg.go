package picture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image/jpeg"
	"io"

	"github.com/gen2brain/jpegn"
)

// Markers of ITU-T T.81, table B.1.
const (
	markerSOF0  = 0xc0
	markerSOF1  = 0xc1
	markerSOF2  = 0xc2
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
)

// maxScans bounds the passes over a JPEG: a progressive one has about ten, and each costs time even where it is empty.
const maxScans = 100

// jpegHead is what precedes the first scan of a JPEG.
type jpegHead struct {
	plan
	sof         byte
	components  [][3]byte // of each: id, sampling factors, quantization table
	rgb         bool      // Adobe: not YCbCr
	interleaved bool      // the first scan holds all components
}

func probeJPEG(r *bufio.Reader, size int64, side int) (*plan, error) {
	h := &jpegHead{}
	for {
		marker, length, err := nextSegment(r)
		if err != nil {
			return nil, err
		}
		switch marker {
		case markerSOF0, markerSOF1, markerSOF2, markerSOS, markerAPP1, markerAPP14:
			payload := make([]byte, length)
			if _, err := io.ReadFull(r, payload); err != nil {
				return nil, err
			}
			if marker == markerSOS {
				h.interleaved = length > 0 && int(payload[0]) == len(h.components)
				return h.choose(size, side)
			}
			err = h.take(marker, payload)
		case 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf:
			err = ErrUnsupported // lossless, hierarchical or arithmetic
		default:
			_, err = r.Discard(length)
		}
		if err != nil {
			return nil, err
		}
	}
}

// nextSegment reads to the payload of the next segment that has one.
func nextSegment(r *bufio.Reader) (marker byte, length int, err error) {
	for marker <= 0x01 || marker >= markerRST0 && marker <= 0xd8 { // alone, or none
		for marker != 0xff {
			if marker, err = r.ReadByte(); err != nil {
				return 0, 0, err
			}
		}
		for marker == 0xff {
			if marker, err = r.ReadByte(); err != nil {
				return 0, 0, err
			}
		}
	}
	var two [2]byte
	if _, err = io.ReadFull(r, two[:]); err != nil {
		return 0, 0, err
	}
	length = int(binary.BigEndian.Uint16(two[:])) - 2
	if marker == markerEOI || length < 0 {
		return 0, 0, ErrDamaged
	}
	return marker, length, nil
}

// take looks at a segment before the first scan.
func (h *jpegHead) take(marker byte, payload []byte) error {
	switch marker {
	case markerAPP1:
		if h.orientation == 0 && bytes.HasPrefix(payload, []byte("Exif\x00\x00")) {
			h.orientation = exifOrientation(payload)
		}
	case markerAPP14:
		if len(payload) >= 12 && string(payload[:5]) == "Adobe" {
			h.rgb = payload[11] == 0
		}
	default:
		return h.frame(marker, payload)
	}
	return nil
}

// frame takes a start of frame (T.81 §B.2.2).
func (h *jpegHead) frame(sof byte, payload []byte) error {
	if len(payload) < 6 || len(payload) < 6+3*int(payload[5]) || h.components != nil {
		return ErrDamaged
	}
	if payload[0] != 8 {
		return ErrUnsupported // 12 bits a sample
	}
	h.sof = sof
	h.height, h.width = int(binary.BigEndian.Uint16(payload[1:])), int(binary.BigEndian.Uint16(payload[3:]))
	for c := range int(payload[5]) {
		h.components = append(h.components, [3]byte(payload[6+3*c:]))
	}
	if len(h.components) == 3 {
		h.rgb = h.rgb || h.components[0][0] == 'R' && h.components[1][0] == 'G' && h.components[2][0] == 'B'
	}
	return nil
}

// choose picks a decoder. A large photo of the common kind is decoded straight to a quarter or an eighth of its size,
// as long as it stays larger than the thumbnail; all else is up to the standard library, which has no such mode.
func (h *jpegHead) choose(size int64, side int) (*plan, error) {
	if h.components == nil {
		return nil, ErrDamaged
	}
	pixels := int64(h.width) * int64(h.height)
	samples := h.samples()
	p := &h.plan
	const large = 2_000_000
	if pixels < large || !h.scalable() {
		p.cost = size + samples + h.coefficients(samples)
		if len(h.components) == 4 || h.rgb {
			p.cost += 4 * pixels
		}
		p.decode = decodeJPEG
		return p, nil
	}
	denominator := denominatorOf(min(h.width, h.height), side, samples)
	p.cost = 2*size + samples/int64(denominator*denominator) + h.coefficients(samples)
	p.decode = func(data []byte) (rows, int, error) { return decodeScaled(data, denominator) }
	return p, nil
}

// denominatorOf returns what to divide a photo by whose shorter side is shorter. jpegn's halves are a little soft, and
// only for a strip that is too long to be decoded whole; it gets softer still rather than be refused.
func denominatorOf(shorter, side int, samples int64) int {
	const most = 20 << 20 // fits, with a file of MaxBytes twice
	switch {
	case shorter/8 >= side:
		return 8
	case shorter/4 >= side:
		return 4
	case samples <= most:
		return 1
	case samples/4 <= most:
		return 2
	default:
		return 4
	}
}

// samples returns how many there are in all, in whole blocks as the decoders keep them.
func (h *jpegHead) samples() int64 {
	across, down := int64(1), int64(1)
	for _, c := range h.components {
		across, down = max(across, int64(c[1]>>4)), max(down, int64(c[1]&15))
	}
	units := (int64(h.width)/(8*across) + 1) * (int64(h.height)/(8*down) + 1)
	sum := int64(0)
	for _, c := range h.components {
		sum += units * 64 * int64(c[1]>>4) * int64(c[1]&15)
	}
	return sum
}

// coefficients returns the bytes that a progressive JPEG takes until its last scan, 4 for each sample.
func (h *jpegHead) coefficients(samples int64) int64 {
	if h.sof == markerSOF2 {
		return 4 * samples
	}
	return 0
}

// scalable reports whether the picture is gray or YCbCr with a usual sampling, in a mode that jpegn decodes as well as
// the standard library does: it reads no sequential JPEG of several scans, and guesses at what it does not know.
func (h *jpegHead) scalable() bool {
	if h.rgb || h.sof == markerSOF1 || h.sof == markerSOF0 && !h.interleaved {
		return false
	}
	if len(h.components) == 1 {
		return true
	}
	if len(h.components) != 3 || h.components[1][1] != 0x11 || h.components[2][1] != 0x11 {
		return false
	}
	return bytes.IndexByte([]byte{0x11, 0x12, 0x21, 0x22}, h.components[0][1]) >= 0
}

func decodeJPEG(data []byte) (rows, int, error) {
	if err := checkScans(data); err != nil {
		return nil, 0, err
	}
	return middleOfWhole(jpeg.Decode(bytes.NewReader(data)))
}

func decodeScaled(data []byte, denominator int) (rows, int, error) {
	if err := checkScans(data); err != nil {
		return nil, 0, err
	}
	return middleOfWhole(jpegn.Decode(bytes.NewReader(data), &jpegn.Options{ScaleDenom: denominator}))
}

// checkScans walks to the end of the picture, which is there only in a whole file, and counts its scans. jpegn takes
// what it gets of a file that was cut off.
func checkScans(data []byte) error {
	scans := 0
	for {
		at := bytes.IndexByte(data, 0xff)
		if at < 0 || at+4 > len(data) && !bytes.HasPrefix(data[at+1:], []byte{markerEOI}) {
			return ErrDamaged
		}
		marker := data[at+1]
		data = data[at+1:]
		switch {
		case marker == 0xff: // fill
			continue
		case marker <= 0x01, marker >= markerRST0 && marker <= 0xd8:
			data = data[1:]
			continue
		case marker == markerEOI && scans > 0:
			return nil
		case marker == markerEOI:
			return ErrDamaged
		case marker == markerSOS:
			if scans++; scans > maxScans {
				return ErrDamaged
			}
		}
		length := int(binary.BigEndian.Uint16(data[1:]))
		if 1+length > len(data) {
			return ErrDamaged
		}
		data = data[1+length:]
	}
}
