package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/minidoor/minidoor/test/fakewechat"
)

// upstream is a fake WeChat that takes its time, when it is told to.
type upstream struct {
	address string // host:port
	url     string
	latency atomic.Int64 // in ns, of each answer
}

// startWeChat starts it. It ends with ctx.
func startWeChat(ctx context.Context) (*upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	u := &upstream{address: address, url: "http://" + address}
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

// askEvery is the time from one of ask's requests to the next: few beside the sign-ins of the same time.
const askEvery = 5 * time.Millisecond

// ask measures what an answer takes somebody who asks for nothing else.
func (u *upstream) ask(ctx context.Context, series int, duration time.Duration) (sample, error) {
	latency := time.Duration(u.latency.Load())
	return load{
		addresses: []string{u.address}, duration: duration, interval: askEvery, want: []byte(`"openid"`),
		workers: 2 + int(2*latency/askEvery), // enough for answers that take twice as long
		request: func(buf []byte, worker, n int) []byte {
			return fmt.Appendf(buf, "GET /sns/jscode2session?appid=%s&secret=%s&js_code=u:oAsks::%d-%d-%d"+
				"&grant_type=authorization_code HTTP/1.1\r\nHost: bench\r\n\r\n", appID, appSecret, series, worker, n)
		},
	}.run(ctx)
}
