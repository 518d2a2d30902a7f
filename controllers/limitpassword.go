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
	ctx, network := r.Context(), d.network(r)
	return d.Limits.attempt(ctx, network, do, func(err error) {
		refusal, refused := errors.AsType[*object.Refusal](err)
		if err == nil || refused && statusOf(refusal.Code) < http.StatusInternalServerError {
			d.Limits.failed.count(context.WithoutCancel(ctx), network, passwords, refused)
		}
	})
}
