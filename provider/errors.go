package provider

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// Kind says what a failure means for the one who signs in. The zero Kind is no kind.
type Kind int

const (
	// KindUnavailable means that the platform did not answer as it should: time-out, reset, 5xx, busy. Worth a new try.
	KindUnavailable Kind = iota + 1
	// KindInvalidCode means that the code is wrong, expired or spent: the client must get a new one.
	KindInvalidCode
	// KindRefused means that the platform refuses this user. Trying again does not help.
	KindRefused
	// KindThrottled means that a quota is used up until RetryAfter.
	KindThrottled
	// KindMisconfigured means that an admin must mend a setting: AppID, AppSecret, IP allow list.
	KindMisconfigured
	// KindInvalidSession means that a SessionKey is not the user's current one.
	KindInvalidSession
	// KindInvalidPhoneCode means that the code of a phone number is wrong, expired, spent, or another user's.
	KindInvalidPhoneCode
	// KindInvalidContent means that content cannot be checked as it is: empty, too large, or of a form that is not
	// taken.
	KindInvalidContent
	// KindInactive means that the user must open the mini program first: the last time is too long ago.
	KindInactive
	// KindInvalidPush means that a pushed message is forged, broken, too old, or for someone else.
	KindInvalidPush
)

// String returns the kind as logs and metrics name it.
func (k Kind) String() string {
	switch k {
	case KindUnavailable:
		return "unavailable"
	case KindInvalidCode:
		return "invalid_code"
	case KindRefused:
		return "refused"
	case KindThrottled:
		return "throttled"
	case KindMisconfigured:
		return "misconfigured"
	case KindInvalidSession:
		return "invalid_session"
	case KindInvalidPhoneCode:
		return "invalid_phone_code"
	case KindInvalidContent:
		return "invalid_content"
	case KindInactive:
		return "inactive"
	case KindInvalidPush:
		return "invalid_push"
	default:
		return "unknown"
	}
}

// Error is a failed call to a platform. It holds no URL, code, key or secret, and may be logged as it is.
type Error struct {
	Op         string        // the call, such as "code2Session"
	Kind       Kind          // what the failure means
	Code       int           // the platform's own number; 0 when it gave none
	Message    string        // the platform's own words, without its request id; may be empty
	RequestID  string        // the platform's id of the call (WeChat: rid); may be empty
	RetryAfter time.Duration // when a new try is worth it; 0 when that is unknown
	Hint       string        // for KindMisconfigured: which setting to mend, and where
	Fault      Fault         // for KindMisconfigured: the same in one word; may be empty
	Address    string        // this server's, as the platform sees it, where its allow list lacks it; else empty
	Unsent     bool          // the platform was not asked: it has been down for several calls in a row
	Err        error         // the cause; may be nil
}

// Error describes the failure in one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Op, e.Kind)
	if e.Code != 0 {
		fmt.Fprintf(&b, " (errcode %d)", e.Code)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// PanicError returns a panic with value p as an error. A value that is not Go's own stays hidden: it may hold a secret.
func PanicError(p any) error {
	if bug, ok := p.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", bug)
	}
	return fmt.Errorf("panic with a %T", p)
}

// KindOf returns the kind of the *Error in err's chain, or 0 when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}
