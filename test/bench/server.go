package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/process"
)

// The mini program, as floor has it built in.
const (
	appID     = "wx1234567890abcdef"
	appSecret = "0123456789abcdef0123456789abcdef"
)

// algorithm is a way to sign tokens. The server has an application for each.
type algorithm struct {
	flag  string // its name in -alg, and in floor's
	label string
	cert  map[string]any
}

func algorithms() map[string]algorithm {
	cert := func(cryptoAlgorithm string, bits int) map[string]any {
		return map[string]any{"cryptoAlgorithm": cryptoAlgorithm, "bitSize": bits}
	}
	return map[string]algorithm{
		"RS256":  {"RS256", "RS256-2048", cert("RS256", 2048)},
		"RS4096": {"RS4096", "RS256-4096", cert("RS256", 4096)},
		"ES256":  {"ES256", "ES256", cert("ES256", 0)},
	}
}

func (a algorithm) clientID() string { return "bench-" + a.flag }

// startWeChat starts the fake WeChat and returns its URL. It ends with ctx.
func startWeChat(ctx context.Context) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	wechat := fakewechat.New(fakewechat.Options{
		AppID: appID, AppSecret: appSecret, SelfMintedCodes: true, CodesPerMinute: -1,
	})
	server := &http.Server{Handler: wechat, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + listener.Addr().String(), nil
}

// server is a minidoor on a database of its own.
type server struct {
	*process.Server

	users int   // in its database at the start
	idle  int64 // bytes that it held after its start
}

func (s *server) address() string { return strings.TrimPrefix(s.URL, "http://") }

// startServer prepares a database of so many users and starts a server on it.
func (b *bench) startServer(ctx context.Context, users int) (*server, error) {
	file := filepath.Join(b.folder, fmt.Sprintf("%d.db", users))
	initData, err := b.writeInitData()
	if err != nil {
		return nil, err
	}
	cfg := process.Config{Binary: b.binary, Env: map[string]string{
		"driverName": "sqlite", "dataSourceName": "file:" + file, "sealKeyFile": file + ".key",
		"initDataFile": initData, "wechatEndpoint": b.wechat, "limitPerOpenID": "0", // few users, many sign-ins
	}}
	first, err := process.StartServer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := signIn(ctx, first.URL, b.algorithms[0].clientID(), openID(0)); err != nil {
		return nil, err
	}
	if err := first.Stop(); err != nil {
		return nil, err
	}
	if err := multiply(ctx, file, users); err != nil {
		return nil, err
	}
	s := &server{users: users}
	if s.Server, err = process.StartServer(ctx, cfg); err != nil {
		return nil, err
	}
	if err := s.Healthy(ctx); err != nil {
		return nil, err
	}
	s.idle, err = s.RSS()
	return s, err
}

// tokensOf signs users in, one for each of so many workers, and returns their access tokens.
func (s *server) tokensOf(ctx context.Context, a algorithm, workers int) ([]string, error) {
	tokens := make([]string, workers)
	for w := range tokens {
		var err error
		if tokens[w], err = signIn(ctx, s.URL, a.clientID(), openID(w%s.users)); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (b *bench) writeInitData() (string, error) {
	type row = map[string]any
	var certs, applications []row
	for _, a := range b.algorithms {
		certs = append(certs, row{"owner": "admin", "name": "cert-" + a.flag})
		for key, value := range a.cert {
			certs[len(certs)-1][key] = value
		}
		applications = append(applications, row{
			"owner": "admin", "name": "app-" + a.flag, "organization": "bench", "clientId": a.clientID(),
			"cert": "cert-" + a.flag, "enableSignUp": true, "tokenFormat": "JWT", "expireInHours": 168,
			"providers": []row{{"name": "wechat", "canSignUp": true, "canSignIn": true}},
		})
	}
	text, err := json.Marshal(row{
		"organizations": []row{{"owner": "admin", "name": "bench", "displayName": "Bench"}},
		"providers": []row{{
			"owner": "admin", "name": "wechat", "category": "OAuth", "type": "WeChatMiniProgram",
			"clientId": appID, "clientSecret": appSecret,
		}},
		"certs": certs, "applications": applications,
	})
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.folder, "init_data.json")
	return file, os.WriteFile(file, text, 0o600)
}

// floor is the reference program, running with one algorithm.
type floor struct {
	*process.Process

	address string
}

func (b *bench) startFloor(ctx context.Context, binary string, a algorithm) (*floor, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := process.Start(ctx, process.Config{Binary: binary, Args: []string{
		"-addr", address, "-wx", b.wechat, "-alg", a.flag, "-db", filepath.Join(b.folder, "floor-"+a.flag+".db"),
	}})
	if err != nil {
		return nil, err
	}
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			return &floor{p, address}, conn.Close()
		}
		select {
		case <-p.Ended():
			return nil, fmt.Errorf("floor: %w\n%s", p.Wait(), p.Output())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// signIn returns the access token of a sign-in.
func signIn(ctx context.Context, server, clientID, openID string) (string, error) {
	form := url.Values{
		"tag": {"wechat_miniprogram"}, "client_id": {clientID}, "code": {"u:" + openID + "::" + rand.Text()},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/api/login/oauth/access_token",
		strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil {
		return "", err
	}
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body.Bytes(), &reply); err != nil || reply.AccessToken == "" {
		return "", fmt.Errorf("sign-in: %s %s", answer.Status, body.Bytes())
	}
	return reply.AccessToken, nil
}
