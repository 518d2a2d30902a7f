package controllers_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// What WeChat says, and what becomes of it: status, error and Retry-After for the client, the rest for the log.
func TestUpstreamErrors(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	const (
		newCode = "the code is invalid, expired or used: get a new one with wx.login"
		noRetry = ""
	)
	busy := scenario{status: 503, has: []string{oauth("temporarily_unavailable")}, reply: retryAfter("5")}
	invalid := scenario{status: 400, has: []string{oauth("invalid_grant"), newCode}, reply: retryAfter(noRetry)}
	mend := scenario{status: 503, has: []string{oauth("temporarily_unavailable"), "finds the reason in the log"},
		reply: retryAfter(noRetry)}
	for errcode, c := range map[int]struct {
		want scenario
		hint string // of the log
	}{
		40029: {want: invalid},
		40163: {want: invalid},
		41008: {want: invalid},
		40226: {want: scenario{status: 400, has: []string{oauth("access_denied"), "do not try again"},
			reply: retryAfter(noRetry)}},
		45011: {want: scenario{status: 429, has: []string{oauth("slow_down")}, reply: retryAfter("60")}},
		45009: {want: scenario{status: 429, has: []string{oauth("slow_down")}, reply: retryAfter("3600")}},
		40013: {mend, "is not the AppID of a mini program"},
		40125: {mend, "is not the mini program's AppSecret"},
		41002: {mend, "enter the mini program's AppID"},
		41004: {mend, "enter the mini program's AppSecret"},
		40164: {mend, "add this server's outgoing address 203.0.113.7 to the IP allow list"},
		40243: {mend, "the AppSecret is frozen"},
		-1:    {want: busy},
		99999: {want: busy},
	} {
		t.Run(strconv.Itoa(errcode), func(t *testing.T) {
			s.Fake.Inject(fakewechat.PathCode2Session, fakewechat.Errcode(errcode), 1)
			id := "errcode" + strconv.Itoa(errcode)
			c.want.body = signIn(s.NewCode("oUpstream"))
			c.want.header = map[string]string{"X-Request-Id": id}
			c.want.hasNot = []string{"errcode", strconv.Itoa(errcode), "rid"}
			if c.hint != "" {
				c.want.hasNot = append(c.want.hasNot, c.hint)
			}
			c.want.run(t, s.Handler)
			lines := s.Log.Lines(`"msg":"sign-in"`, `"request_id":"`+id+`"`)
			if assert.Len(t, lines, 1, "each sign-in is one line") {
				assert.Contains(t, lines[0], `"errcode":`+strconv.Itoa(errcode)+",")
				assert.Contains(t, lines[0], `"application":"`+harness.Application+`"`)
				assert.Contains(t, lines[0], `"seconds":0.`)
				assert.Contains(t, lines[0], `"rid":"`)
				assert.Contains(t, lines[0], c.hint)
			}
		})
	}
	scenario{body: signIn(s.NewCode("oUpstream")), status: 200, has: []string{`"new_user":true`}}.run(t, s.Handler)
}

func retryAfter(seconds string) map[string]string {
	return map[string]string{"Retry-After": seconds, "Cache-Control": "no-store"}
}

// A code that WeChat cannot have issued does not reach it.
func TestCodesThatAreNone(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for _, code := range []string{"嗨", "a\u00a0b"} {
		scenario{body: signIn(code), status: 400, has: []string{oauth("invalid_grant")}}.run(t, s.Handler)
	}
	assert.Zero(t, s.Fake.Calls(fakewechat.PathCode2Session))
	scenario{body: signIn("the code is a mock one"), status: 400, has: []string{oauth("invalid_grant")}}.run(t,
		s.Handler)
	assert.Equal(t, 1, s.Fake.Calls(fakewechat.PathCode2Session))
}

func TestSpentCode(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	code := s.NewCode("oSpent")
	scenario{body: signIn(code), status: http.StatusOK}.run(t, s.Handler)
	scenario{body: signIn(code), status: http.StatusBadRequest, has: []string{oauth("invalid_grant")}}.run(t, s.Handler)
}
