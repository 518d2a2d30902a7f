package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/process"
)

// needProgram skips the test, or fails it where everything must be there, unless a program is installed.
func needProgram(t *testing.T, name string) {
	t.Helper()
	_, err := exec.LookPath(name)
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

// startDemo starts a server with -demo; folder is where it may leave something behind.
func startDemo(t *testing.T, binary string) (c *child, folder string) {
	t.Helper()
	folder = t.TempDir()
	p, err := process.StartServer(t.Context(), process.Config{
		Binary: binary, Args: []string{"-demo"}, Dir: folder,
		Env: map[string]string{"TMPDIR": folder, // and what -demo does not obey
			"httpaddr": "0.0.0.0", "casdoorUpstream": "http://127.0.0.1:1", "casdoorEndpoint": "http://127.0.0.1:1",
			"casdoorClientId": "id", "casdoorClientSecret": "secret", "wechatAppId": "wx1", "wechatAppSecret": "secret",
		},
	})
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return &child{&harness.Server{URL: p.URL}, p}, folder
}

// testDemo does what a visitor does: start it, read what it prints, paste the lines, end it.
func testDemo(t *testing.T, binary string) {
	needProgram(t, "curl")
	c, folder := startDemo(t, binary)
	banner := c.process.Output()
	assert.Contains(t, banner, c.URL+"/demo")
	assert.Regexp(t, `Client id: demo-client\n`, banner)
	checkDemoConsole(t, c, banner)
	assert.Regexp(t, `user built-in/admin, password \S{12,} `, banner)
	for _, address := range listening(t, c.process) {
		assert.Contains(t, address, "127.0.0.1:", "the demo is open to others")
	}

	lines := regexp.MustCompile(`(?m)^(TOKEN=|curl ).*$`).FindAllString(banner, -1)
	require.Len(t, lines, 3)
	output, err := exec.CommandContext(t.Context(), "bash", "-ec", strings.Join(lines, "\n")).Output()
	require.NoError(t, err)
	var data map[string]any // of the last answer
	for answers := json.NewDecoder(bytes.NewReader(output)); answers.More(); {
		var account map[string]any
		require.NoError(t, answers.Decode(&account))
		require.Equal(t, "ok", account["status"], "%s", output)
		data, _ = account["data"].(map[string]any)
	}
	assert.Equal(t, "wechat-oDemo_alice", data["name"])
	assert.Equal(t, "小明 🐼", data["displayName"])
	assert.Equal(t, "https://example.com/avatars/panda.png", data["avatar"])
	assert.Equal(t, "13800138000", data["phone"])

	c.stop(t)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left, "the demo leaves files behind")
}

// checkDemoConsole signs in to the console as the banner says.
func checkDemoConsole(t *testing.T, c *child, banner string) {
	t.Helper()
	login := regexp.MustCompile(`Console: (\S+), organization (\S+), name (\S+), password (\S+)\n`).FindStringSubmatch(banner)
	require.Len(t, login, 5)
	assert.Equal(t, c.URL+"/console", login[1])
	a := newAdmin(t, c.Server)
	a.signIn(login[2], login[3], login[4])
	assert.Contains(t, a.get("/console/providers"), "Demo mini program")
}

// listening returns the addresses of a server's listening sockets where the system tells.
func listening(t *testing.T, p *process.Server) []string {
	t.Helper()
	addresses, err := p.Listening()
	if os.IsNotExist(err) {
		t.Log("this system does not tell who listens where")
		return nil
	}
	require.NoError(t, err)
	require.Len(t, addresses, 2, "the server and the fake WeChat")
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return texts
}
