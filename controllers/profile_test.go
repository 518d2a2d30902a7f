package controllers_test

import (
	"testing"

	"github.com/minidoor/minidoor/test/harness"
)

// What a field is called that cannot be taken is what the request calls it.
func TestErrorsNameWhatWasSent(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Organization: harness.Row{"accountItems": []harness.Row{
		{"name": "Avatar", "modifyRule": "Admin"}, {"name": "Display name", "modifyRule": "Self", "regex": "^[A-Z]"},
	}}})
	withToken := map[string]string{"Content-Type": jsonType, "Authorization": "Bearer " + s.SignIn(t, "oNames").AccessToken}
	for _, c := range []struct {
		path, body string
		status     int
		message    string
	}{
		{harness.PathProfile, `{"nickName":" "}`, 400, "nickName must have 1 to 100 characters"},
		{harness.PathProfile, `{"nickName":"x"}`, 400, "nickName does not have the form that the organization asks for"},
		{harness.PathProfile, `{"avatarUrl":"ftp://x"}`, 400, "avatarUrl must be an https:// URL of at most 1000 bytes"},
		{harness.PathProfile, `{"avatarUrl":"https://x"}`, 400, "avatarUrl cannot be changed by the user (modify rule Admin)"},
		{harness.PathUpdateUser, `{"displayName":" "}`, 200, "displayName must have 1 to 100 characters"},
		{harness.PathUpdateUser, `{"avatar":"https://x"}`, 200, "avatar cannot be changed by the user (modify rule Admin)"},
	} {
		scenario{path: c.path, header: withToken, body: c.body, status: c.status, has: []string{casdoor(c.message)}}.run(t, s.Handler)
	}
}
