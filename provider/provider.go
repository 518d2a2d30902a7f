// Package provider holds the contracts between a sign-in server and the platforms whose mini programs sign in:
// what a platform must do, what it can do, how it fails, and the registry that maps Casdoor's provider types to them.
//
// It needs the standard library only, so that another Casdoor-style server can take it as it is.
package provider

import "context"

// Provider exchanges the code of one mini program's client for a session. Implementations are safe for concurrent use.
type Provider interface {
	// Type is Casdoor's provider type, such as "WeChatMiniProgram".
	Type() string

	// Exchange turns a single-use code into the user's session. A code that may have reached the platform is never
	// sent again, and simultaneous calls with one code share one exchange. Every error is an *Error.
	Exchange(ctx context.Context, code string) (Session, error)
}

// SessionChecker is the capability to ask the platform whether a SessionKey is still the current one of a user.
type SessionChecker interface {
	// CheckSession returns nil while key is current, and an *Error of KindInvalidSession once it is not.
	CheckSession(ctx context.Context, openID string, key Secret) error
}

// Session is what a platform knows about the user whose code was exchanged.
type Session struct {
	OpenID     string // identifies the user within one mini program; never empty
	UnionID    string // identifies the user across the mini programs of one owner; empty where the platform gives none
	SessionKey Secret // the key of the user's encrypted data; must never leave the server
}

// Config is what Casdoor's provider row holds for one mini program.
type Config struct {
	Type         string // Casdoor's provider type
	SubType      string // Casdoor's sub type; empty for WeChat
	ClientID     string // the AppID
	ClientSecret Secret // the AppSecret
}
