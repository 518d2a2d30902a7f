package picture

import (
	"bufio"
	"bytes"
	"image"
	"image/gif"
)

func probeGIF(r *bufio.Reader, size int64) (*plan, error) {
	cfg, err := gif.DecodeConfig(r)
	if err != nil {
		return nil, err
	}
	screen := image.Rect(0, 0, cfg.Width, cfg.Height)
	// A byte a pixel, and once more when the frame is interlaced; the decoder takes no frame larger than the screen.
	cost := size + 2*int64(cfg.Width)*int64(cfg.Height) + 1<<20
	return &plan{width: cfg.Width, height: cfg.Height, cost: cost, decode: func(data []byte) (rows, int, error) {
		frame, err := gif.Decode(bytes.NewReader(data)) // the first one
		if err != nil {
			return nil, 0, err
		}
		return middleOf(frame, screen)
	}}, nil
}
