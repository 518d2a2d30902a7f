package controllers

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/minidoor/minidoor/object"
)

// MetricsController serves Prometheus.
type MetricsController struct{ Base }

// Metrics is GET /api/metrics, and /api/mini-program/metrics where another Casdoor has that path, in Prometheus's form:
// for the bearer of the metrics token, for an admin of the organization built-in, and for an application of it that
// shows its secret (HTTP Basic).
//
//	@router /api/metrics [get]
func (c *MetricsController) Metrics() {
	if err := c.mayRead(); err != nil {
		e := apiError(err)
		logError(c.Deps.Logger, c.Ctx.Request, "request refused", e)
		c.refuse(e)
		return
	}
	c.Ctx.ResponseWriter.Header().Set("Cache-Control", "no-store")
	promhttp.HandlerFor(c.Deps.Metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(c.Ctx.ResponseWriter, c.Ctx.Request)
}

func (c *MetricsController) mayRead() error {
	token, isBearer := bearer(c.Ctx.Request)
	switch id, secret, isBasic := c.Ctx.Request.BasicAuth(); {
	case isBasic:
		return c.isBuiltIn(id, secret)
	case isBearer && c.Deps.isMetricsToken(token):
		return nil
	}
	return c.require(object.Global, forbidden(object.NotAllowed().Message, nil))
}

// isBuiltIn says the same to a client that does not exist and to one whose secret is wrong.
func (c *MetricsController) isBuiltIn(clientID, secret string) error {
	caller, err := c.Deps.Service.ClientCaller(c.Ctx.Request.Context(), clientID, secret)
	_, refused := errors.AsType[*object.Refusal](err)
	switch {
	case refused:
		return &object.Refusal{Code: object.InvalidClient, Message: "client id or secret is invalid"}
	case err == nil && caller.Role != object.Global:
		return forbidden(object.NotAllowed().Message, nil)
	}
	return err
}

// isMetricsToken compares in constant time, whatever the lengths.
func (d *Deps) isMetricsToken(token string) bool {
	want, got := sha256.Sum256([]byte(d.MetricsToken.Reveal())), sha256.Sum256([]byte(token))
	return d.MetricsToken != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
