package fakewechat

import (
	"net/http"
	"time"
)

const (
	tokenLife     = 2 * time.Hour
	tokenOverlap  = 5 * time.Minute // in which both the new token and the former one are good
	forceInterval = 30 * time.Second
	forcePerDay   = 20
)

// tokens are the access tokens of the mini program. Those of the two endpoints do not touch each other.
type tokens struct {
	expires map[string]time.Time // of each good one
	stable  string
	plain   string
	forced  []time.Time // of the last day
}

func newTokens() tokens { return tokens{expires: map[string]time.Time{}} }

type tokenReply struct {
	Token   string `json:"access_token"`
	Seconds int    `json:"expires_in"`
}

// stableToken serves POST /cgi-bin/stable_token.
func (s *Server) stableToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}
	if errcode := readJSON(r, &in); errcode != 0 {
		refuse(w, errcode)
		return
	}
	if errcode := s.checkTokenRequest(in.AppID, in.Secret, in.GrantType); errcode != 0 {
		refuse(w, errcode)
		return
	}
	t, errcode := s.issueStable(in.Force)
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	reply(w, t)
}

// plainToken serves GET /cgi-bin/token.
func (s *Server) plainToken(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	errcode := s.checkTokenRequest(query.Get("appid"), query.Get("secret"), query.Get("grant_type"))
	if errcode != 0 {
		refuse(w, errcode)
		return
	}
	reply(w, s.issuePlain())
}

func (s *Server) checkTokenRequest(appID, secret, grantType string) int {
	if errcode := s.checkApp(appID, secret); errcode != 0 {
		return errcode
	}
	if grantType != "client_credential" {
		return 40002
	}
	return 0
}

// issueStable returns the same token while it is good for more than 5 minutes, with the seconds that remain. Force
// replaces it at once and kills it: up to 20 times a day, and without effect within 30 s of the last time.
func (s *Server) issueStable(force bool) (tokenReply, int) {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if force {
		errcode, due := s.tokens.force(now)
		if errcode != 0 {
			return tokenReply{}, errcode
		}
		if due {
			delete(s.tokens.expires, s.tokens.stable)
		}
	}
	left := s.tokens.expires[s.tokens.stable].Sub(now)
	if left > tokenOverlap {
		return tokenReply{s.tokens.stable, int(left.Seconds())}, 0
	}
	s.tokens.stable = s.newToken(now)
	return tokenReply{s.tokens.stable, int(tokenLife.Seconds())}, 0
}

// force reports whether the quotas of force_refresh allow it now.
func (t *tokens) force(now time.Time) (errcode int, due bool) {
	for len(t.forced) > 0 && now.Sub(t.forced[0]) >= 24*time.Hour {
		t.forced = t.forced[1:]
	}
	switch n := len(t.forced); {
	case n > 0 && now.Sub(t.forced[n-1]) < forceInterval:
		return 0, false
	case n == forcePerDay:
		return 45009, false
	}
	t.forced = append(t.forced, now)
	return 0, true
}

// issuePlain returns a new token each time; the former one is good for 5 more minutes.
func (s *Server) issuePlain() tokenReply {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if end, found := s.tokens.expires[s.tokens.plain]; found && end.Sub(now) > tokenOverlap {
		s.tokens.expires[s.tokens.plain] = now.Add(tokenOverlap)
	}
	s.tokens.plain = s.newToken(now)
	return tokenReply{s.tokens.plain, int(tokenLife.Seconds())}
}

// newToken makes a token and forgets the expired ones. The caller holds s.mu.
func (s *Server) newToken(now time.Time) string {
	for token, end := range s.tokens.expires {
		if !now.Before(end) {
			delete(s.tokens.expires, token)
		}
	}
	token := randomHex(64)
	s.tokens.expires[token] = now.Add(tokenLife)
	s.keep(token)
	return token
}

// ExpireTokens makes every access token invalid at once, as WeChat does when the AppSecret is reset.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens.expires)
}

// checkToken returns WeChat's errcode for an access token, or 0 for a good one.
func (s *Server) checkToken(token string) int {
	if token == "" {
		return 41001
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end, found := s.tokens.expires[token]
	switch {
	case !found:
		return 40001
	case !s.options.Now().Before(end):
		return 42001
	}
	return 0
}
