package object

import (
	"fmt"
	"strings"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/provider"
)

func TestCleanDisplayName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"a", "Alice", "小明", "Đặng Thị Hương", "محمد", "दीपिका", "สมชาย", "Ελένη", "Οδυσσέας", "王🐼",
		"👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇨🇳",
		"O'Brien <b>", "a\u0301", "\u3164a", "❤\ufe0f", "\u200fעברית", "𠮷野家", "?", strings.Repeat("字", 100), strings.Repeat("🐼", 100),
	} {
		got, err := cleanDisplayName(name)
		assert.NoError(t, err, name)
		assert.Equal(t, name, got)
	}
	for given, want := range map[string]string{
		"  Alice \n": "Alice", "\u3000小明\u00a0": "小明", " " + strings.Repeat("x", 100) + " ": strings.Repeat("x", 100),
	} {
		got, err := cleanDisplayName(given)
		assert.NoError(t, err, given)
		assert.Equal(t, want, got)
	}
	for what, name := range map[string]string{
		"empty": "", "spaces": " \t\u3000", "joiner only": "\u200d", "zero width space": "\u200b\ufeff",
		"filler": "\u3164\u115f\uffa0", "blank Braille": "\u2800", "variation selector": "\ufe0f", "grapheme joiner": "\u034f",
		"new line": "a\nb", "tab": "a\tb", "null": "a\x00b", "escape": "\x1b[31m", "delete": "a\x7f", "C1": "a\u0085b",
		"line separator": "a\u2028b", "override": "a\u202eb", "embedding": "\u202aa", "isolate": "a\u2066b",
		"no UTF-8": "\xff\xfe", "half a character": "小明"[:4], "101": strings.Repeat("字", 101),
	} {
		_, err := cleanDisplayName(name)
		assert.Error(t, err, what)
	}
}

func TestCleanAvatar(t *testing.T) {
	t.Parallel()
	long := "https://example.com/" + strings.Repeat("a", 980)
	for _, avatar := range []string{
		"https://example.com/a.png", "https://example.com:8443/a?b=c#d", "https://例え.jp/图.png", "https://[::1]/a",
		"https://thirdwx.qlogo.cn/mmopen/vi_32/x/132", long, " https://example.com/a.png ", "HTTPS://EXAMPLE.COM/A.PNG",
	} {
		got, err := cleanAvatar(avatar)
		assert.NoError(t, err, avatar)
		assert.Equal(t, strings.TrimSpace(avatar), got)
	}
	for _, avatar := range []string{
		"", "a.png", "/a.png", "//example.com/a.png", "http://example.com/a.png", "ftp://example.com/a.png",
		"data:image/png;base64,AAAA", "javascript:alert(1)", "https:", "https://", "https:///a.png", "https:example.com",
		"https://user@example.com/a.png", "https://user:pass@example.com/a.png", "https://example.com/a b.png",
		"https://example.com/\n", "https://example.com/a\x00", "https://exam ple.com/", long + "a", "https://:443/a",
	} {
		_, err := cleanAvatar(avatar)
		if avatar == "https://example.com/\n" {
			assert.NoError(t, err, "its end is trimmed")
			continue
		}
		assert.Error(t, err, avatar)
	}
	for _, temporary := range []string{"wxfile://tmp_a.png", "http://tmp/a.png"} {
		_, err := cleanAvatar(temporary)
		assert.ErrorContains(t, err, "upload")
	}
}

func TestCleanOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		clean func(string) (string, error)
		given string
		want  string
		fails bool
	}{
		{"text", cleanText, "", "", false},
		{"text", cleanText, strings.Repeat("字", 100), strings.Repeat("字", 100), false},
		{"text", cleanText, strings.Repeat("字", 101), "", true},
		{"text", cleanText, "a\r\nb", "", true},
		{"bio", cleanBio, " one\n\ntwo\tthree ", "one two three", false},
		{"bio", cleanBio, "a\x00b", "", true},
		{"homepage", cleanHomepage, "", "", false},
		{"homepage", cleanHomepage, "http://example.com", "http://example.com", false},
		{"homepage", cleanHomepage, "javascript:alert(1)", "", true},
		{"homepage", cleanHomepage, "https://", "", true},
		{"email", cleanEmail, "", "", false},
		{"email", cleanEmail, " alice@example.com ", "alice@example.com", false},
		{"email", cleanEmail, "用户@例子.广告", "用户@例子.广告", false},
		{"email", cleanEmail, "Alice <alice@example.com>", "", true},
		{"email", cleanEmail, "a@b, c@d", "", true},
		{"email", cleanEmail, "alice", "", true},
		{"password", cleanPassword, "123456", "123456", false},
		{"password", cleanPassword, " 密码 ", " 密码 ", false},
		{"password", cleanPassword, "12345", "", true},
		{"password", cleanPassword, strings.Repeat("x", 72), strings.Repeat("x", 72), false},
		{"password", cleanPassword, strings.Repeat("x", 73), "", true},
	} {
		got, err := c.clean(c.given)
		assert.Equal(t, c.fails, err != nil, "%s %q", c.name, c.given)
		assert.Equal(t, c.want, got, c.name)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	hash, err := hashPassword("correct 🐎 battery")
	assert.NoError(t, err)
	assert.True(t, passwordMatches(hash, "correct 🐎 battery"))
	assert.False(t, passwordMatches(hash, "correct 🐎"))
	assert.False(t, passwordMatches("", ""))
	assert.False(t, passwordMatches("correct 🐎 battery", "correct 🐎 battery"), "a password in clear is no hash")
	_, err = hashPassword(strings.Repeat("x", maxPassword+1))
	assert.Error(t, err)
}

// An admin decides by these lines whose an OpenID is. A user of a Casdoor must not be able to write some of them.
func TestNobodyForgesLinesOfCheck(t *testing.T) {
	t.Parallel()
	forged := "oA\x1b[2K\nok: all is well\u009b1A\u202e"
	const shown = `oA\x1b[2K\nok: all is well\u009b1A\u202e`
	conflict := &Conflict{Organization: "shop", OpenID: forged, Reason: `user shop/"小明" 🐼: ` + forged}
	assert.Equal(t, "organization shop, OpenID "+shown+`: user shop/"小明" 🐼: `+shown, fmt.Sprint(conflict))
	finding := diagnose(t.Context(), provider.Platform{New: func(provider.Config) (provider.Provider, error) {
		return &rememberingProvider{}, nil
	}}, &sdk.Provider{Owner: "shop", Name: "mp", ClientId: forged})
	assert.Equal(t, "ok: provider shop/mp, AppID "+shown+": cannot be tried", fmt.Sprint(finding))
}
