package idp

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

func TestWeChatPlatformRegisters(t *testing.T) {
	t.Parallel()
	registry, err := provider.NewRegistry(WeChatPlatform(Options{}))
	require.NoError(t, err)
	byTag, found := registry.ByTag("wechat_miniprogram")
	require.True(t, found)
	assert.Equal(t, "WeChatMiniProgram", byTag.Type)
	assert.Equal(t, "wechat", byTag.Prefix)

	p, err := byTag.New(provider.Config{ClientID: testAppID, ClientSecret: testSecret})
	require.NoError(t, err)
	assert.Equal(t, "WeChatMiniProgram", p.Type())
	assert.Implements(t, (*provider.SessionChecker)(nil), p)
}

func TestFactoryRefusesIncompleteConfig(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		config provider.Config
		hint   string
	}{
		"no AppID":     {provider.Config{ClientSecret: testSecret}, "AppID"},
		"no AppSecret": {provider.Config{ClientID: testAppID}, "AppSecret"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := WeChatPlatform(Options{}).New(c.config)
			assert.Nil(t, p)
			var e *provider.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, provider.KindMisconfigured, e.Kind)
			assert.Contains(t, e.Hint, c.hint)
		})
	}
}

func TestOptionsDefaults(t *testing.T) {
	t.Parallel()
	w := newTestWeChat(t, Options{})
	assert.Equal(t, "https://api.weixin.qq.com", w.client.BaseURL)
	assert.Equal(t, 5*time.Second, w.timeout)
	assert.WithinDuration(t, time.Now(), w.now(), time.Minute)
	assert.NotNil(t, w.logger)
}

func TestProvidersOfOnePlatformShareConnections(t *testing.T) {
	t.Parallel()
	platform := WeChatPlatform(Options{})
	a, err := platform.New(provider.Config{ClientID: "wx1", ClientSecret: "1"})
	require.NoError(t, err)
	b, err := platform.New(provider.Config{ClientID: "wx2", ClientSecret: "2"})
	require.NoError(t, err)
	assert.Same(t, a.(*WeChat).client, b.(*WeChat).client)
}

func TestPrintedProviderShowsNoSecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	require.NoError(t, f.signInAndCheck(t))
	slog.New(slog.NewTextHandler(f.logs, nil)).Info("m", "provider", f.wechat)
	slog.New(slog.NewJSONHandler(f.logs, nil)).Info("m", "provider", f.wechat)
	casdoor := &Casdoor{wechat: f.wechat}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		fmt.Fprintf(f.logs, verb, f.wechat)
		fmt.Fprintf(f.logs, verb, struct{ P provider.Provider }{f.wechat})
	}
	fmt.Fprintf(f.logs, "%v %+v %#v", casdoor, casdoor, casdoor)
	f.assertSilent(t, f.logs.String())
	assert.Equal(t, "WeChatMiniProgram("+testAppID+")", fmt.Sprint(f.wechat))
}

func TestPlaceholderNickname(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"微信用户": true, " 微信用户\n": true, "微信用户1": false, "": false, "Band": false} {
		assert.Equal(t, want, isPlaceholderNickname(name), "%q", name)
	}
}

func TestPlaceholderAvatar(t *testing.T) {
	t.Parallel()
	const (
		anonymous = "https://thirdwx.qlogo.cn/mmopen/vi_32/POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSyXwib" +
			"cPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg/132"
		grey = "https://mmbiz.qpic.cn/mmbiz/icTdbqWNOwNRna42FI242Lcia07jQodd2FJGIYQfG0LAJGFxM4FbnQP6yfMxBgJ0F3YRqJ" +
			"CJ1aPAK2dQagdusBZg/0"
	)
	cases := map[string]bool{
		anonymous: true,
		grey:      true,
		strings.Replace(grey, "https", "http", 1):           true,
		strings.TrimSuffix(anonymous, "132") + "46":         true,
		strings.TrimSuffix(grey, "/0"):                      true,
		grey + "/0":                                         false,
		strings.TrimSuffix(grey, "0") + "640":               false,
		strings.TrimPrefix(grey, "https://"):                false,
		strings.Replace(grey, "https", "ftp", 1):            false,
		"https://thirdwx.qlogo.cn/mmopen/vi_32/someone/132": false,
		strings.Replace(anonymous, "thirdwx", "evil", 1):    false,
		"":  false,
		"/": false,
	}
	for url, want := range cases {
		assert.Equal(t, want, isPlaceholderAvatar(url), "%q", url)
	}
}
