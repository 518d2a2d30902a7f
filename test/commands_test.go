package test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// testReseal changes the seal key as an admin does: the new one before the old one, -reseal, the new one alone.
func testReseal(t *testing.T, binary string) {
	w := newWorld(t, binary, testdb.SQLite(t))
	keyOf := func(c string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) }
	decrypts := func(c *child, token string) bool {
		e := encrypted(w.fake.Encrypt("oMe", map[string]any{"x": 1}))
		return c.Call(t, "POST", harness.PathDecrypt, token, e).Status == http.StatusOK
	}
	w.cfg.Env["sealKey"] = keyOf("a")
	c := w.start(t)
	token := c.SignIn(t, "oMe").AccessToken
	require.True(t, decrypts(c, token))
	c.stop(t)

	w.cfg.Env["sealKey"] = keyOf("b")
	output, failed := w.command(t, "-reseal")
	assert.True(t, failed)
	assert.Regexp(t, `unknown: 1 are sealed with the key of id [0-9a-f]{8}, which sealKey lacks`, output)
	w.cfg.Env["sealKey"] = keyOf("b") + "," + keyOf("a")
	c = w.start(t)
	assert.True(t, decrypts(c, token), "an old key opens")
	output, failed = w.command(t, "-reseal")
	assert.False(t, failed, output)
	assert.Contains(t, output, "1 SessionKeys seen, 1 sealed with the first key")
	c.stop(t)
	w.cfg.Env["sealKey"] = keyOf("b")
	c = w.start(t)
	assert.True(t, decrypts(c, token), "the old key is not needed any more")
	c.stop(t)
	for _, secret := range []string{keyOf("a"), keyOf("b"), w.fake.SessionKey("oMe")} {
		assert.NotContains(t, output, secret)
	}
}

// testRedis shows that servers share WeChat's access token through Redis, and do without it.
func testRedis(t *testing.T, binary string) {
	redis := miniredis.NewMiniRedis()
	require.NoError(t, redis.StartAddr("127.0.0.1:0"))
	t.Cleanup(redis.Close)
	w := newWorld(t, binary, testdb.SQLite(t))
	w.cfg.Env["redisEndpoint"] = redis.Addr()
	phone := func(c *child) int {
		token := c.SignIn(t, "oMe").AccessToken
		code := w.fake.NewPhoneCode("oMe", chinese("13800000000"))
		return c.Call(t, "POST", harness.PathPhone, token, fieldsOf{"code": code}).Status
	}
	for range 2 { // one server after the other
		c := w.start(t)
		assert.Equal(t, http.StatusOK, phone(c))
		c.stop(t)
	}
	assert.Equal(t, 1, w.fake.Calls(fakewechat.PathStableToken), "the second found the token of the first")
	redis.Close()
	c := w.start(t)
	assert.Equal(t, http.StatusOK, phone(c), "without Redis each fetches its own")
	c.stop(t)

	w.cfg.Env["redisEndpoint"] = "no endpoint"
	output, failed := w.command(t)
	assert.True(t, failed)
	assert.Contains(t, output, "redis endpoint: want")
}
