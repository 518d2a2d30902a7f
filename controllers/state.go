package controllers

import (
	"net/http"

	"github.com/minidoor/minidoor/object"
)

// StateController tells how the server is.
type StateController struct{ Base }

const (
	healthPath    = "/api/health"
	ownHealthPath = "/api/mini-program/health" // a gateway's own: the other one is the Casdoor's
)

// Health is GET /api/health: 200 while the database, or the Casdoor in its place, answers, and the server is not about
// to end; else 503.
//
//	@router /api/health [get]
func (c *StateController) Health() {
	if c.Deps.draining() {
		c.refuse(unavailable("the server is about to end", defaultRetry, nil))
		return
	}
	if err := c.Deps.Service.Ping(c.Ctx.Request.Context()); err != nil {
		c.fail(unavailable("the database, or the Casdoor in its place, does not answer", defaultRetry, err))
		return
	}
	c.replyData(nil)
}

// Version is GET /api/get-version-info, for admins.
//
//	@router /api/get-version-info [get]
func (c *StateController) Version() {
	if err := c.require(object.Admin, object.NotAllowed()); err != nil {
		c.fail(err)
		return
	}
	c.replyData(map[string]string{"version": c.Deps.Version})
}

func (d *Deps) draining() bool {
	select {
	case <-d.Draining:
		return true
	default:
		return false
	}
}

// sayGoodbye keeps the client of a server that is about to end from sending the next request over the same connection:
// it would be lost if it met the end of the connection.
func (d *Deps) sayGoodbye(header http.Header) {
	if d.draining() {
		header.Set("Connection", "close")
	}
}
