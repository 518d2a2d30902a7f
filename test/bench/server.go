package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/dbserver"
	"github.com/minidoor/minidoor/test/process"
)

// The mini program, as floor has it built in.
const (
	appID     = "wx1234567890abcdef"
	appSecret = "0123456789abcdef0123456789abcdef"
)

// site is a database of the benchmark's own, and the servers on it.
type site struct {
	kind    string // Casdoor's driverName
	users   int    // at the start
	store   object.StoreConfig
	cfg     process.Config
	servers []*process.Server
	idle    int64 // bytes that the first server held after its start
}

// startSite prepares a database of so many users and starts servers on it.
func (b *bench) startSite(ctx context.Context, kind string, users, instances int) (*site, error) {
	initData, err := b.writeInitData()
	if err != nil {
		return nil, err
	}
	s := &site{kind: kind, users: users, store: newDatabase(kind, b.folder, users)}
	b.sites = append(b.sites, s) // to be dropped, whatever happens
	s.cfg = process.Config{Binary: b.binary, Env: map[string]string{
		"driverName": kind, "dataSourceName": s.store.DataSourceName, "dbName": s.store.DBName,
		"sealKeyFile":  filepath.Join(b.folder, fmt.Sprintf("%s-%d.key", kind, users)),
		"initDataFile": initData, "wechatEndpoint": b.wechat.url, "limitPerOpenID": "0", // few users, many sign-ins
	}}
	if err := s.fill(ctx, b.algorithms[0]); err != nil {
		return nil, err
	}
	for range instances {
		if err := s.start(ctx); err != nil {
			return nil, err
		}
	}
	s.idle, err = s.servers[0].RSS()
	return s, err
}

// fill makes the users.
func (s *site) fill(ctx context.Context, a algorithm) error {
	first, err := process.StartServer(ctx, s.cfg)
	if err != nil {
		return err
	}
	if _, err := signIn(ctx, first.URL, a.clientID(), openID(0)); err != nil {
		return err
	}
	if err := first.Stop(); err != nil {
		return err
	}
	return multiply(ctx, s.store, s.users)
}

// start starts one more server.
func (s *site) start(ctx context.Context) error {
	server, err := process.StartServer(ctx, s.cfg)
	if err != nil {
		return err
	}
	s.servers = append(s.servers, server)
	return server.Healthy(ctx)
}

// stop ends the servers.
func (s *site) stop() {
	for _, server := range s.servers {
		server.Kill()
	}
	s.servers = nil
}

// close ends the servers and drops the database of a database server; that of SQLite goes with its folder.
func (s *site) close() error {
	s.stop()
	if s.kind == "sqlite" {
		return nil
	}
	return dbserver.Drop(context.Background(), s.store)
}

// target is what is measured: the first so many servers of a site.
type target struct {
	*site

	instances int
}

func (t target) addresses() []string {
	addresses := make([]string, t.instances)
	for i, server := range t.servers[:t.instances] {
		addresses[i] = strings.TrimPrefix(server.URL, "http://")
	}
	return addresses
}

// tokensOf signs users in, one for each of so many workers, and returns their access tokens.
func (s *site) tokensOf(ctx context.Context, a algorithm, workers int) ([]string, error) {
	tokens := make([]string, workers)
	for w := range tokens {
		var err error
		if tokens[w], err = signIn(ctx, s.servers[0].URL, a.clientID(), openID(w%s.users)); err != nil {
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
