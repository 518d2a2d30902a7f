// Package demo is what the flag -demo adds to a server: a throw-away SQLite file, a fake WeChat on a loopback port, and
// an organization with an application and a mini program. Nothing of it outlives the process.
package demo

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/test/fakewechat"
)

// What the demo signs in to.
const (
	Organization = "demo"
	Application  = "app-demo"
	ClientID     = "demo-client"
	AppID        = "wxdemo0000000000"
	appSecret    = "demo-app-secret"
	adminName    = "demo" // of the organization built-in: who may do everything
)

// Demo is the surroundings of a server that runs with -demo.
type Demo struct {
	folder string
	wechat *fakewechat.Server
	server *http.Server
	keys   map[string]string

	adminPassword string
}

// Start makes the folder and starts the fake WeChat.
func Start() (*Demo, error) {
	folder, err := os.MkdirTemp("", "minidoor-demo-")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	d := &Demo{folder: folder, wechat: fakewechat.New(fakewechat.Options{AppID: AppID, AppSecret: appSecret})}
	d.adminPassword = strings.ToLower(rand.Text()[:12])
	d.server = &http.Server{Handler: d.wechat, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = d.server.Serve(listener) }() // ends with Close
	d.keys = map[string]string{
		"httpaddr":        "127.0.0.1",
		"driverName":      "sqlite",
		"dataSourceName":  "file:" + filepath.Join(folder, "demo.db"),
		"sealKeyFile":     filepath.Join(folder, "demo.key"),
		"initDataFile":    filepath.Join(folder, "init_data.json"),
		"wechatEndpoint":  "http://" + listener.Addr().String(),
		"tableNamePrefix": "",
		"sealKey":         "",
		"avatarDir":       filepath.Join(folder, "avatars"),
		"avatarUrl":       "",
		"s3Endpoint":      "",
		"s3Region":        "",
		"s3Bucket":        "",
		"s3AccessKey":     "",
		"s3SecretKey":     "",
		"s3PathStyle":     "",
		"s3PublicUrl":     "",
		"logFormat":       "text",

		// A Casdoor of whoever tries it out is none of the demo's.
		"casdoorUpstream": "", "casdoorEndpoint": "", "casdoorClientId": "", "casdoorClientSecret": "",
		"wechatAppId": "", "wechatAppSecret": "",
	}
	return d, d.writeInitData()
}

// LookupEnv is the environment in which the server finds the demo: what the demo does not set comes from next.
func (d *Demo) LookupEnv(next func(string) (string, bool)) func(string) (string, bool) {
	return func(key string) (string, bool) {
		if value, ok := d.keys[key]; ok {
			return value, true
		}
		return next(key)
	}
}

// NewCode returns what wx.login would give to the WeChat user of that name.
func (d *Demo) NewCode(user string) string {
	return d.wechat.NewCode(fakewechat.User{OpenID: openID(user)})
}

// NewPhoneCode returns what the phone button would give to the WeChat user of that name, who agrees.
func (d *Demo) NewPhoneCode(user string) string {
	return d.wechat.NewPhoneCode(openID(user), fakewechat.Phone{CountryCode: "86", Number: "13800138000"})
}

func openID(user string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, user)
	return "oDemo_" + name[:min(len(name), 32)]
}

// Banner tells what to do with the demo that answers at address.
func (d *Demo) Banner(w io.Writer, address string) {
	_, _ = fmt.Fprintf(w, `
minidoor demo: %[1]s/demo in a browser. Ctrl-C ends it, and nothing is kept.

Console: %[1]s/console, organization built-in, name %[3]s, password %[4]s

Client id: %[2]s

Sign in, as a mini program does with the code of wx.login:

TOKEN=$(curl -s %[1]s/api/login/oauth/access_token -d tag=wechat_miniprogram -d client_id=%[2]s -d code=$(curl -s '%[1]s/demo/code?user=alice') | tee /dev/stderr | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

Update the profile:

curl -s %[1]s/api/mini-program/profile -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"nickName":"小明 🐼","avatarUrl":"https://example.com/avatars/panda.png"}'

Store the phone number, with the code of the phone button:

curl -s %[1]s/api/mini-program/phone -H "Authorization: Bearer $TOKEN" -d code=$(curl -s '%[1]s/demo/phone-code?user=alice')

`, address, ClientID, adminName, d.adminPassword)
}

// Close ends the fake WeChat and removes the folder.
func (d *Demo) Close() error {
	return errors.Join(d.server.Close(), os.RemoveAll(d.folder))
}

func (d *Demo) writeInitData() error {
	type row = map[string]any
	text, err := json.Marshal(row{
		"users": []row{{
			"owner": "built-in", "name": adminName, "displayName": "Demo", "isAdmin": true, "password": d.adminPassword,
			"signupApplication": "app-built-in",
		}},
		"organizations": []row{{"owner": "admin", "name": Organization, "displayName": "Demo"}},
		"providers": []row{{
			"owner": "admin", "name": "wechat-demo", "displayName": "Demo mini program", "category": "OAuth",
			"type": idp.TypeWeChatMiniProgram, "clientId": AppID, "clientSecret": appSecret,
		}},
		"applications": []row{{
			"owner": "admin", "name": Application, "displayName": "Demo", "organization": Organization,
			"cert": "cert-built-in", "enableSignUp": true, "clientId": ClientID, "tokenFormat": "JWT",
			"expireInHours": 168, "refreshExpireInHours": 720,
			"providers": []row{{"name": "wechat-demo", "canSignUp": true, "canSignIn": true}},
		}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(d.keys["initDataFile"], text, 0o600)
}
