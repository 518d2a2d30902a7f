package controllers

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/beego/beego/v2/server/web"
	"github.com/minidoor/minidoor/object"
)

// Base is what all controllers share. beego copies its exported field into the instance that serves a request.
type Base struct {
	web.Controller

	Deps *Deps
}

// casdoorReply is Casdoor's answer to a request that it did.
type casdoorReply struct {
	Status string `json:"status"`
	Msg    string `json:"msg"`
	Sub    string `json:"sub"`
	Name   string `json:"name"`
	Data   any    `json:"data"`
	Data2  any    `json:"data2"`
	Data3  any    `json:"data3"`
}

// reply answers 200 with v as JSON.
func (b *Base) reply(v any) { writeJSON(b.Ctx.ResponseWriter, http.StatusOK, v) }

// replyOr is reply, or fail if there is an error.
func (b *Base) replyOr(v any, err error) {
	if err != nil {
		b.fail(err)
		return
	}
	b.reply(v)
}

// replyData answers as Casdoor does.
func (b *Base) replyData(data any) { b.reply(casdoorReply{Status: "ok", Data: data}) }

// replyDataOr is replyData, or fail if there is an error.
func (b *Base) replyDataOr(data any, err error) {
	b.replyOr(casdoorReply{Status: "ok", Data: data}, err)
}

// replyText answers 200 with plain text.
func (b *Base) replyText(text string) {
	header := b.Ctx.ResponseWriter.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(b.Ctx.ResponseWriter, text) // the client has left
}

// fail logs an error and answers with it, in the form of the request's path.
func (b *Base) fail(err error) {
	e := apiError(orLeft(b.Ctx.Request, err))
	logError(b.Deps.Logger, b.Ctx.Request, "request refused", e, upstreamAttrs(err)...)
	b.refuse(e)
}

// refuse answers with an error that has been logged.
func (b *Base) refuse(e *APIError) {
	writeError(b.Ctx.ResponseWriter, shapeOf(b.Ctx.Request.URL.Path), e)
}

// principal returns the user of the bearer token (RFC 6750 §2.1).
func (b *Base) principal() (*object.Principal, error) {
	token, ok := bearer(b.Ctx.Request)
	if !ok {
		return nil, object.LoginFirst()
	}
	return b.principalOf(token)
}

// principalOf returns the user of an access token.
func (b *Base) principalOf(token string) (*object.Principal, error) {
	p, err := b.Deps.authenticate(b.Ctx.Request.Context(), token)
	if err == nil {
		p.ClientIP, p.Asking = b.Deps.clientIP(b.Ctx.Request), b.Deps.Limits.openID
	}
	return p, err
}

// authenticate returns whose an access token is, if there is room for more work.
func (d *Deps) authenticate(ctx context.Context, token string) (*object.Principal, error) {
	return worked(ctx, d.Limits, func() (*object.Principal, error) { return d.Service.Authenticate(ctx, token) })
}

// bearer returns the bearer token of a request, and whether there is one.
func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer") && token != ""
}
