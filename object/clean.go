package object

import (
	"errors"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Casdoor's columns hold texts of 100 characters, of whatever script; an avatar is longer.
const (
	maxText   = 100
	maxAvatar = 1000
)

// cleanText takes a text of one line.
func cleanText(s string) (string, error) {
	s = strings.TrimSpace(s)
	if !utf8.ValidString(s) {
		return "", errors.New("is not UTF-8")
	}
	if utf8.RuneCountInString(s) > maxText {
		return "", errors.New("is longer than 100 characters")
	}
	if strings.ContainsFunc(s, isControl) {
		return "", errors.New("has control characters")
	}
	return s, nil
}

// isControl is true for what makes a name look like another one or breaks its line: control characters, line and
// paragraph separators, and the overrides of the writing direction. The joiner of emoji families is none of them.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// oneLine spells out what a terminal would not show as a character, as Go does: whoever chose a text that an admin
// reads on a screen could else have written lines of ours into it.
func oneLine(s string) string {
	var line strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			line.WriteRune(r)
		} else {
			line.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return line.String()
}

// cleanDisplayName takes 1 to 100 characters, of which one at least can be seen.
func cleanDisplayName(s string) (string, error) {
	s, err := cleanText(s)
	if err != nil {
		return "", err
	}
	if !strings.ContainsFunc(s, isVisible) {
		return "", errors.New("must have 1 to 100 characters")
	}
	return s, nil
}

// isVisible is false for what leaves no mark, though Unicode may call it a letter, such as the fillers of Hangul, or a
// sign: many a blank nickname is made of these.
func isVisible(r rune) bool {
	const blankBraille = '\u2800'
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != blankBraille &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// cleanAvatar takes an https URL. What chooseAvatar gives to a mini program is the path of a temporary file: it has
// to be uploaded first.
func cleanAvatar(s string) (string, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "wxfile://") || strings.HasPrefix(s, "http://tmp/") {
		return "", errors.New("is a temporary file of the mini program: wx.uploadFile sends it to /api/mini-program/avatar")
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(s) > maxAvatar ||
		strings.ContainsFunc(s, unicode.IsSpace) {
		return "", errors.New("must be an https:// URL of at most 1000 bytes")
	}
	return s, nil
}

func cleanBio(s string) (string, error) { return cleanText(strings.Join(strings.Fields(s), " ")) }

func cleanHomepage(s string) (string, error) {
	s, err := cleanText(s)
	if err != nil || s == "" {
		return s, err
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return "", errors.New("must be an http:// or https:// URL")
	}
	return s, nil
}

func cleanEmail(s string) (string, error) {
	s, err := cleanText(s)
	if err != nil || s == "" {
		return s, err
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s {
		return "", errors.New("must be an e-mail address")
	}
	return strings.ToLower(s), nil
}

func cleanPassword(s string) (string, error) {
	if len(s) < 6 || len(s) > maxPassword {
		return "", errors.New("must have 6 to 72 bytes")
	}
	return s, nil
}
