package controllers

import (
	"crypto/sha256"
	"crypto/subtle"

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
		c.fail(err)
		return
	}
	c.Ctx.ResponseWriter.Header().Set("Cache-Control", "no-store")
	promhttp.HandlerFor(c.Deps.Metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(c.Ctx.ResponseWriter, c.Ctx.Request)
}

func (c *MetricsController) mayRead() error {
	if token, isBearer := bearer(c.Ctx.Request); isBearer && c.Deps.isMetricsToken(token) {
		return nil
	}
	err := c.require(object.Global, forbidden(object.NotAllowed().Message, nil))
	if _, _, isBasic := c.Ctx.Request.BasicAuth(); isBasic && isRefusal(err, object.AccessDenied) {
		return &object.Refusal{Code: object.InvalidClient, Message: "client id or secret is invalid"}
	}
	return err
}

// isMetricsToken compares in constant time, whatever the lengths.
func (d *Deps) isMetricsToken(token string) bool {
	want, got := sha256.Sum256([]byte(d.MetricsToken.Reveal())), sha256.Sum256([]byte(token))
	return d.MetricsToken != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
