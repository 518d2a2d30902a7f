package controllers

// StateController tells how the server is.
type StateController struct{ Base }

// Health is GET /api/health: 200 while the database, or the Casdoor in its place, answers; else 503.
//
//	@router /api/health [get]
func (c *StateController) Health() {
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
	p, err := c.principal()
	if err == nil && !p.User.IsAdmin {
		err = unauthorized()
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.replyData(map[string]string{"version": c.Deps.Version})
}
