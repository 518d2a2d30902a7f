package object

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// A browser that a user has signed in with keeps a token that says so. Wrong passwords from there are counted apart, so
// that strangers who use up the chances of a name keep its user out of new browsers only.

// BrowserToken returns the token for a browser that the user with that id has signed in with. It opens nothing.
func (a *Authority) BrowserToken(userID string) string {
	nonce := rand.Text()
	return nonce + "." + base64.RawURLEncoding.EncodeToString(a.sealer.authenticate(browserMessage(nonce, userID)))
}

// browserKey returns the key of the Attempt that a token's browser has, and whether the user has signed in with it.
func (a *Authority) browserKey(token string, user *sdk.User) (key string, known bool) {
	nonce, code, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(code)
	known = err == nil && a.sealer.authentic(browserMessage(nonce, user.Id), raw)
	return digest("browser " + nonce), known // not of the token: its code can be written in several ways
}

// browserMessage is what a token's code is over: longer than a refresh token's message, and so never one.
func browserMessage(nonce, userID string) []byte {
	return []byte(digest(fmt.Sprintf("browser %q %q", nonce, userID)))
}
