package provider

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  Error
		want string
	}{
		"least": {Error{Op: "op", Kind: KindRefused}, "op: refused"},
		"platform": {
			Error{Op: "op", Kind: KindInvalidCode, Code: 40029, Message: "invalid code"},
			"op: invalid_code (errcode 40029): invalid code",
		},
		"cause": {Error{Op: "op", Kind: KindUnavailable, Err: context.Canceled}, "op: unavailable: context canceled"},
		"hint":  {Error{Op: "op", Kind: KindMisconfigured, Hint: "set it", RequestID: "r"}, "op: misconfigured"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.EqualError(t, &c.err, c.want)
		})
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("sign in: %w", &Error{Kind: KindThrottled, Err: context.DeadlineExceeded})
	assert.Equal(t, KindThrottled, KindOf(err))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Zero(t, KindOf(errors.New("other")))
	assert.Zero(t, KindOf(nil))
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := KindUnavailable; k <= KindInvalidPush; k++ {
		assert.NotEqual(t, "unknown", k.String())
		assert.False(t, seen[k.String()], "%s is taken", k)
		seen[k.String()] = true
	}
	assert.Equal(t, "unknown", Kind(0).String())
	assert.Equal(t, "unknown", (KindInvalidPush + 1).String())
}
