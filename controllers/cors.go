package controllers

import (
	"net/http"
	"strings"
)

// letRead lets pages of other origins read an answer of ours, errors too. A single-page app sees what anybody does who
// sends the same token; and browsers take "*" for requests without cookies only (Fetch Standard, "CORS check"): what a
// session opens stays with our own pages. A picture may come from a cache that has asked for it on no page's behalf.
//
// Where a gateway answers in its Casdoor's place no cookie counts. There an app may have its cookies sent along, as
// with Casdoor.
func (d *Deps) letRead(w http.ResponseWriter, r *http.Request) {
	header, origin, path := w.Header(), r.Header.Get("Origin"), r.URL.Path
	isPicture := strings.HasPrefix(path, filesPath)
	if origin == "" && !isPicture || isConsole(path) {
		return
	}
	header.Set("Access-Control-Expose-Headers", "Retry-After, "+requestIDHeader)
	if d.Upstream == nil || isPicture || strings.HasPrefix(path, "/api/mini-program/") {
		header.Set("Access-Control-Allow-Origin", "*")
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	header.Set("Vary", "Origin")
}

// isPreflight reports whether a browser asks for a page of another origin whether that may send a request: the console
// takes none.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" &&
		!isConsole(r.URL.Path)
}

// allowPreflight allows a page to send any request, for the two hours that Chromium remembers it at most: what is wrong
// with one its own answer says, which the page may read.
func allowPreflight(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", "GET, POST")
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, "+requestIDHeader)
	header.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
}
