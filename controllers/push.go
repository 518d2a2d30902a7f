package controllers

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/minidoor/minidoor/object"
)

// PushController takes what WeChat pushes. There is no bearer token: each request is signed.
type PushController struct{ Base }

const (
	pushPath     = "/api/mini-program/push/"
	maxPushed    = 64 << 10
	pushPatience = 800 * time.Millisecond // WeChat wants its answer within 5 s, and an admin a quick one
)

// Verify is GET /api/mini-program/push/<provider>: WeChat's question, when the settings are saved, whether this address
// is the mini program's.
//
//	@router /api/mini-program/push/:provider [get]
func (c *PushController) Verify() {
	r := c.Ctx.Request
	echo, err := c.Deps.Service.VerifyPush(r.Context(), c.provider(), r.URL.Query())
	if err != nil {
		c.fail(notPushed(err))
		return
	}
	c.replyText(echo)
}

// Push is POST /api/mini-program/push/<provider>. What could not be done yet is an error, so that WeChat delivers it
// again.
//
//	@router /api/mini-program/push/:provider [post]
func (c *PushController) Push() {
	r := c.Ctx.Request
	body, err := readBody(io.LimitReader(r.Body, maxPushed+1))
	if err == nil && len(body) > maxPushed {
		err = tooLarge("the message is larger than 64 KiB", nil)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), pushPatience)
		defer cancel()
		err = c.Deps.Service.Push(ctx, c.provider(), r.URL.Query(), body)
	}
	if err != nil {
		c.fail(notPushed(err))
		return
	}
	c.replyText("success")
}

func (c *PushController) provider() string {
	return strings.TrimPrefix(c.Ctx.Request.URL.Path, pushPath)
}

// notPushed answers 404 for a provider to which nothing is pushed.
func notPushed(err error) error {
	if errors.Is(err, object.ErrNotFound) {
		return notFound()
	}
	return err
}
