package controllers

import (
	"context"
	"errors"
	"net/http"

	"github.com/minidoor/minidoor/object"
)

// passwords is what the budget of failed sign-ins knows passwords by, among the applications.
const passwords = "password"

// guess has do look whether a password is right, unless the client address has sent too many wrong codes and passwords,
// and counts what came of it.
func (d *Deps) guess(r *http.Request, do func() error) error {
	l := d.Limits
	if l == nil {
		return do()
	}
	ctx, network := r.Context(), d.network(r)
	back, wait := l.failed.send(network)
	defer back()
	if err := l.judge(ctx, overFailed, wait); err != nil {
		return err
	}
	err := do()
	refusal, refused := errors.AsType[*object.Refusal](err)
	if err == nil || refused && statusOf(refusal.Code) < http.StatusInternalServerError {
		l.failed.count(context.WithoutCancel(ctx), network, passwords, refused)
	}
	return err
}
