package controllers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// words are the texts of the console in one language.
type words struct {
	tag   string // as HTML spells the language
	texts map[string]string
}

// consoleLanguages are the languages of the console; the first is for those who understand none of them.
func consoleLanguages() []string { return []string{"en", "zh-CN"} }

func readWords(tag string) (*words, error) {
	text, err := consoleFiles.ReadFile(consoleFolder + "words/" + tag + ".json")
	if err != nil {
		return nil, err
	}
	w := &words{tag: tag}
	if err := json.Unmarshal(text, &w.texts); err != nil {
		return nil, fmt.Errorf("words of %s: %w", tag, err)
	}
	return w, nil
}

func (w *words) has(key string) bool { return w.texts[key] != "" }

// text returns the text of a key with the values in their places. A key without a text is shown as it is.
func (w *words) text(key string, values ...any) string {
	text, known := w.texts[key]
	if !known {
		return key
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

// maybe returns the text of a key, or nothing where there is none.
func (w *words) maybe(key string) string { return w.texts[key] }

// languageCookie and themeCookie keep how a visitor likes the console.
const (
	languageCookie = "minidoor_language"
	themeCookie    = "minidoor_theme"
)

// preferredLanguage returns the visitor's choice, or else the best of what the browser asks for (RFC 9110 §12.5.4).
func preferredLanguage(r *http.Request) string {
	if c, err := r.Cookie(languageCookie); err == nil && slices.Contains(consoleLanguages(), c.Value) {
		return c.Value
	}
	type wish struct {
		tag     string
		quality float64
	}
	var wishes []wish
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, parameter, _ := strings.Cut(strings.TrimSpace(part), ";")
		w := wish{tag, 1}
		if q, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
			var err error
			if w.quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		wishes = append(wishes, w)
	}
	slices.SortStableFunc(wishes, func(a, b wish) int { return cmp.Compare(b.quality, a.quality) })
	for _, w := range wishes {
		if tag := nearest(w.tag); tag != "" && w.quality > 0 {
			return tag
		}
	}
	return consoleLanguages()[0]
}

// nearest returns our language with the same first part, or nothing.
func nearest(tag string) string {
	first, _, _ := strings.Cut(strings.ToLower(tag), "-")
	for _, ours := range consoleLanguages() {
		if known, _, _ := strings.Cut(ours, "-"); known == first {
			return ours
		}
	}
	return ""
}

func themeOf(r *http.Request) string {
	c, err := r.Cookie(themeCookie)
	if err != nil || !slices.Contains(themes(), c.Value) {
		return ""
	}
	return c.Value
}

// themes are how the console may look; empty: as the browser likes it.
func themes() []string { return []string{"", "light", "dark"} }

// setPreferences is POST /console/preferences with language=… or theme=…, and back=… to return to.
func (v *visit) setPreferences() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	remember := func(name, cookie string, known []string) {
		if value := in.Get(name); in.Has(name) && slices.Contains(known, value) {
			http.SetCookie(v.w, &http.Cookie{
				Name: cookie, Value: value, Path: consoleRoot, MaxAge: 400 * 24 * 3600, HttpOnly: true,
				SameSite: http.SameSiteLaxMode, Secure: v.Deps.isHTTPS(v.r),
			})
		}
	}
	remember("language", languageCookie, consoleLanguages())
	remember("theme", themeCookie, themes())
	v.redirect(nextOf(in.Get("back")))
	return nil
}
