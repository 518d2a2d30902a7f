package idp

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

func TestPhone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, want := range []fakewechat.Phone{
		{CountryCode: "86", Number: "13800138000"}, {CountryCode: "1242", Number: "3600000"},
	} {
		code := f.fake.NewPhoneCode(testOpenID, want)
		got, err := f.wechat.Phone(t.Context(), testOpenID, code)
		require.NoError(t, err)
		assert.Equal(t, provider.Phone(want), got)
		_, err = f.wechat.Phone(t.Context(), testOpenID, code)
		f.fails(t, provider.KindInvalidPhoneCode, err)
	}
}

func TestPhoneOfAnotherUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	code := f.fake.NewPhoneCode("someoneElse", fakewechat.Phone{CountryCode: "86", Number: "13800138000"})
	got, err := f.wechat.Phone(t.Context(), testOpenID, code)
	f.fails(t, provider.KindInvalidPhoneCode, err)
	assert.Zero(t, got)
}

func TestLoginCodeIsNoPhoneCode(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, err := f.wechat.Phone(t.Context(), testOpenID, f.code())
	assert.Equal(t, "invalid_phone_code", f.fails(t, provider.KindInvalidPhoneCode, err).Kind.String())
	code := f.fake.NewPhoneCode(testOpenID, fakewechat.Phone{CountryCode: "86", Number: "13800138000"})
	_, err = f.wechat.Exchange(t.Context(), code)
	f.fails(t, provider.KindInvalidCode, err)
}

func TestPhoneInputThatIsNeverSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, code := range []string{"", strings.Repeat("c", 257), "c\n", "微"} {
		_, err := f.wechat.Phone(t.Context(), testOpenID, code)
		f.fails(t, provider.KindInvalidPhoneCode, err)
	}
	for _, openID := range []string{"", "o:1", strings.Repeat("o", 129)} {
		_, err := f.wechat.Phone(t.Context(), openID, "code")
		f.fails(t, provider.KindRefused, err)
	}
	assert.Zero(t, f.fake.Calls(fakewechat.PathPhone))
	assert.Zero(t, f.fake.Calls(fakewechat.PathStableToken))
}

func TestPhoneReplyIsChecked(t *testing.T) {
	t.Parallel()
	const good = `{"errcode":0,"phone_info":{"phoneNumber":"+4915112345678","purePhoneNumber":"15112345678",` +
		`"countryCode":"49","watermark":{"timestamp":1,"appid":"` + testAppID + `"}}}`
	cases := map[string]struct{ old, new string }{
		"as it should be":     {"", ""},
		"another app":         {testAppID, "wxother"},
		"no watermark":        {"watermark", "other"},
		"no number":           {"purePhoneNumber", "other"},
		"no country":          {"countryCode", "other"},
		"masked number":       {`"15112345678"`, `"151****5678"`},
		"no digits in number": {`"15112345678"`, `"微信用户"`},
		"long number":         {`"15112345678"`, `"` + strings.Repeat("1", 21) + `"`},
		"plus in country":     {`"49"`, `"+49"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			body := strings.Replace(good, c.old, c.new, 1)
			f.fake.Inject(fakewechat.PathPhone, fakewechat.Body(http.StatusOK, "", body), 1)
			got, err := f.wechat.Phone(t.Context(), testOpenID, "code")
			if body == good {
				require.NoError(t, err)
				assert.Equal(t, provider.Phone{CountryCode: "49", Number: "15112345678"}, got)
				return
			}
			f.fails(t, provider.KindUnavailable, err)
			assert.Zero(t, got)
			assert.NotContains(t, fmt.Sprint(err), "15112345678")
		})
	}
}

func TestSamePhoneCodeAtTheSameTimeIsOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		code := f.fake.NewPhoneCode(testOpenID, fakewechat.Phone{CountryCode: "86", Number: "13800138000"})
		f.fake.Inject(fakewechat.PathPhone, fakewechat.Slow(time.Second), 2)
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				got, err := f.wechat.Phone(t.Context(), testOpenID, code)
				assert.NoError(t, err)
				assert.Equal(t, "13800138000", got.Number)
			})
		}
		group.Go(func() {
			_, err := f.wechat.Phone(t.Context(), "thief", code)
			assert.Error(t, err, "another user gets nothing of it")
		})
		group.Wait()
		assert.Equal(t, 2, f.fake.Calls(fakewechat.PathPhone))
	})
}

// TestSpentPhoneCodeIsNotSentAgain loses the answer to a code that WeChat has taken.
func TestSpentPhoneCodeIsNotSentAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	code := f.fake.NewPhoneCode(testOpenID, fakewechat.Phone{CountryCode: "86", Number: "13800138000"})
	f.fake.Inject(fakewechat.PathPhone, fakewechat.Truncated(), 1)
	_, err := f.wechat.Phone(t.Context(), testOpenID, code)
	f.fails(t, provider.KindUnavailable, err)
	assert.Equal(t, 1, f.fake.Calls(fakewechat.PathPhone))
}
