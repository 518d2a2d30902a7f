package controllers

import (
	"context"
	"errors"
	"net/http"

	"github.com/minidoor/minidoor/object"
)

// passwords is what the budget of failed sign-ins knows passwords by, among the applications.
const passwords = "password"

// password turns a client address away that has sent too many wrong codes and passwords.
func (l *Limits) password(ctx context.Context, network string) error {
	if l == nil {
		return nil
	}
	return l.judge(ctx, overFailed, l.failed.wait(network))
}

// passwordJudged counts a password that was right, or refused.
func (l *Limits) passwordJudged(ctx context.Context, network string, err error) {
	refusal, refused := errors.AsType[*object.Refusal](err)
	if l == nil || err != nil && (!refused || statusOf(refusal.Code) >= http.StatusInternalServerError) {
		return
	}
	l.failed.count(context.WithoutCancel(ctx), network, passwords, refused)
}
