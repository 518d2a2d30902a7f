package controllers

import (
	"embed"
	"net/http"
	"path"
)

//go:embed pages/demo
var demoPages embed.FS

// Demo is what the page at /demo plays WeChat with. The page is there in -demo only.
type Demo struct {
	ClientID     string
	AppID        string
	NewCode      func(user string) string // what wx.login would give to the WeChat user of that name
	NewPhoneCode func(user string) string // what the phone button would
}

// DemoController serves the page at /demo.
type DemoController struct{ Base }

func demoRoutes(base Base) []route {
	return []route{
		{"/demo", &DemoController{base}, "get:Page"},
		{"/demo/demo.css", &DemoController{base}, "get:Page"},
		{"/demo/demo.js", &DemoController{base}, "get:Page"},
		{"/demo/config", &DemoController{base}, "get:Config"},
		{"/demo/code", &DemoController{base}, "get:CodeText;post:Code"},
		{"/demo/phone-code", &DemoController{base}, "get:PhoneCode"},
	}
}

// demoPolicy lets the page load from this server alone; an avatar may come from anywhere.
const demoPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page is GET /demo and its style sheet and script.
func (c *DemoController) Page() {
	name := path.Base(c.Ctx.Request.URL.Path)
	if name == "demo" {
		name = "demo.html"
	}
	c.Ctx.ResponseWriter.Header().Set("Content-Security-Policy", demoPolicy)
	http.ServeFileFS(c.Ctx.ResponseWriter, c.Ctx.Request, demoPages, "pages/demo/"+name)
}

// Config is GET /demo/config: what a mini program has in its source.
func (c *DemoController) Config() {
	c.reply(map[string]string{"clientId": c.Deps.Demo.ClientID, "appId": c.Deps.Demo.AppID})
}

// Code is POST /demo/code with user=…: what wx.login gives, as JSON.
func (c *DemoController) Code() {
	p, err := c.params()
	if err != nil {
		c.fail(err)
		return
	}
	c.reply(map[string]string{"code": c.Deps.Demo.NewCode(p["user"])})
}

// CodeText is GET /demo/code?user=…: the same as plain text, for curl.
func (c *DemoController) CodeText() {
	c.replyText(c.Deps.Demo.NewCode(c.Ctx.Request.URL.Query().Get("user")))
}

// PhoneCode is GET /demo/phone-code?user=…: what the phone button gives, as plain text.
func (c *DemoController) PhoneCode() {
	c.replyText(c.Deps.Demo.NewPhoneCode(c.Ctx.Request.URL.Query().Get("user")))
}
