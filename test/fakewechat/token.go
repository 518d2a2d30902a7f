package fakewechat

import (
	"net/http"
	"time"
)

const (
	tokenLife    = 2 * time.Hour
	tokenOverlap = 5 * time.Minute // in which both the new token and the former one are good
)

// tokens are the access tokens of the mini program.
type tokens struct {
	expires map[string]time.Time // of each good one
	stable  string
}

type tokenReply struct {
	Token   string `json:"access_token"`
	Seconds int    `json:"expires_in"`
}

// stableToken serves POST /cgi-bin/stable_token. It knows no force_refresh.
func (s *Server) stableToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
	}
	if errcode := readJSON(r, &in); errcode != 0 {
		refuse(w, errcode)
		return
	}
	if errcode := s.checkTokenRequest(in.AppID, in.Secret, in.GrantType); errcode != 0 {
		refuse(w, errcode)
		return
	}
	reply(w, s.issueStable())
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

// issueStable returns the same token while it is good for more than 5 minutes, with the seconds that remain.
func (s *Server) issueStable() tokenReply {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.tokens.expires[s.tokens.stable].Sub(now)
	if left <= tokenOverlap {
		s.tokens.stable, left = s.newToken(now), tokenLife
	}
	return tokenReply{s.tokens.stable, int(left.Seconds())}
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
