package object

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/minidoor/minidoor/provider"
)

// ProviderOptions is what Casdoor's provider row has no field for. The zero value of a field means what its comment
// says.
type ProviderOptions struct {
	Owner        string `xorm:"varchar(100) notnull pk" json:"owner"`
	Name         string `xorm:"varchar(100) notnull pk" json:"name"`
	ShareUnionID bool   `xorm:"share_union_id" json:"shareUnionId"` // sign in as the user who has the UnionID already

	CheckNickname bool   `json:"checkNickname"`                  // a nickname is judged before it is stored
	CheckAvatar   string `xorm:"varchar(10)" json:"checkAvatar"` // "async" or "sync"; empty: a picture is not judged
	OnReview      string `xorm:"varchar(10)" json:"onReview"`    // of content that a person should look at; empty: refuse
	OnUnchecked   string `xorm:"varchar(10)" json:"onUnchecked"` // of content that cannot be judged now; empty: refuse

	// What an admin has entered at the platform for message push. No Token: there is none.
	PushToken          provider.Secret `xorm:"varchar(100)" json:"pushToken"`
	PushEncodingAESKey provider.Secret `xorm:"push_encoding_aes_key varchar(100)" json:"pushEncodingAESKey"`
}

// What OnReview and OnUnchecked say: nothing is stored, or it is, with a Mark.
const (
	refuseContent = "refuse"
	acceptContent = "accept"
)

// optionsOf returns the options of a provider. One without any has the zero value, but for its owner and name.
func (s *Store) optionsOf(ctx context.Context, owner, name string) (*ProviderOptions, error) {
	o, err := s.options.named(s.read(ctx), owner, name)
	if errors.Is(err, ErrNotFound) {
		return &ProviderOptions{Owner: owner, Name: name}, nil
	}
	return o, err
}

func (o *ProviderOptions) push() provider.PushConfig {
	return provider.PushConfig{Token: o.PushToken, EncodingAESKey: o.PushEncodingAESKey}
}

// OptionError says what is wrong with one of the options.
type OptionError struct {
	Field string // its name in JSON
	Wrong string // quotes no secret
}

// Error returns the field and what is wrong with it.
func (e *OptionError) Error() string { return e.Field + ": " + e.Wrong }

// Problems returns all that is wrong with the options. A secret that is a mask stands for one that is right.
func (o *ProviderOptions) Problems() []*OptionError {
	var errs []*OptionError
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &OptionError{field, fmt.Sprintf(format, args...)})
	}
	oneOf := func(field, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			wrong(field, "%q is none of %s", value, strings.Join(allowed, ", "))
		}
	}
	oneOf("checkAvatar", o.CheckAvatar, checkLater, checkNow)
	oneOf("onReview", o.OnReview, acceptContent, refuseContent)
	oneOf("onUnchecked", o.OnUnchecked, acceptContent, refuseContent)
	// https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
	token, key := o.PushToken.Reveal(), o.PushEncodingAESKey.Reveal()
	if token != "" && token != mask && !regexp.MustCompile(`^[A-Za-z0-9]{3,32}$`).MatchString(token) {
		wrong("pushToken", "want 3 to 32 letters and digits, as in WeChat's console")
	}
	// Not in strict mode: the last of the 43 characters may hold any bits.
	if _, err := base64.StdEncoding.DecodeString(key + "="); key != "" && key != mask && (err != nil || len(key) != 43) {
		wrong("pushEncodingAESKey", "want the 43 characters of WeChat's console")
	}
	if key != "" && token == "" {
		wrong("pushEncodingAESKey", "needs a pushToken beside it")
	}
	return errs
}

// completeOptions takes a mask for the secret that is set, and refuses what cannot work.
func completeOptions(row, old *ProviderOptions) error {
	if old == nil {
		old = &ProviderOptions{}
	}
	if row.PushToken == mask {
		row.PushToken = old.PushToken
	}
	if row.PushEncodingAESKey == mask {
		row.PushEncodingAESKey = old.PushEncodingAESKey
	}
	var errs []error
	for _, problem := range row.Problems() {
		errs = append(errs, problem)
	}
	return errors.Join(errs...)
}
