package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"

	"github.com/minidoor/minidoor/controllers"
)

// proxyBody is the size of the bodies that are passed through, in bytes.
const proxyBody = 1 << 10

// measureProxy compares the gateway with a bare httputil.ReverseProxy before the same upstream: POST requests and
// answers of 1 KB.
func (b *bench) measureProxy(ctx context.Context, out io.Writer) error {
	answer := bytes.Repeat([]byte("y"), proxyBody)
	upstream, err := listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(answer)
	}))
	if err != nil {
		return err
	}
	target := &url.URL{Scheme: "http", Host: upstream}
	transport := &http.Transport{MaxIdleConnsPerHost: 512}
	bare, err := listen(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
	})
	if err != nil {
		return err
	}
	gateway, err := listen(controllers.New(controllers.Deps{Upstream: target}))
	if err != nil {
		return err
	}
	request := fmt.Appendf(nil, "POST /api/get-users HTTP/1.1\r\nHost: door\r\nContent-Length: %d\r\n\r\n%s",
		proxyBody, bytes.Repeat([]byte("x"), proxyBody))
	var shares, rates, bareRates []float64
	for range b.rounds {
		var round [2]sample
		for i, address := range []string{bare, gateway} {
			l := load{addresses: []string{address}, workers: b.workers, duration: b.duration, want: answer[:16],
				request: func(buf []byte, _, _ int) []byte { return append(buf, request...) }}
			if round[i], err = l.run(ctx); err != nil {
				return err
			}
		}
		bareRates, rates = append(bareRates, round[0].Rate), append(rates, round[1].Rate)
		shares = append(shares, round[1].Rate/round[0].Rate)
	}
	_, err = fmt.Fprintf(out, "pass-through of 1 KB, per second: %.0f; httputil.ReverseProxy bare: %.0f; share: %.2f\n",
		middle(rates), middle(bareRates), middle(shares))
	return err
}

// listen serves a handler on a free port until the process ends.
func listen(handler http.Handler) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = http.Serve(listener, handler) }()
	return listener.Addr().String(), nil
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
