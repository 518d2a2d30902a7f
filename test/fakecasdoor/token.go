package fakecasdoor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Tokens returns copies of all token rows, in the order of their ids.
func (s *Server) Tokens() []sdk.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens := []sdk.Token{}
	for _, id := range slices.Sorted(maps.Keys(s.tokens)) {
		tokens = append(tokens, s.tokens[id])
	}
	return tokens
}

func tokenID(t sdk.Token) string { return t.Owner + "/" + t.Name }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// tokenByHash finds the row whose hash, of the access or refresh token, is that of text. The caller holds s.mu.
func (s *Server) tokenByHash(column func(*sdk.Token) string, text string) (sdk.Token, bool) {
	want := hash(text)
	for _, t := range s.tokens {
		if column(&t) == want {
			return t, true
		}
	}
	return sdk.Token{}, false
}

func accessHash(t *sdk.Token) string  { return t.AccessTokenHash }
func refreshHash(t *sdk.Token) string { return t.RefreshTokenHash }

// insert adds a row with its hashes: only those that are empty are computed. The caller holds s.mu.
func (s *Server) insert(t sdk.Token) bool {
	if _, taken := s.tokens[tokenID(t)]; taken {
		return false
	}
	if t.AccessToken != "" {
		fill(&t.AccessTokenHash, hash(t.AccessToken))
	}
	if t.RefreshToken != "" {
		fill(&t.RefreshTokenHash, hash(t.RefreshToken))
	}
	s.tokens[tokenID(t)] = t
	return true
}

// getToken is the one that says so when there is no row.
func (s *Server) getToken(c *call) any {
	id := c.FormValue("id")
	s.mu.Lock()
	t, found := s.tokens[id]
	s.mu.Unlock()
	switch {
	case !found:
		return refuse(fmt.Sprintf("The token: %s does not exist", id))
	case !seesAll(c.user) && t.Organization != c.FormValue("organization"):
		return refuse(unauthorized)
	}
	return done(t)
}

func (s *Server) addToken(c *call) any {
	var t sdk.Token
	if err := json.Unmarshal(c.body, &t); err != nil {
		return refuse(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.insert(t) {
		return refuse(uniqueFailed("token"))
	}
	return affected(true)
}

// deleteToken wants the right organization in the body.
func (s *Server) deleteToken(c *call) any {
	var t sdk.Token
	if err := json.Unmarshal(c.body, &t); err != nil {
		return refuse(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.tokens[tokenID(t)]
	if !found || old.Organization != t.Organization {
		return affected(false)
	}
	delete(s.tokens, tokenID(t))
	return affected(true)
}

// logout ends the session, and a token only if it is given as id_token_hint: a bearer token goes on working.
func (s *Server) logout(c *call) any {
	hint := c.FormValue("id_token_hint")
	if hint == "" && c.user == "" {
		return done(nil)
	}
	if hint == "" {
		return done(c.user)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, found := s.tokenByHash(accessHash, hint)
	if !found {
		return refuse("Token not found, invalid accessToken")
	}
	t.ExpiresIn = 0
	s.tokens[tokenID(t)] = t
	return done(nil)
}
