package fakecasdoor

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/shared"
)

// transcript is a request to a real Casdoor and its answer.
type transcript struct {
	Name    string
	Request struct {
		Method, Path, Auth string
		Form               map[string]string
		JSON               any
	}
	Status      int
	ContentType string
	Body        map[string]any
}

// The same requests in the same order get the same statuses and messages, and the names and JSON types of Casdoor.
func TestAnswersAreCasdoors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(shared.Casdoor(t), "transcripts.json"))
	require.NoError(t, err)
	var all []transcript
	require.NoError(t, json.Unmarshal(text, &all))
	shopper := sdk.User{
		Owner: Organization, Name: "wechat-oCap1", Id: "id1", WeChat: "oCap1", SignupApplication: Application,
		Properties: map[string]string{"wechatOpenId": "oCap1", "wechatUnionId": ""},
	}
	c := start(t, Options{Users: []sdk.User{shopper}})
	known := knownDifferences()
	seen := 0
	var tokens struct{ access, refresh string }
	for _, theirs := range all {
		path, _, _ := strings.Cut(theirs.Request.Path, "?")
		if c.routes[path] == nil {
			continue // not asked by us
		}
		seen++
		fill := func(text string) string {
			switch {
			case strings.HasPrefix(theirs.Name, "refresh") && strings.HasPrefix(text, "eyJ"):
				return tokens.refresh
			case strings.HasPrefix(text, "eyJ"):
				return tokens.access
			}
			return strings.NewReplacer("a6b522d0-7c3c-4aba-bc2e-9c6aaf3345f6", "id1").Replace(text)
		}
		status, ours := c.do(t, theirs.request(t, c.url, tokens.access, fill))
		switch theirs.Name {
		case "mini-program login":
			tokens.access, tokens.refresh = ours["accessToken"].(string), ours["refreshToken"].(string)
		case "refresh (no secret)":
			tokens.access = ours["access_token"].(string)
		}
		assert.Equal(t, theirs.Status, status, theirs.Name)
		for _, field := range []string{"status", "msg", "error", "error_description"} {
			assert.Equal(t, theirs.Body[field], ours[field], theirs.Name)
		}
		for path, problem := range shared.Differences(theirs.Body, ours) {
			assert.NotEmpty(t, known[lastName(path)], "%s%s: %s", theirs.Name, path, problem)
		}
		if theirs.Body["data"] == nil {
			assert.Nil(t, ours["data"], theirs.Name)
		}
	}
	assert.Greater(t, seen, 30, "requests that we answer")
}

func (x transcript) request(t *testing.T, base, token string, fill func(string) string) *http.Request {
	t.Helper()
	body, kind := "", ""
	form := url.Values{}
	for name, value := range x.Request.Form {
		form.Set(name, fill(value))
	}
	switch in := x.Request.JSON.(type) {
	case nil:
		body, kind = form.Encode(), "application/x-www-form-urlencoded"
	case string:
		body, kind = in, "application/json"
	default:
		text, err := json.Marshal(in)
		require.NoError(t, err)
		body, kind = string(text), "application/json"
	}
	r, err := http.NewRequestWithContext(t.Context(), x.Request.Method, base+fill(x.Request.Path), strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", kind)
	switch {
	case x.Name == "get-account bad token":
		r.Header.Set("Authorization", "Bearer x")
	case strings.HasPrefix(x.Request.Auth, "bearer"):
		r.Header.Set("Authorization", "Bearer "+token)
	case x.Request.Auth != "":
		r.SetBasicAuth(ClientID, ClientSecret)
	}
	return r
}

func lastName(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// knownDifferences are the names that Casdoor has and we leave out, each with the reason.
func knownDifferences() map[string]string {
	return map[string]string{
		"uidNumber":        "casdoor-go-sdk does not know it",
		"multiFactorAuths": "nobody has any here, and casdoor-go-sdk leaves out an empty list",
	}
}
