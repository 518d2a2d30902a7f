package harness

import (
	"net/http"
	"time"
)

// Deadlines gives each request so long to be read and answered, from when it comes to next on. They are those of
// http.Server.ReadTimeout and WriteTimeout, but that a busy machine does not use them up before.
func Deadlines(next http.Handler, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, until := http.NewResponseController(w), time.Now().Add(patience)
		_ = c.SetReadDeadline(until) // a connection over TCP has deadlines
		_ = c.SetWriteDeadline(until)
		next.ServeHTTP(w, r)
	})
}
