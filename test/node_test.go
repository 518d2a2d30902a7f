package test

import (
	"encoding/json"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// A back end in Node.js manages users, providers and tokens through casdoor-nodejs-sdk.
func TestNodeSDK(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("npm")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("npm is missing")
	}
	require.NoError(t, err)
	folder := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "sdk.js"} {
		text, err := os.ReadFile(filepath.Join("node", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = folder
	out, err := install.CombinedOutput()
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("npm ci: %s", out)
	}
	require.NoError(t, err, "%s", out)

	s := harness.Start(t, harness.Options{})
	settings, err := json.Marshal(map[string]string{
		"endpoint": s.URL, "clientId": harness.ClientID, "clientSecret": harness.ClientSecret,
		"certificate": s.Certificate, "organization": harness.Organization, "application": harness.Application,
		"accessToken": s.SignIn(t, "oNode").AccessToken, "user": "wechat-oNode",
	})
	require.NoError(t, err)
	runNode(t, folder, "sdk.js", string(settings))
}

// runNode runs a script of a folder, with what it is to know in MINIDOOR. One that has found all right says that it is
// done.
func runNode(t *testing.T, folder, script, known string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", script)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "MINIDOOR="+known)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "done\n", string(out))
}

// The code that the console gives to a mini program takes the server's answers for what they are.
func TestConsoleSnippet(t *testing.T) {
	t.Parallel()
	needProgram(t, "node")
	a := signInGlobal(t, startConsole(t))
	code := regexp.MustCompile(`(?s)<pre id="code"[^>]*>(.*?)</pre>`).FindStringSubmatch(
		a.get("/console/applications/view?id=" + consoleApplicationID))
	require.Len(t, code, 2)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "minidoor.js"), []byte(html.UnescapeString(code[1])), 0o600))
	script, err := os.ReadFile("node/snippet.js")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "snippet.js"), script, 0o600))
	runNode(t, folder, "snippet.js", "")
}

// testMiniProgram has the client of the example mini program do all that it can, at a server with -demo.
func testMiniProgram(t *testing.T, binary string) {
	needProgram(t, "node")
	c, _ := startDemo(t, binary)
	runNode(t, "node", "miniprogram.js", c.URL)
	assert.NotContains(t, c.process.Output(), "a spent refresh token was used again")
}
