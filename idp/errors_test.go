package idp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

func TestSplitMessage(t *testing.T) {
	t.Parallel()
	cases := []struct{ errmsg, message, rid string }{
		{"invalid code, rid: 6543b0a1-2c3d4e5f-60718293", "invalid code", "6543b0a1-2c3d4e5f-60718293"},
		{"invalid code,rid:1-2-3", "invalid code", "1-2-3"},
		{"invalid credential, access_token is invalid or not latest rid: 1-2-3",
			"invalid credential, access_token is invalid or not latest", "1-2-3"},
		{"invalid code, hints: [ req_id: JfHAyA0466s102 ]", "invalid code", "JfHAyA0466s102"},
		{"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist, rid: 1",
			"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist", "1"},
		{"bad grid: x", "bad grid: x", ""},
		{" ok ", "ok", ""},
		{"", "", ""},
	}
	for _, c := range cases {
		message, rid := splitMessage(c.errmsg)
		assert.Equal(t, c.message, message)
		assert.Equal(t, c.rid, rid)
	}
}

func TestMessageIsCleaned(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	code := f.code()
	cases := map[string]struct{ errmsg, want string }{
		"secret":         {"secret " + testSecret + " is bad", "secret *** is bad"},
		"escaped secret": {"secret=" + url.QueryEscape(testSecret) + "&x", "secret=***&x"},
		"split secret":   {testSecret[:5] + "\x00\u200b" + testSecret[5:], "***"},
		"code":           {"code " + code + ", rid: " + code, "code ***"},
		"query":          {`Get "https://a/b?appid=1&secret=2": EOF`, `Get "https://a/b?": EOF`},
		"question":       {"is it bad? yes", "is it bad? yes"},
		"control":        {"a\r\nlevel=ERROR\x1b[31m b", "alevel=ERROR[31m b"},
		"direction":      {"a\u202eb", "ab"},
		"long":           {strings.Repeat("微", 300), strings.Repeat("微", 200)},
		"cut secret":     {strings.Repeat("x", 195) + testSecret, strings.Repeat("x", 195) + "***"},
	}
	for name, c := range cases {
		f.fake.Inject(fakewechat.PathCode2Session, fakewechat.ErrcodeMessage(40029, c.errmsg), 1)
		_, err := f.wechat.Exchange(t.Context(), code)
		assert.Equal(t, c.want, f.fails(t, provider.KindInvalidCode, err).Message, name)
	}
}

func TestHintNamesTheAddress(t *testing.T) {
	t.Parallel()
	for errmsg, want := range map[string]string{
		"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist": "outgoing address 203.0.113.7 to the IP",
		"invalid ip 203.0.113.7, not in whitelist, rid: 1":                 "outgoing address 203.0.113.7 to the IP",
		"not in whitelist": "outgoing address to the IP",
	} {
		e := platformError(request{op: opStableToken}, 40164, errmsg)
		assert.Equal(t, provider.KindMisconfigured, e.Kind)
		assert.Contains(t, e.Hint, want)
	}
}

func TestCleanError(t *testing.T) {
	t.Parallel()
	r := redactor{"s3cret", "c0de"}
	inner := &url.Error{Op: "Get", URL: "http://inner/?secret=s3cret", Err: context.DeadlineExceeded}
	err := r.cleanError(fmt.Errorf("wrapped: %w", &url.Error{Op: "Get", URL: "http://a/?secret=s3cret", Err: inner}))
	assert.Equal(t, context.DeadlineExceeded, err, "nothing of the URL is left in the chain")

	err = r.cleanError(fmt.Errorf("proxy says c0de: %w", context.Canceled))
	require.EqualError(t, err, "proxy says ***: context canceled")
	assert.NoError(t, errors.Unwrap(err), "the cause of a dirty text may be dirty too")
}

// TestNoFaultShowsASecret sends secrets through everything that can fail, with a server that repeats what it hears.
func TestNoFaultShowsASecret(t *testing.T) {
	t.Parallel()
	echo := func(format func(string) string) fakewechat.Fault {
		return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			fakewechat.Body(http.StatusOK, "", format(r.URL.String()))(w, r, nil)
		}
	}
	faults := map[string]fakewechat.Fault{
		"echo errmsg": echo(func(u string) string { return fmt.Sprintf(`{"errcode":-1,"errmsg":%q}`, u) }),
		"echo query": func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			var said []string
			for _, values := range r.URL.Query() {
				said = append(said, values...)
			}
			text := fmt.Sprintf(`{"errcode":-1,"errmsg":%q}`, strings.Join(said, " "))
			fakewechat.Body(http.StatusOK, "", text)(w, r, nil)
		},
		"echo errcode": echo(func(u string) string { return fmt.Sprintf(`{"errcode":%q}`, u) }),
		"echo openid":  echo(func(u string) string { return fmt.Sprintf(`{"openid":%q,"access_token":[%q]}`, u, u) }),
		"echo text":    echo(func(u string) string { return u }),
		"number":       fakewechat.Body(http.StatusOK, "", `{"errcode":1e400,"openid":"`+testSecret+`"}`),
		"redirect": func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			http.Redirect(w, r, "/?"+r.URL.RawQuery, http.StatusMovedPermanently)
		},
		"bad redirect": func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Location", "http://%zz/?"+r.URL.RawQuery)
			w.WriteHeader(http.StatusFound)
		},
		"busy": fakewechat.Errcode(-1), "bad secret": fakewechat.Errcode(40125), "address": fakewechat.Errcode(40164),
		"500": fakewechat.Status(500), "html": fakewechat.HTML(), "truncated": fakewechat.Truncated(),
		"wrong types": fakewechat.WrongTypes(), "oversized": fakewechat.Oversized(), "empty": fakewechat.Empty(),
		"reset": fakewechat.Reset(),
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			s, err := f.wechat.Exchange(t.Context(), f.code())
			require.NoError(t, err)
			for _, path := range []string{
				fakewechat.PathStableToken, fakewechat.PathCheckSession, fakewechat.PathCode2Session,
			} {
				f.fake.Inject(path, fault, 1)
				_, exchanged := f.wechat.Exchange(t.Context(), f.code())
				checked := f.wechat.CheckSession(t.Context(), s.OpenID, "o0q0otL8aEzpcZL/FT9WsQ==")
				for _, err := range []error{exchanged, checked} {
					if err != nil {
						f.fails(t, provider.KindOf(err), err)
						f.assertSilent(t, fmt.Sprintf("%+v %#v %q", err, err, errors.Unwrap(err)))
						assert.NotContains(t, err.Error(), "o0q0otL8aEzpcZL")
					}
				}
			}
			for _, c := range capabilities() {
				f.fake.Inject(c.path, fault, 1)
				if err := c.call(t.Context(), f); err != nil {
					f.fails(t, provider.KindOf(err), err)
					text := fmt.Sprintf("%+v %#v %q", err, err, errors.Unwrap(err))
					f.assertSilent(t, text)
					assert.NotContains(t, text, "s3cret-picture", "the address of a picture that nobody may see yet")
				}
			}
			f.assertSilent(t, f.logs.String())
		})
	}
}
