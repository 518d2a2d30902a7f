package provider

import (
	"context"
	"encoding/json"
)

// PhoneFetcher is the capability to turn a code of the mini program's phone button into the user's phone number.
type PhoneFetcher interface {
	// Phone returns the number of the user openID. The code is single-use, as that of Exchange is, and follows its
	// rules; it is another code. One that is wrong, spent, or another user's is of KindInvalidPhoneCode.
	Phone(ctx context.Context, openID, code string) (Phone, error)
}

// Phone is a number that the platform has verified.
type Phone struct {
	CountryCode string // the calling code, digits only, such as "86"
	Number      string // without the calling code, digits only
}

// TextChecker is the capability to ask the platform whether a profile may hold a text, such as a nickname.
type TextChecker interface {
	// CheckText judges text, which openID has entered. A text that the platform takes from nobody is of
	// KindInvalidContent, and a user who was away for too long of KindInactive.
	CheckText(ctx context.Context, openID, text string) (Verdict, error)
}

// ImageChecker is the capability to have a picture judged at once.
type ImageChecker interface {
	// CheckImage judges a picture, whose contentType is image/jpeg or image/png. One that the platform does not take,
	// as it is too large, is of KindInvalidContent.
	CheckImage(ctx context.Context, image []byte, contentType string) (Verdict, error)
}

// MediaChecker is the capability to have a picture judged some time later.
type MediaChecker interface {
	// SubmitImage has the platform fetch the picture of openID at url, and returns the TraceID of the verdict, which
	// comes as a PushEvent named PushMediaChecked. The platform must be able to reach url until then.
	SubmitImage(ctx context.Context, openID, url string) (traceID string, err error)
}

// Suggestion is what the platform advises to do with content.
type Suggestion string

const (
	// SuggestPass means that nothing was found.
	SuggestPass Suggestion = "pass"
	// SuggestReview means that a person should look at it. It stands for any advice that is not known here, too.
	SuggestReview Suggestion = "review"
	// SuggestRisky means that it must not be shown.
	SuggestRisky Suggestion = "risky"
)

// Verdict is the platform's judgement of content.
type Verdict struct {
	Suggestion Suggestion
	Label      int    // the platform's number of what was found (WeChat: 100 for nothing); 0 when it gave none
	TraceID    string // the platform's id of the check; may be empty
}

// Decrypter is the capability to open what the mini program's client got encrypted for its server.
type Decrypter interface {
	// Decrypt returns the JSON object in data. Whatever does not open, was changed, is another mini program's or too
	// old is one and the same error of KindInvalidSession: the user must sign in again and then get new data.
	Decrypt(key Secret, data EncryptedData) (json.RawMessage, error)
}

// EncryptedData is what the client got, as it got it.
type EncryptedData struct {
	Data string // base64
	IV   string // base64

	// RawData and Signature come with a profile only: a signed copy in clear. Both or none.
	RawData   string
	Signature string
}

// TokenDiagnoser is the capability to try the settings that calls with an access token need.
type TokenDiagnoser interface {
	// Diagnose fetches an access token, whether there is one or not. An *Error of KindMisconfigured has the Hint for
	// the admin.
	Diagnose(ctx context.Context) error
}
