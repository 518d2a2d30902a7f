package controllers

import (
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

func allWords(t *testing.T) map[string]*words {
	t.Helper()
	all := map[string]*words{}
	for _, tag := range consoleLanguages() {
		w, err := readWords(tag)
		require.NoError(t, err)
		all[tag] = w
	}
	return all
}

var verb = regexp.MustCompile(`%[a-z%]`)

func TestWordsHaveTheSameKeys(t *testing.T) {
	t.Parallel()
	all := allWords(t)
	for key, text := range all["en"].texts {
		other, known := all["zh-CN"].texts[key]
		assert.True(t, known, "zh-CN has no %s", key)
		assert.NotEmpty(t, other, key)
		assert.NotEmpty(t, text, key)
		assert.Equal(t, verb.FindAllString(text, -1), verb.FindAllString(other, -1), "values of %s", key)
	}
	for key := range all["zh-CN"].texts {
		assert.True(t, all["en"].has(key), "en has no %s", key)
	}
}

var (
	usedInPages = regexp.MustCompile(`(?:\bt|maybe) "([a-zA-Z.0-9-]+)"`)
	madeInPages = regexp.MustCompile(`print "([a-zA-Z.]+\.)"`)
	usedInCode  = regexp.MustCompile(`"((?:overview|state|signIn|provider|cert|list)\.[a-zA-Z0-9]+)"`)
	madeInCode  = regexp.MustCompile(`labelled\("([a-zA-Z.]+\.)"`)
)

// Every key that pages and code name has a text, and every text is named, wholly or by the beginning of its key.
func TestWordsAreThoseOfThePages(t *testing.T) {
	t.Parallel()
	w := allWords(t)["en"]
	// Keys that are made of a form's or confirmation's name, or of an answer's status.
	begins := []string{
		"provider.", "application.", "cert.", "find.", "users.", "records.", "log.", "signIn.", "providerAdd.", "providerEdit.",
		"providerOptions.", "applicationAdd.", "applicationEdit.", "certAdd.", "rotate.", "error.", "confirm.",
	}
	named := map[string]bool{}
	look := func(text string, used, made *regexp.Regexp) {
		for _, m := range used.FindAllStringSubmatch(text, -1) {
			assert.True(t, w.has(m[1]), "no text for %s", m[1])
			named[m[1]] = true
		}
		for _, m := range made.FindAllStringSubmatch(text, -1) {
			begins = append(begins, m[1])
			begun := func(key string) bool { return strings.HasPrefix(key, m[1]) }
			assert.True(t, slices.ContainsFunc(sortedKeys(w), begun), "no text begins with %s", m[1])
		}
	}
	pages, err := fs.Glob(consoleFiles, "pages/console/*.html")
	require.NoError(t, err)
	for _, page := range pages {
		text, err := consoleFiles.ReadFile(page)
		require.NoError(t, err)
		look(string(text), usedInPages, madeInPages)
	}
	sources, err := filepath.Glob("console*.go")
	require.NoError(t, err)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		look(string(text), usedInCode, madeInCode)
	}
	for _, key := range sortedKeys(w) {
		begun := slices.ContainsFunc(begins, func(begin string) bool { return strings.HasPrefix(key, begin) })
		assert.True(t, named[key] || begun, "nobody uses %s", key)
	}
}

func sortedKeys(w *words) []string {
	var keys []string
	for key := range w.texts {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// What a page names by a code has its texts for each of them.
func TestWordsForCodes(t *testing.T) {
	t.Parallel()
	w := allWords(t)["en"]
	for _, fault := range []provider.Fault{
		provider.FaultAppID, provider.FaultAppSecret, provider.FaultFrozenSecret, provider.FaultAddress,
		provider.FaultAddressPending, provider.FaultAddressRefused, provider.FaultTokensForbidden,
		provider.FaultFrozenAccount, provider.FaultNotAllowed, "throttled", "unreachable", "unknown", "someAddress",
	} {
		for _, part := range []string{"title", "text", "step1"} {
			assert.True(t, w.has("test."+string(fault)+"."+part), "%s of %s", part, fault)
		}
	}
	for _, outcome := range outcomes() {
		assert.True(t, w.has("outcome."+outcome), outcome)
	}
	for _, problem := range []string{
		"required", "long", "choice", "name", "taken", "appId", "pushToken", "pushEncodingAESKey", "hours", "cert", "time", "number",
		"again",
	} {
		assert.True(t, w.has("problem."+problem), problem)
	}
	for _, s := range spans() {
		assert.True(t, w.has("span."+s.Name), s.Name)
	}
}

func TestPreferredLanguage(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "en", "fr": "en", "en-GB": "en", "zh": "zh-CN", "zh-TW": "zh-CN", "zh-Hans-CN": "zh-CN",
		"fr, zh-CN;q=0.8, en;q=0.5": "zh-CN", "en;q=0.5, zh;q=0.9": "zh-CN",
		"zh;q=0, en": "en", "zh;q=x": "en", ";;,": "en",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/console", nil)
		require.NoError(t, err)
		r.Header.Set("Accept-Language", header)
		assert.Equal(t, want, preferredLanguage(r), header)
		r.AddCookie(&http.Cookie{Name: languageCookie, Value: "zh-CN"})
		assert.Equal(t, "zh-CN", preferredLanguage(r), "the choice counts more than %s", header)
	}
}

func TestNextStaysInTheConsole(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/console/users?after=x": "/console/users?after=x", "/console": "/console", "": "/console",
		"https://evil.example/console/users": "/console", "//evil.example/console/users": "/console",
		"https:/console/users": "/console", "/console/../api": "/console", "/console/%zz": "/console",
		"/consolex": "/console", "/api/logout": "/console", `/console\@evil`: "/console",
		"javascript:alert(1)": "/console",
		"/console/%2e%2e/api": "/console",
	} {
		assert.Equal(t, want, nextOf(path), path)
	}
}

func TestAvatarAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://a.example/x.png": "https://a.example/x.png", "http://a.example/x.png": "", "javascript:alert(1)": "",
		"data:image/svg+xml,x": "", "//a.example/x": "", "": "", "/avatars/a/x.jpg": "/avatars/a/x.jpg",
	} {
		assert.Equal(t, want, avatarAddress(address), address)
	}
}

func TestCharts(t *testing.T) {
	t.Parallel()
	times := []time.Time{time.Unix(0, 0), time.Unix(60, 0)}
	show := func(v float64) string { return units(v) }
	c := bars("Title", times, []numbers{{"ok", "good", []float64{3, 0}}, {"failed", "bad", []float64{1, 2}}}, show)
	assert.Equal(t, "4", c.Top)
	require.Len(t, c.Series, 2)
	assert.Equal(t, []bar{{X: "30", Y: "25", Width: "240", Height: "75"}}, c.Series[0].Bars)
	assert.Equal(t, "0", c.Series[1].Bars[0].Y, "bars stand on each other")
	assert.Equal(t, []string{"3", "1"}, c.Rows[0].Values)
	l := lines("Title", times, []numbers{{"ok", "good", []float64{0, 10}}}, show)
	assert.Equal(t, "0,100 600,0", l.Series[0].Line)
	assert.Empty(t, bars("Title", times, []numbers{{"ok", "good", []float64{0, 0}}}, show).Series[0].Bars)
}

func TestGroupedNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{
		0: "0", 999: "999", 1000: "1,000", 500000: "500,000",
		-1234: "-1,234", -12: "-12",
	} {
		assert.Equal(t, want, grouped(n))
	}
}

func TestMiniProgramCode(t *testing.T) {
	t.Parallel()
	code := miniProgramCode(`https://x.example/"; alert(1)`, "client")
	assert.Contains(t, code, `const SERVER = "https://x.example/\"; alert(1)"`)
	assert.Contains(t, code, `const CLIENT_ID = "client"`)
	assert.NotContains(t, code, "{server}")
}

func TestPlatformState(t *testing.T) {
	t.Parallel()
	var s platformState
	at, failure := s.last()
	assert.True(t, at.IsZero())
	assert.Nil(t, failure)
	s.called(&provider.Error{Kind: provider.KindMisconfigured, Code: 40125})
	_, failure = s.last()
	require.NotNil(t, failure)
	assert.Equal(t, 40125, failure.code)
	s.called(&provider.Error{Kind: provider.KindInvalidCode})
	at, failure = s.last()
	assert.False(t, at.IsZero(), "a wrong code is an answer")
	assert.Nil(t, failure)
	often, seldom := breaker{"wx1", "code2Session"}, breaker{"wx1", "getuserphonenumber"}
	s.breaker(often, time.Now().Add(time.Hour))
	s.breaker(seldom, time.Now().Add(-time.Second))
	assert.True(t, s.down())
	assert.Equal(t, map[breaker]bool{often: true, seldom: false}, s.breakers(), "nobody has called one since its time was over")
	for i := range maxBreakers + 1 {
		s.breaker(breaker{"gone" + strconv.Itoa(i), "code2Session"}, time.Time{})
	}
	assert.LessOrEqual(t, len(s.breakers()), maxBreakers, "mini programs that came and went")
	assert.True(t, s.down(), "what refuses calls is not forgotten")
	s.breaker(often, time.Time{})
	assert.False(t, s.down())
}

func TestChosenItems(t *testing.T) {
	t.Parallel()
	ticked := &field{Name: "providers", Kind: "checks", Options: plain("a", "b", "c"), Values: []string{"b", "c"}}
	rows := []*sdk.Provider{{Owner: "admin", Name: "a"}, {Owner: "admin", Name: "b"}, {Owner: "admin", Name: "c"}}
	before := []*sdk.ProviderItem{{Name: "a"}, {Name: "b", Rule: "kept"}, {Name: "sms"}, nil}
	items := chosenItems(ticked, rows, before)
	var names []string
	for _, item := range items {
		names = append(names, item.Name)
	}
	assert.Equal(t, []string{"b", "sms", "c"}, names, "what the form does not offer stays")
	assert.Equal(t, "kept", items[0].Rule)
	assert.True(t, items[2].CanSignIn)
}

func TestLastTokenOfAFormerKey(t *testing.T) {
	t.Parallel()
	made := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	certs := []*sdk.Cert{{Name: "cert-built-in", CreatedTime: made.Format(time.RFC3339)}}
	for hours, want := range map[float64]time.Time{
		0: made.Add(168 * time.Hour), -1: made.Add(168 * time.Hour), 2: made.Add(2 * time.Hour),
		1e7: made.Add(math.MaxInt32 * time.Second), .5: {},
	} {
		assert.Equal(t, want, formerUntil(certs, &sdk.Application{ExpireInHours: hours}), "%g", hours)
	}
	assert.Zero(t, formerUntil(certs, &sdk.Application{Cert: "gone"}))
}
