package fakewechat

import (
	"encoding/hex"
	"strings"
	"time"
)

const (
	codeLife = 5 * time.Minute

	// maxCodes bounds the memory of codes: an older one is forgotten, as if it had expired.
	maxCodes = 1 << 17
)

// User is someone who opens the mini program.
type User struct {
	OpenID  string
	UnionID string // empty for a mini program that is bound to no Open Platform account
}

// code is one that was given out, or that signed in if it was self-minted.
type code struct {
	user    User
	expires time.Time
	spent   bool
}

// codes remembers codes for as long as they live, in order of age.
type codes struct {
	byText map[string]*code
	queue  []string
}

func newCodes() codes { return codes{byText: map[string]*code{}} }

func (c *codes) add(text string, entry *code, now time.Time) {
	c.sweep(now)
	c.byText[text] = entry
	c.queue = append(c.queue, text)
}

// sweep forgets what has expired, and the oldest if there are too many.
func (c *codes) sweep(now time.Time) {
	for len(c.queue) > 0 {
		oldest := c.queue[0]
		if len(c.queue) < maxCodes && now.Before(c.byText[oldest].expires) {
			return
		}
		delete(c.byText, oldest)
		c.queue = c.queue[1:]
	}
}

// NewCode returns what wx.login would give to u: 32 characters that sign in once, within 5 minutes.
func (s *Server) NewCode(u User) string {
	text := randomHex(16)
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes.add(text, &code{user: u, expires: now.Add(codeLife)}, now)
	s.keep(text)
	return text
}

// spend returns whose code text is, and WeChat's errcode if it does not sign in. The caller holds s.mu.
func (s *Server) spend(text string, now time.Time) (User, int) {
	c, found := s.codes.byText[text]
	if !found {
		u, minted := s.selfMinted(text)
		if !minted {
			return User{}, 40029
		}
		c = &code{user: u, expires: now.Add(codeLife)}
		s.codes.add(text, c, now)
		s.keep(text)
	}
	switch {
	case !now.Before(c.expires):
		return User{}, 40029
	case c.spent:
		return User{}, 40163
	}
	c.spent = true
	return c.user, 0
}

// selfMinted reads "u:OPENID:NONCE" and "u:OPENID:UNIONID:NONCE".
func (s *Server) selfMinted(text string) (User, bool) {
	parts := strings.Split(text, ":")
	if !s.options.SelfMintedCodes || parts[0] != "u" {
		return User{}, false
	}
	switch len(parts) {
	case 3:
		return User{OpenID: parts[1]}, true
	case 4:
		return User{OpenID: parts[1], UnionID: parts[2]}, true
	default:
		return User{}, false
	}
}

func randomHex(bytes int) string { return hex.EncodeToString(randomBytes(bytes)) }
