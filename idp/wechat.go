// Package idp implements the contracts of package provider for the platforms themselves: WeChat mini programs for now.
// It is the only place that knows WeChat's addresses, error numbers and habits.
package idp

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	"golang.org/x/sync/singleflight"

	"github.com/minidoor/minidoor/provider"
)

const (
	// TypeWeChatMiniProgram is Casdoor's provider type of a WeChat mini program.
	TypeWeChatMiniProgram = "WeChatMiniProgram"

	// TagWeChatMiniProgram is the tag of a token request that signs in with a WeChat mini program.
	TagWeChatMiniProgram = "wechat_miniprogram"
)

const (
	wechatPrefix    = "wechat"
	defaultEndpoint = "https://api.weixin.qq.com"
	defaultTimeout  = 5 * time.Second
)

// What WeChat gives in place of a profile that the user did not share. The pictures come over http and https, and with
// a size as the last part of the path.
const (
	placeholderNickname = "微信用户"
	anonymousAvatar     = "thirdwx.qlogo.cn/mmopen/vi_32/" +
		"POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSyXwibcPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg"
	greyAvatar = "mmbiz.qpic.cn/mmbiz/" +
		"icTdbqWNOwNRna42FI242Lcia07jQodd2FJGIYQfG0LAJGFxM4FbnQP6yfMxBgJ0F3YRqJCJ1aPAK2dQagdusBZg"
)

// Options say how WeChat is reached. The zero Options are right for production.
type Options struct {
	// Endpoint is the base URL of WeChat's API; empty means https://api.weixin.qq.com.
	Endpoint string

	// HTTPClient lends its Transport and Timeout; its cookie jar and redirect policy are not used. Nil means a pool of
	// keep-alive connections made for 1,000 sign-ins a second.
	HTTPClient *http.Client

	// Now is the clock by which access tokens expire, and encrypted data and pushed messages are too old; nil means
	// time.Now.
	Now func() time.Time

	// Logger hears when WeChat or Tokens is found to be down, and when WeChat is back; nil means slog.Default().
	Logger *slog.Logger

	// Observer hears of calls and breakers; nil means that nobody listens.
	Observer Observer

	// Tokens shares access tokens with other instances of the server; nil means that each fetches its own.
	Tokens TokenStore

	// Timeout is for one whole call, with all that it takes; zero means 5 s.
	Timeout time.Duration
}

// WeChatPlatform is the registry's entry for WeChat mini programs. Its providers share one connection pool.
func WeChatPlatform(o Options) provider.Platform {
	o = o.withDefaults()
	client := newClient(o)
	return provider.Platform{
		Type:   TypeWeChatMiniProgram,
		Tag:    TagWeChatMiniProgram,
		Prefix: wechatPrefix,
		New: func(c provider.Config) (provider.Provider, error) {
			w, err := newWeChat(c, o, client)
			if err != nil {
				return nil, err
			}
			return w, nil
		},
		PlaceholderNickname: isPlaceholderNickname,
		PlaceholderAvatar:   isPlaceholderAvatar,
	}
}

func (o Options) withDefaults() Options {
	o.Endpoint = cmp.Or(o.Endpoint, defaultEndpoint)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	return o
}

// WeChat is one WeChat mini program. Only the factory of WeChatPlatform makes a usable one; it is safe for concurrent
// use. Its access token and its breakers are its own, so keep it instead of making one for each sign-in.
type WeChat struct {
	appID   string
	secret  provider.Secret
	client  *resty.Client
	timeout time.Duration
	now     func() time.Time
	logger  *slog.Logger

	observer Observer
	flights  singleflight.Group
	breakers breakers
	tokens   tokenCache
	shelf    *tokenShelf
}

var (
	_ provider.Provider       = (*WeChat)(nil)
	_ provider.SessionChecker = (*WeChat)(nil)
	_ provider.PhoneFetcher   = (*WeChat)(nil)
	_ provider.TextChecker    = (*WeChat)(nil)
	_ provider.ImageChecker   = (*WeChat)(nil)
	_ provider.MediaChecker   = (*WeChat)(nil)
	_ provider.Decrypter      = (*WeChat)(nil)
	_ provider.PushReceiver   = (*WeChat)(nil)
	_ provider.TokenDiagnoser = (*WeChat)(nil)
)

func newWeChat(c provider.Config, o Options, client *resty.Client) (*WeChat, error) {
	switch {
	case c.ClientID == "":
		return nil, unusable(advice{provider.FaultAppID, hintNoAppID})
	case c.ClientSecret == "":
		return nil, unusable(advice{provider.FaultAppSecret, hintNoSecret})
	}
	logger := o.Logger.With("provider", TypeWeChatMiniProgram, "appId", c.ClientID)
	return &WeChat{
		appID:    c.ClientID,
		secret:   c.ClientSecret,
		client:   client,
		timeout:  o.Timeout,
		now:      o.Now,
		logger:   logger,
		observer: o.Observer,
		breakers: newBreakers(logger, func(op string, until time.Time) { o.Observer.Breaker(c.ClientID, op, until) }),
		shelf:    newTokenShelf(o.Tokens, c, logger),
	}, nil
}

// Format prints which mini program w is, whatever the verb: fmt would print the secrets in its fields.
func (w *WeChat) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "%s(%s)", TypeWeChatMiniProgram, w.appID)
}

// Type returns TypeWeChatMiniProgram.
func (w *WeChat) Type() string { return TypeWeChatMiniProgram }

func isPlaceholderNickname(name string) bool {
	return strings.TrimSpace(name) == placeholderNickname
}

func isPlaceholderAvatar(url string) bool {
	scheme, picture, _ := strings.Cut(url, "://")
	if scheme != "https" && scheme != "http" {
		return false
	}
	for _, size := range []string{"/0", "/46", "/64", "/96", "/132"} {
		if base, found := strings.CutSuffix(picture, size); found {
			picture = base
			break
		}
	}
	return picture == anonymousAvatar || picture == greyAvatar
}
