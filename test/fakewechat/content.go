package fakewechat

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	activeFor   = 2 * time.Hour // after a sign-in content is judged
	maxText     = 2500          // characters
	maxImage    = 1 << 20       // bytes
	labelNormal = 100
)

// Verdict is WeChat's judgement of content.
type Verdict struct {
	Suggest string `json:"suggest"` // pass, review or risky
	Label   int    `json:"label"`   // 100 for nothing found
}

// rule judges content that holds a word.
type rule struct {
	word    string
	verdict Verdict
}

// MediaCheck is a picture whose verdict is still to be pushed.
type MediaCheck struct {
	TraceID string
	OpenID  string
	URL     string
	Verdict Verdict // by the rules for the URL
}

// Judge gives v to texts, image files and media URLs that hold word. The first rule that fits counts; without one
// content passes.
func (s *Server) Judge(word string, v Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, rule{word, v})
}

// MediaChecks returns what was submitted so far.
func (s *Server) MediaChecks() []MediaCheck {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.media)
}

func (s *Server) verdict(content string) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rules {
		if strings.Contains(content, r.word) {
			return r.verdict
		}
	}
	return Verdict{"pass", labelNormal}
}

// content is what the two calls of version 2 have in common.
type content struct {
	OpenID  string `json:"openid"`
	Version int    `json:"version"`
	Scene   int    `json:"scene"`
}

// check returns WeChat's errcode for the version, the scene and the user.
func (s *Server) check(c content) int {
	switch {
	case c.Version != 2:
		return 40097
	case c.Scene < 1 || c.Scene > 4:
		return 40129
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, found := s.users[c.OpenID]
	switch {
	case !found:
		return 40003
	case s.options.Now().Sub(u.seen) > activeFor:
		return 61010
	}
	return 0
}

type textReply struct {
	status
	TraceID string   `json:"trace_id"`
	Result  Verdict  `json:"result"`
	Detail  []detail `json:"detail"`
}

type detail struct {
	Strategy string `json:"strategy"`
	Code     int    `json:"errcode"`
	Verdict
	Prob int `json:"prob"`
}

func details(v Verdict) []detail { return []detail{{"content_model", 0, v, 90}} }

// checkText serves POST /wxa/msg_sec_check, version 2.
func (s *Server) checkText(w http.ResponseWriter, r *http.Request) {
	var in struct {
		content
		Text     string `json:"content"`
		Nickname string `json:"nickname"`
	}
	errcode := s.readCall(r, &in)
	switch {
	case errcode != 0:
	case in.Text == "":
		errcode = 44002
	case utf8.RuneCountInString(in.Text) > maxText:
		errcode = 47001
	default:
		errcode = s.check(in.content)
	}
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	v := s.verdict(in.Text + "\n" + in.Nickname)
	reply(w, textReply{status{0, "ok"}, newTraceID(), v, details(v)})
}

// checkImage serves POST /wxa/img_sec_check.
func (s *Server) checkImage(w http.ResponseWriter, r *http.Request) {
	errcode := s.checkToken(r.URL.Query().Get("access_token"))
	var image []byte
	if errcode == 0 {
		image, errcode = readImage(r)
	}
	if errcode == 0 && s.verdict(string(image)).Suggest == "risky" {
		errcode = 87014
	}
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	reply(w, status{0, "ok"})
}

func readImage(r *http.Request) ([]byte, int) {
	file, _, err := r.FormFile("media")
	if err != nil {
		return nil, 41005
	}
	image, err := io.ReadAll(io.LimitReader(file, maxImage+1))
	switch {
	case err != nil || len(image) == 0:
		return nil, 41005
	case len(image) > maxImage:
		return nil, 40006
	case !isImage(image):
		return nil, 40005
	}
	return image, 0
}

// isImage knows pictures by their first bytes.
func isImage(file []byte) bool {
	return slices.ContainsFunc([]string{"\xff\xd8\xff", "\x89PNG\r\n", "GIF8"}, func(magic string) bool {
		return bytes.HasPrefix(file, []byte(magic))
	})
}

type mediaReply struct {
	status
	TraceID string `json:"trace_id"`
}

// checkMedia serves POST /wxa/media_check_async. It does not fetch the picture.
func (s *Server) checkMedia(w http.ResponseWriter, r *http.Request) {
	var in struct {
		content
		URL  string `json:"media_url"`
		Type int    `json:"media_type"`
	}
	errcode := s.readCall(r, &in)
	switch {
	case errcode != 0:
	case in.Type != 1 && in.Type != 2:
		errcode = 40004
	case in.URL == "":
		errcode = 47001
	default:
		errcode = s.check(in.content)
	}
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	m := MediaCheck{TraceID: newTraceID(), OpenID: in.OpenID, URL: in.URL, Verdict: s.verdict(in.URL)}
	s.mu.Lock()
	s.media = append(s.media, m)
	s.mu.Unlock()
	reply(w, mediaReply{status{0, "ok"}, m.TraceID})
}

func newTraceID() string { return randomHex(4) + "-" + randomHex(4) + "-" + randomHex(4) }
