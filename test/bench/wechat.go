package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/minidoor/minidoor/test/fakewechat"
)

// upstream is a fake WeChat that takes its time, when it is told to.
type upstream struct {
	url     string
	latency atomic.Int64 // in ns, of each answer
}

// startWeChat starts it. It ends with ctx.
func startWeChat(ctx context.Context) (*upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{url: "http://" + listener.Addr().String()}
	wechat := fakewechat.New(fakewechat.Options{
		AppID: appID, AppSecret: appSecret, SelfMintedCodes: true, CodesPerMinute: -1,
	})
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Duration(u.latency.Load()))
			wechat.ServeHTTP(w, r)
		})}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return u, nil
}

// during has answers take so long while action runs.
func (u *upstream) during(latency time.Duration, action func() error) error {
	u.latency.Store(int64(latency))
	defer u.latency.Store(0)
	return action()
}
