package controllers

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed pages/console
var consoleFiles embed.FS

const consoleFolder = "pages/console/"

// consoleSite is what all visits to the console share.
type consoleSite struct {
	words map[string]*words                        // by language
	pages map[string]map[string]*template.Template // by language and name
}

// newConsoleSite reads the embedded pages: what is wrong with them is the build's fault.
func newConsoleSite() *consoleSite {
	s := &consoleSite{words: map[string]*words{}, pages: map[string]map[string]*template.Template{}}
	for _, tag := range consoleLanguages() {
		w, err := readWords(tag)
		if err != nil {
			panic(err)
		}
		s.words[tag], s.pages[tag] = w, parsePages(w)
	}
	return s
}

// parsePages reads each page with the frame around it.
func parsePages(w *words) map[string]*template.Template {
	frame := template.Must(template.New("frame.html").Funcs(pageFuncs(w)).ParseFS(consoleFiles,
		consoleFolder+"frame.html", consoleFolder+"parts.html"))
	files, err := fs.Glob(consoleFiles, consoleFolder+"*.html")
	if err != nil {
		panic(err)
	}
	pages := map[string]*template.Template{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name != "frame" && name != "parts" {
			pages[name] = template.Must(template.Must(frame.Clone()).ParseFS(consoleFiles, file))
		}
	}
	return pages
}

// pageFuncs are what templates can call.
func pageFuncs(w *words) template.FuncMap {
	return template.FuncMap{
		"t":       w.text,
		"maybe":   w.maybe,
		"when":    timeTag,
		"stamp":   func(at time.Time) string { return at.Format(time.RFC3339) },
		"number":  grouped,
		"avatar":  avatarAddress,
		"initial": initial,
		"id":      func(owner, name string) string { return owner + "/" + name },
		"themes":  themes,
		"dict":    dict,
	}
}

// dict makes a map of keys and values, for templates that take more than one.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

// timeTag shows a point in time, in UTC; the script turns it into the visitor's own time. What is no time is shown as
// it is.
func timeTag(stamp string) template.HTML {
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return template.HTML(template.HTMLEscapeString(stamp))
	}
	at = at.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s UTC</time>`,
		at.Format(time.RFC3339), at.Format("2006-01-02 15:04:05")))
}

// grouped writes a number with commas, which both languages have.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// avatarAddress returns the address of a picture that a page may load, or nothing: https, or this server's own.
func avatarAddress(address string) string {
	if strings.HasPrefix(address, "https://") || strings.HasPrefix(address, filesPath) {
		return address
	}
	return ""
}

// initial returns the first character of a name, to stand in for a picture.
func initial(name string) string {
	for _, r := range name {
		return string(r)
	}
	return "?"
}

// static is GET /console/static/…: the style sheet and the script.
func (v *visit) static() error {
	name := path.Base(v.r.URL.Path)
	if name != "console.css" && name != "console.js" {
		return notFound()
	}
	v.w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(v.w, v.r, consoleFiles, consoleFolder+name)
	return nil
}
