package controllers

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/minidoor/minidoor/object"
)

// ManageController serves Casdoor's five paths of each family of rows: get one, get many, add, update and delete.
type ManageController struct {
	Base

	Family family
}

// manageRoutes are the paths of the families, as Casdoor names them.
func manageRoutes(base Base) []route {
	a := base.Deps.Authority
	var all []route
	for _, f := range []family{of(a.Organizations()), of(a.Providers())} {
		c := &ManageController{base, f}
		all = append(all,
			route{"/api/get-" + f.name(), c, "get:One"},
			route{"/api/get-" + f.name() + "s", c, "get:Many"},
			route{"/api/add-" + f.name(), c, "post:Add"},
			route{"/api/update-" + f.name(), c, "post:Update"},
			route{"/api/delete-" + f.name(), c, "post:Remove"},
		)
	}
	return all
}

// One is GET /api/get-…?id=owner/name: the row in data, null where there is none.
func (c *ManageController) One() {
	caller, err := c.caller()
	if err != nil {
		c.fail(err)
		return
	}
	owner, name, _ := strings.Cut(c.Ctx.Request.URL.Query().Get("id"), "/")
	row, err := c.Family.get(c.Ctx.Request.Context(), caller, owner, name)
	c.answer(row, err)
}

// Many is GET /api/get-…s?owner=…: the rows in data, and with p and pageSize their number in data2.
func (c *ManageController) Many() {
	caller, err := c.caller()
	if err != nil {
		c.fail(err)
		return
	}
	q, err := listQuery(c.Ctx.Request.URL.Query().Get)
	if err != nil {
		c.fail(err)
		return
	}
	rows, total, err := c.Family.list(c.Ctx.Request.Context(), caller, q)
	if err != nil || q.Page == 0 {
		c.answer(rows, err)
		return
	}
	c.reply(casdoorReply{Status: "ok", Data: rows, Data2: total})
}

func listQuery(param func(string) string) (object.ListQuery, error) {
	q := object.ListQuery{
		Owner: param("owner"), Organization: param("organization"), Field: param("field"), Value: param("value"),
		SortField: param("sortField"), SortOrder: param("sortOrder"),
	}
	if param("p") == "" || param("pageSize") == "" {
		return q, nil
	}
	var err error
	if q.Page, err = strconv.Atoi(param("p")); err == nil {
		q.PageSize, err = strconv.Atoi(param("pageSize"))
	}
	if err != nil || q.Page < 1 || q.PageSize < 1 {
		return q, badRequest("p and pageSize must be numbers above zero")
	}
	return q, nil
}

// Add is POST /api/add-… with the row as JSON.
func (c *ManageController) Add() {
	caller, body, err := c.change()
	if err == nil {
		err = c.Family.add(c.Ctx.Request.Context(), caller, body)
	}
	c.answer("Affected", err)
}

// Update is POST /api/update-…?id=owner/name&columns=… with the row as JSON.
func (c *ManageController) Update() {
	caller, body, err := c.change()
	if err != nil {
		c.fail(err)
		return
	}
	query := c.Ctx.Request.URL.Query()
	owner, name, _ := strings.Cut(query.Get("id"), "/")
	var columns []string
	if query.Get("columns") != "" {
		columns = strings.Split(query.Get("columns"), ",")
	}
	affected, err := c.Family.update(c.Ctx.Request.Context(), caller, owner, name, columns, body)
	c.answerAffected(affected, err)
}

// Remove is POST /api/delete-… with the row's owner and name as JSON.
func (c *ManageController) Remove() {
	caller, body, err := c.change()
	var id struct{ Owner, Name string }
	if err == nil && json.Unmarshal(body, &id) != nil {
		err = badRequest("the body is not a JSON object of this kind")
	}
	if err != nil {
		c.fail(err)
		return
	}
	affected, err := c.Family.delete(c.Ctx.Request.Context(), caller, id.Owner, id.Name)
	c.answerAffected(affected, err)
}

// change reads who asks for a change, and the body.
func (b *Base) change() (*object.Caller, json.RawMessage, error) {
	caller, err := b.caller()
	if err != nil {
		return nil, nil, err
	}
	body, err := b.body()
	return caller, body, err
}

func (b *Base) answerAffected(affected bool, err error) {
	if affected {
		b.answer("Affected", err)
		return
	}
	b.answer("Unaffected", err)
}

// answer answers with data, or with the error if there is one.
func (b *Base) answer(data any, err error) {
	if err != nil {
		b.fail(err)
		return
	}
	b.replyData(data)
}
