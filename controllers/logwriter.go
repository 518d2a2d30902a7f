package controllers

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// maxUnwritten is how many bytes of the log may wait to be written, beside as many that are being written: some seconds
// of a crowd. Of the memory for them maxSpare bytes are kept.
const (
	maxUnwritten = 2 << 20
	maxSpare     = 64 << 10
)

// lostRoom is for the line that tells how many are lost.
const lostRoom = 1 << 10

// LogWriter writes a log in the background, so that nobody who signs in waits for its reader: the pipe of a container
// is full when its host has no room for the log. What does not get written is counted. A LogWriter is safe for
// concurrent use.
type LogWriter struct {
	w    io.Writer
	lost func(lines int)

	mu      sync.Mutex
	waiting []byte
	missed  int           // lines that are lost, and have not been told of
	idle    chan struct{} // closed when all is written; nil: it is

	torn bool // the last line was not written whole; for write only
}

// NewLogWriter returns a writer of lines to w. When w takes them again after some were lost, lost is told how many; it
// may log that.
func NewLogWriter(w io.Writer, lost func(lines int)) *LogWriter { return &LogWriter{w: w, lost: lost} }

// Write implements io.Writer for one line. It does not wait, keeps nothing of line, and never fails.
func (l *LogWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting)+len(line) > maxUnwritten {
		l.missed++
		return len(line), nil
	}
	l.waiting = append(l.waiting, line...)
	if l.idle == nil {
		l.idle = make(chan struct{})
		go l.write()
	}
	return len(line), nil
}

// Flush returns when all is written, or patience is over.
func (l *LogWriter) Flush(patience time.Duration) {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(patience):
	}
}

// write writes what waits until nothing does.
func (l *LogWriter) write() {
	var written []byte
	for lines := l.next(nil); len(lines) > 0; lines = l.next(written) {
		n, err := l.put(lines)
		if missed := l.note(lines[n:], err); missed > 0 {
			l.lost(missed)
		}
		written = lines
	}
}

// put writes lines, the first of them on a line of its own, and returns how much of them is written.
func (l *LogWriter) put(lines []byte) (n int, err error) {
	if l.torn {
		if n, err := l.w.Write([]byte("\n")); n == 0 {
			return 0, err
		}
		l.torn = false
	}
	n, err = l.w.Write(lines)
	l.torn = n > 0 && lines[n-1] != '\n'
	return n, err
}

// next returns what waits. The next lines wait in spare, which is no longer needed.
func (l *LogWriter) next(spare []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.waiting
	l.waiting = nil
	if cap(spare) <= maxSpare {
		l.waiting = spare[:0]
	}
	if len(lines) == 0 {
		close(l.idle)
		l.idle = nil
	}
	return lines
}

// note counts what has not been written, and returns how many lines to tell of, now that there is a reader.
func (l *LogWriter) note(unwritten []byte, err error) (missed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.missed += bytes.Count(unwritten, []byte("\n"))
		return 0
	}
	if len(l.waiting) > maxUnwritten-lostRoom {
		return 0
	}
	missed, l.missed = l.missed, 0
	return missed
}
