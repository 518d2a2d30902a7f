package controllers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lostLine is a logger over a LogWriter that tells in w what has been lost, as the server does.
func lostLine(w io.Writer) (*slog.Logger, *LogWriter) {
	var log *slog.Logger
	writer := NewLogWriter(w, func(lines int) { log.Warn("lost", "lines", lines) })
	log = slog.New(slog.NewTextHandler(writer, nil))
	return log, writer
}

// A reader that stops keeps nobody waiting; when it goes on it gets what there was room for, and how much is lost.
func TestLogWhoseReaderStops(t *testing.T) {
	t.Parallel()
	for _, length := range []int{1, 100, 133, 200, 201, 1 << 10} {
		testLogWhoseReaderStops(t, length)
	}
}

func testLogWhoseReaderStops(t *testing.T, length int) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	log, writer := lostLine(w)
	text := strings.Repeat("x", length)
	lines := 4 * maxUnwritten / (length + 50)
	for range lines {
		log.Info(text)
	}
	start := time.Now()
	writer.Flush(time.Millisecond)
	assert.Less(t, time.Since(start), 10*time.Second)

	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(r)
		read <- string(text)
	}()
	writer.Flush(time.Minute)
	require.NoError(t, w.Close())
	got := <-read
	written := strings.Count(got, text+"\n")
	assert.Greater(t, written, lines/5)
	assert.Less(t, written, lines)
	assert.Contains(t, got, fmt.Sprintf("msg=lost lines=%d\n", lines-written))
	assert.Equal(t, 1, strings.Count(got, "msg=lost"))
}

// fullDisk takes nothing while it is full.
type fullDisk struct {
	bytes.Buffer

	full bool
}

func (d *fullDisk) Write(lines []byte) (int, error) {
	if d.full {
		n, _ := d.Buffer.Write(lines[:1])
		return n, errors.New("no space left on device")
	}
	return d.Buffer.Write(lines)
}

func TestLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := &fullDisk{}
	log, writer := lostLine(disk)
	for n, full := range []bool{false, true, true, false, false} {
		disk.full = full
		log.Info("line", "n", n)
		writer.Flush(time.Minute)
	}
	assert.Regexp(t, `^[^\n]* n=0\nt\nt\n[^\n]* n=3\n[^\n]*msg=lost lines=2\n[^\n]* n=4\n$`, disk.String())
}
