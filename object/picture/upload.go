package picture

import (
	"bufio"
	"context"
	"errors"
	"image"
	"io"
	"strings"
)

// upload reads an uploaded file and keeps the error of its reader, so that a broken disk is not a damaged picture.
type upload struct {
	file io.ReaderAt
	size int64
	err  error
}

// ReadAt implements io.ReaderAt.
func (u *upload) ReadAt(p []byte, off int64) (int, error) {
	n, err := u.file.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		u.err = err
	}
	return n, err
}

func (u *upload) reader() *bufio.Reader { return bufio.NewReader(io.NewSectionReader(u, 0, u.size)) }

// bytes reads the whole file.
func (u *upload) bytes() ([]byte, error) {
	data := make([]byte, u.size)
	if _, err := io.ReadFull(io.NewSectionReader(u, 0, u.size), data); err != nil {
		return nil, ErrDamaged
	}
	return data, nil
}

// plan is what the head of a file says, and how to decode the rest.
type plan struct {
	width, height int   // of the picture as it is stored
	cost          int64 // bytes that decoding takes, the file itself included
	orientation   int   // of EXIF, 1 to 8; 0 for none
	// decode returns the rows of the picture's middle square and its side in pixels.
	decode func(data []byte) (rows, int, error)
}

// rows are the rows of a square from top to bottom.
type rows interface {
	// next fills row with the next one, as premultiplied RGBA. It is called once for each row, and once more with nil
	// after the last, to say whether what follows is whole.
	next(row []byte) error
}

// probe reads the head of the file. side is that of the largest thumbnail.
func probe(u *upload, side int) (p *plan, err error) {
	defer recoverDamaged(&err)
	r := u.reader()
	magic, _ := r.Peek(12)
	switch head := string(magic); {
	case strings.HasPrefix(head, "\xff\xd8\xff"):
		p, err = probeJPEG(r, u.size, side)
	case strings.HasPrefix(head, pngMagic):
		p, err = probePNG(r, u.size)
	case strings.HasPrefix(head, "GIF87a"), strings.HasPrefix(head, "GIF89a"):
		p, err = probeGIF(r, u.size)
	case len(head) == 12 && head[:4] == "RIFF" && head[8:] == "WEBP":
		p, err = probeWebP(r, u.size)
	default:
		return nil, ErrUnsupported
	}
	if err != nil {
		return nil, asDamaged(err)
	}
	if p.width < 1 || p.height < 1 {
		return nil, ErrDamaged
	}
	return p, nil
}

// square decodes the file and returns its middle square, shrunk to side where it is larger.
func (p *plan) square(ctx context.Context, u *upload, side int) (square *image.RGBA, err error) {
	defer recoverDamaged(&err)
	data, err := u.bytes()
	if err != nil {
		return nil, err
	}
	from, have, err := p.decode(data)
	if err != nil {
		return nil, asDamaged(err)
	}
	s := newShrinker(have, min(have, side))
	row := make([]byte, have*4)
	for range have {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := from.next(row); err != nil {
			return nil, asDamaged(err)
		}
		s.add(row)
	}
	return s.dst, asDamaged(from.next(nil))
}

// recoverDamaged turns a decoder's panic into ErrDamaged.
func recoverDamaged(err *error) {
	if recover() != nil {
		*err = ErrDamaged
	}
}

// asDamaged keeps an Error; any other error of a decoder means that the file is damaged.
func asDamaged(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[Error](err); ok {
		return e
	}
	return ErrDamaged
}
