package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// hostileName is a nickname that would be run if a page let it.
const hostileName = `<img src=x onerror=alert(1)>"'><script>alert(2)</script>`

// nicknames are as people choose them.
func nicknames() []string {
	return []string{
		"小明 🐼", "Alice", "李雷", "韩梅梅 🌸", "Zoë", "王大锤", hostileName, "阿里木江·艾山", "Böb", "👨‍👩‍👧‍👦",
		"一个特别特别特别特别特别特别特别特别特别特别特别特别特别长的昵称", strings.Repeat("Long", 20),
	}
}

// fillConsole makes users, sign-ins of the last hour, and what else a console has to show.
func fillConsole(t *testing.T, s *harness.Server) {
	t.Helper()
	var users []harness.Row
	for i, name := range nicknames() {
		openID := fmt.Sprintf("oShop%02d_%s", i, "kXyZ7Ab3Qw9Lm2Nc5Vb")
		s.SignIn(t, openID)
		users = append(users, harness.Row{
			"owner": harness.Organization, "name": "wechat-" + openID, "displayName": name,
			"phone": fmt.Sprintf("138001380%02d", i), "createdTime": time.Now().Add(-time.Duration(i) * 26 * time.Hour).
					UTC().Format(time.RFC3339),
		})
	}
	s.Apply(t, harness.Rows{"users": users})
	now := time.Now()
	failures := []struct {
		outcome string
		errcode int
	}{{"invalid_grant", 40029}, {"invalid_grant", 40163}, {"access_denied", 40226}, {"temporarily_unavailable", -1}}
	for minute := range 60 {
		at := now.Add(-time.Duration(minute) * time.Minute)
		for i := range 6 + (minute*7)%11 {
			s.Watch.Add(object.SignInEvent{
				Time: at, Organization: harness.Organization, Application: harness.Application,
				Provider: harness.Provider,
				Outcome:  object.SignedIn, User: fmt.Sprintf("wechat-oShop%02d_kXyZ7Ab3Qw9Lm2Nc5Vb", i%len(nicknames())),
				NewUser: (minute+i)%9 == 0, Took: time.Duration(18+(minute*i)%40) * time.Millisecond,
				ClientIP: "203.0.113.24",
			})
		}
		if f := failures[minute%len(failures)]; minute%5 < 3 {
			s.Watch.Add(object.SignInEvent{
				Time: at, Organization: harness.Organization, Application: harness.Application,
				Provider: harness.Provider,
				Outcome:  f.outcome, Errcode: f.errcode, Took: 30 * time.Millisecond, ClientIP: "198.51.100.7",
			})
		}
	}
	s.Watch.Flush(t.Context())
}
