package provider

import (
	"net/url"
	"time"
)

// PushReceiver is the capability to read what the platform sends to the server by itself.
type PushReceiver interface {
	// VerifyPush answers the platform's question whether the address is ours: echo is the whole answer. Send it as
	// plain text, for it comes from the query.
	VerifyPush(c PushConfig, query url.Values) (echo string, err error)

	// OpenPush reads a message. Acknowledge it at once, with "success" as the whole answer, since the platform sends it
	// again otherwise, and may do so all the same: handle each PushEvent.Key once.
	//
	// A message that does not prove to be the platform's, or is too old, is of KindInvalidPush; settings that cannot
	// open any are of KindMisconfigured.
	OpenPush(c PushConfig, query url.Values, body []byte) (PushEvent, error)
}

// PushConfig is what an admin has entered at the platform for message push.
type PushConfig struct {
	Token Secret // signs each message

	// EncodingAESKey decrypts messages. Once it is set a message in clear is refused; empty means that all are in
	// clear.
	EncodingAESKey Secret
}

// The names of the events that a sign-in server must act on.
const (
	// PushProfileCleaned means that the platform has emptied a user's profile, which broke its rules.
	PushProfileCleaned = "user_info_modified"
	// PushRevoked means that the user withdraws data: delete what PushEvent.Withdrawn names.
	PushRevoked = "user_authorization_revoke"
	// PushAccountClosed means that the user's account at the platform is gone.
	PushAccountClosed = "user_authorization_cancellation"
	// PushMediaChecked brings the Verdict on a picture of MediaChecker.
	PushMediaChecked = "wxa_media_check"
)

// PushEvent is one message of the platform.
type PushEvent struct {
	Name    string // the event; for a message that is none its type, such as "text"
	OpenID  string // whom it is about; empty where it does not say, as with a Verdict
	UnionID string // may be empty
	AppID   string // the mini program's, if the message names it; never another one's

	Revoked   []int     // for PushRevoked: the platform's numbers of what the user withdraws
	Withdrawn Withdrawn // for PushRevoked and PushProfileCleaned: which parts of a profile to delete

	Verdict Verdict // for PushMediaChecked; to be found by its TraceID
	Code    int     // for PushMediaChecked: 0, or why there is no Verdict (WeChat: -1008, no picture at the URL)

	CreateTime time.Time // zero when the message does not say
	Key        string    // 64 hex digits, the same for each delivery of one message
}

// Withdrawn says which parts of a profile must go.
type Withdrawn struct {
	Nickname, Avatar, Phone, Email bool
}
