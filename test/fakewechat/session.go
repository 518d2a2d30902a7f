package fakewechat

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"time"
)

// user is what the server remembers of someone who has signed in.
type user struct {
	key    [16]byte
	seen   time.Time // of the last sign-in
	minute int64     // that time's, since 1970
	count  int       // of codes exchanged in that minute
}

type session struct {
	OpenID     string `json:"openid"`
	SessionKey string `json:"session_key"`
	UnionID    string `json:"unionid,omitempty"`
}

// SessionKey returns the current key of a user, or "" for one who has not signed in.
func (s *Server) SessionKey(openID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, found := s.users[openID]
	if !found {
		return ""
	}
	return u.sessionKey()
}

func (u *user) sessionKey() string { return base64.StdEncoding.EncodeToString(u.key[:]) }

// code2Session serves GET /sns/jscode2session. As WeChat it reads the query alone.
func (s *Server) code2Session(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if errcode := s.checkApp(query.Get("appid"), query.Get("secret")); errcode != 0 {
		refuse(w, errcode)
		return
	}
	if errcode := checkGrant(query); errcode != 0 {
		refuse(w, errcode)
		return
	}
	session, errcode := s.signIn(query.Get("js_code"))
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	reply(w, session)
}

// checkApp returns WeChat's errcode for an AppID and AppSecret, or 0 for the right ones.
func (s *Server) checkApp(appID, secret string) int {
	switch {
	case appID == "":
		return 41002
	case secret == "":
		return 41004
	case appID != s.options.AppID:
		return 40013
	case secret != s.options.AppSecret:
		return 40125
	}
	return 0
}

func checkGrant(query url.Values) int {
	switch {
	case query.Get("js_code") == "":
		return 41008
	case query.Get("grant_type") != "authorization_code":
		return 40002
	}
	return 0
}

// signIn spends a code and gives its user a new key.
func (s *Server) signIn(code string) (session, int) {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	who, errcode := s.spend(code, now)
	if errcode != 0 {
		return session{}, errcode
	}
	u := s.users[who.OpenID]
	if u == nil {
		u = &user{}
		s.users[who.OpenID] = u
	}
	if !u.take(now, s.options.CodesPerMinute) {
		return session{}, 45011
	}
	u.seen = now
	rand.Read(u.key[:])
	key := u.sessionKey()
	s.keep(key)
	return session{OpenID: who.OpenID, SessionKey: key, UnionID: who.UnionID}, 0
}

// take counts one code against the user's quota of this minute; a quota below zero has no end.
func (u *user) take(now time.Time, quota int) bool {
	if minute := now.Unix() / 60; minute != u.minute {
		u.minute, u.count = minute, 0
	}
	if quota >= 0 && u.count >= quota {
		return false
	}
	u.count++
	return true
}

// checkSession serves GET /wxa/checksession.
func (s *Server) checkSession(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	errcode := s.checkToken(query.Get("access_token"))
	if errcode == 0 {
		errcode = s.checkSignature(query)
	}
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	reply(w, status{0, "ok"})
}

func (s *Server) checkSignature(query url.Values) int {
	if query.Get("sig_method") != "hmac_sha256" {
		return 87008
	}
	key := s.SessionKey(query.Get("openid"))
	if key == "" {
		return 87007
	}
	want := hex.EncodeToString(hmac.New(sha256.New, []byte(key)).Sum(nil))
	if query.Get("signature") != want {
		return 87009
	}
	return 0
}
