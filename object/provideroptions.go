package object

import (
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

func (o *ProviderOptions) push() provider.PushConfig {
	return provider.PushConfig{Token: o.PushToken, EncodingAESKey: o.PushEncodingAESKey}
}

// check returns all that is wrong with the options. It quotes no secret.
func (o *ProviderOptions) check() error {
	oneOf := func(name, value string, allowed ...string) error {
		if value == "" || slices.Contains(allowed, value) {
			return nil
		}
		return fmt.Errorf("%s: %q is none of %s", name, value, strings.Join(allowed, ", "))
	}
	errs := []error{
		oneOf("checkAvatar", o.CheckAvatar, checkLater, checkNow),
		oneOf("onReview", o.OnReview, acceptContent, refuseContent),
		oneOf("onUnchecked", o.OnUnchecked, acceptContent, refuseContent),
	}
	// https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
	if token := o.PushToken.Reveal(); token != "" && !regexp.MustCompile(`^[A-Za-z0-9]{3,32}$`).MatchString(token) {
		errs = append(errs, errors.New("pushToken: want 3 to 32 letters and digits, as in WeChat's console"))
	}
	if key := o.PushEncodingAESKey.Reveal(); key != "" {
		// Not in strict mode: the last of the 43 characters may hold any bits.
		if _, err := base64.StdEncoding.DecodeString(key + "="); err != nil || len(key) != 43 {
			errs = append(errs, errors.New("pushEncodingAESKey: want the 43 characters of WeChat's console"))
		}
		if o.PushToken == "" {
			errs = append(errs, errors.New("pushEncodingAESKey: needs a pushToken beside it"))
		}
	}
	return errors.Join(errs...)
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
	return row.check()
}
