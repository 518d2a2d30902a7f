package fakecasdoor

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/coder/websocket"
)

// The paths that show how a gateway passes things on. Every path that is neither Casdoor's nor one of these answers
// with an Echo.
const (
	PathStream      = "/stream"       // server-sent events: a line whenever SendLine is called
	PathWebSocket   = "/ws"           // gives every message back
	PathUpload      = "/upload"       // reads the body as it comes; answers with an Echo
	PathGzip        = "/gzip"         // a gzip body, asked for or not
	PathTrailers    = "/trailers"     // a body with a trailer X-Checksum
	PathEarlyHints  = "/early"        // 103 with a Link, then 200
	PathNotModified = "/not-modified" // 304 with an ETag
	PathCookies     = "/cookies"      // two cookies and a redirect
)

// Echo is what the server saw of a request.
type Echo struct {
	Method  string
	Path    string // as it was escaped
	Query   string
	Proto   string
	Host    string
	Headers http.Header // hop-by-hop ones included
	Trailer http.Header
	Bytes   int64  // of the body
	SHA256  string // of the body, hex
}

func (s *Server) upstream() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		PathStream:    s.stream,
		PathWebSocket: echoMessages,
		PathGzip:      gzipped,
		PathTrailers: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Checksum")
			io.WriteString(w, "body") //nolint:errcheck // the client is gone
			w.Header().Set("X-Checksum", hash("body"))
		},
		PathEarlyHints: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload; as=style")
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "body") //nolint:errcheck // the client is gone
		},
		PathNotModified: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		},
		PathCookies: func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "casdoor_session_id", Value: "1", Path: "/", HttpOnly: true})
			http.SetCookie(w, &http.Cookie{Name: "lang", Value: "zh"})
			w.Header().Set("Location", "http://"+r.Host+"/login?from=%2Fcookies")
			w.WriteHeader(http.StatusFound)
		},
	}
}

// passOn answers what is no call to Casdoor's API.
func (s *Server) passOn(w http.ResponseWriter, r *http.Request) {
	if answer, found := s.others[r.URL.Path]; found {
		answer(w, r)
		return
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(sum, &s.uploaded), r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	write(w, Echo{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Proto: r.Proto, Host: r.Host,
		Headers: r.Header, Trailer: r.Trailer, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil)),
	})
}

// Uploaded returns how many bytes have come in bodies that are not for Casdoor's API, while they come.
func (s *Server) Uploaded() int64 { return s.uploaded.Load() }

// counter is an io.Writer that counts bytes.
type counter struct{ atomic.Int64 }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

// stream serves PathStream until the client leaves, EndStream or Close.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	s.streams.Add(1)
	defer s.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flush(w)
	for {
		select {
		case line := <-s.lines:
			fmt.Fprintf(w, "data: %s\n\n", line)
			flush(w)
		case <-s.ends:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// Streams returns how many streams are open.
func (s *Server) Streams() int64 { return s.streams.Load() }

// SendLine writes an event to one open stream, for which it waits.
func (s *Server) SendLine(ctx context.Context, line string) error {
	select {
	case s.lines <- line:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// EndStream ends one open stream, for which it waits.
func (s *Server) EndStream(ctx context.Context) error {
	select {
	case s.ends <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// echoMessages serves PathWebSocket. It speaks the sub-protocol "echo" to those who ask for it.
func echoMessages(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // of the Origin: a test is about what arrives
		Subprotocols:       []string{"echo"},
	})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow() //nolint:errcheck // the client is gone
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func gzipped(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	defer z.Close()
	io.WriteString(z, "body") //nolint:errcheck // the client is gone
}

// flush sends what has been written; a recorder of a test cannot, and needs not.
func flush(w http.ResponseWriter) {
	http.NewResponseController(w).Flush() //nolint:errcheck // as above
}
