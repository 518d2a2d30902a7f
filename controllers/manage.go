package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/minidoor/minidoor/object"
)

// ManageController serves Casdoor's paths of a family of rows: get one, get many, add, update and delete.
type ManageController struct {
	Base

	Family family
}

// manageRoutes are the paths of the families, as Casdoor names them. What users ask for of themselves too is with the
// account (get-user), the profile (update-user) and the avatar (upload-resource).
func manageRoutes(base Base) []route {
	a := base.Deps.Authority
	var all []route
	one := func(f family) {
		all = append(all, route{"/api/get-" + f.name(), &ManageController{base, f}, "get:One"})
	}
	many := func(path string, f family) { all = append(all, route{path, &ManageController{base, f}, "get:Many"}) }
	add := func(f family) {
		all = append(all, route{"/api/add-" + f.name(), &ManageController{base, f}, "post:Add"})
	}
	change := func(f family) {
		all = append(all, route{"/api/update-" + f.name(), &ManageController{base, f}, "post:Update"})
	}
	remove := func(f family) {
		all = append(all, route{"/api/delete-" + f.name(), &ManageController{base, f}, "post:Remove"})
	}
	for _, f := range []family{
		of(a.Organizations()), of(a.Providers()), of(a.Applications()), of(a.Certs()), of(a.Tokens()),
		of(a.Resources()),
	} {
		one(f)
		many("/api/get-"+f.name()+"s", f)
		add(f)
		change(f)
		remove(f)
	}
	users, records := of(a.Users()), of(a.Records())
	many("/api/get-users", users)
	add(users)
	remove(users)
	one(records)
	many("/api/get-records", records)
	add(records)
	many("/api/get-global-users", of(a.GlobalUsers()))
	many("/api/get-global-certs", of(a.GlobalCerts()))
	many("/api/get-organization-applications", of(a.OrganizationApplications()))
	return append(all, []route{
		{"/api/get-sorted-users", &ManageController{base, of(a.SortedUsers())}, "get:Sorted"},
		{"/api/get-user-count", &DirectoryController{base}, "get:UserCount"},
		{"/api/get-organization-names", &DirectoryController{base}, "get:OrganizationNames"},
		{"/api/get-default-application", &DirectoryController{base}, "get:DefaultApplication"},
		{"/api/get-user-application", &DirectoryController{base}, "get:UserApplication"},
		{"/api/get-app-login", &DirectoryController{base}, "get:AppLogin"},
	}...)
}

// One is GET /api/get-…?id=owner/name: the row in data, null where there is none.
func (c *ManageController) One() {
	owner, name, _ := strings.Cut(c.Ctx.Request.URL.Query().Get("id"), "/")
	ask(c.Base, func(caller *object.Caller) (any, error) {
		return c.Family.get(c.Ctx.Request.Context(), caller, owner, name)
	})
}

// Many is GET /api/get-…s?owner=…: the rows in data, and with p and pageSize their number in data2.
func (c *ManageController) Many() {
	q, err := listQuery(c.Ctx.Request.URL.Query().Get)
	c.list(q, err)
}

// Sorted is GET /api/get-sorted-users?owner=…&sorter=column&limit=n: the n with the most.
func (c *ManageController) Sorted() {
	query := c.Ctx.Request.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 {
		err = badRequest("limit must be a number above zero")
	}
	c.list(object.ListQuery{Owner: query.Get("owner"), SortField: query.Get("sorter"), PageSize: limit}, err)
}

func (c *ManageController) list(q object.ListQuery, err error) {
	caller := &object.Caller{}
	if err == nil {
		caller, err = c.caller()
	}
	if err != nil {
		c.fail(err)
		return
	}
	if q.PageSize == 0 && caller.Role > object.Member { // others get no such list, and wait for none
		leave, err := c.Deps.roomForAll(c.Ctx.Request.Context())
		if err != nil {
			c.fail(err)
			return
		}
		defer leave()
	}
	rows, total, err := c.Family.list(c.Ctx.Request.Context(), caller, q)
	if err != nil || q.Page == 0 {
		c.replyDataOr(rows, err)
		return
	}
	c.reply(casdoorReply{Status: "ok", Data: rows, Data2: total})
}

// maxWholeLists bounds the lists of all rows that are answered at once: one of 10,000 users takes over 100 MB until its
// client has read it. Those in pages do not wait for them.
const maxWholeLists = 2

// roomForAll waits for a place to answer with a list of all rows; leave must be called when that is done.
func (d *Deps) roomForAll(ctx context.Context) (leave func(), err error) {
	select {
	case d.wholeLists <- struct{}{}:
		return func() { <-d.wholeLists }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func listQuery(param func(string) string) (object.ListQuery, error) {
	q := object.ListQuery{
		Owner: param("owner"), Organization: param("organization"), User: param("user"), Field: param("field"),
		Value: param("value"), SortField: param("sortField"), SortOrder: param("sortOrder"),
	}
	if param("p") == "" || param("pageSize") == "" {
		return q, nil
	}
	var err error
	if q.Page, err = strconv.Atoi(param("p")); err == nil {
		q.PageSize, err = strconv.Atoi(param("pageSize"))
	}
	if err != nil || q.PageSize < 1 || max(q.Page, q.PageSize) > math.MaxInt32 {
		return q, badRequest("p and pageSize must be numbers of at most 32 bits, pageSize above zero")
	}
	q.Page = max(q.Page, 1) // as in Casdoor: some count from zero
	return q, nil
}

// Add is POST /api/add-… with the row as JSON.
func (c *ManageController) Add() {
	caller, body, err := c.change()
	if err == nil {
		err = c.Family.add(c.Ctx.Request.Context(), caller, body)
	}
	c.replyDataOr("Affected", err)
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
	affected, err := c.Family.update(c.Ctx.Request.Context(), caller, owner, name, listOf(query.Get("columns")), body)
	c.replyAffected(affected, err)
}

// listOf splits what commas part; nothing has no parts.
func listOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// Remove is POST /api/delete-… with the row's owner and name as JSON.
func (c *ManageController) Remove() {
	var id struct{ Owner, Name string }
	caller, err := c.changeOf(&id)
	if err != nil {
		c.fail(err)
		return
	}
	affected, err := c.Family.delete(c.Ctx.Request.Context(), caller, id.Owner, id.Name)
	c.replyAffected(affected, err)
}

// change reads who asks for a change, and the body.
func (b *Base) change() (*object.Caller, json.RawMessage, error) {
	caller, err := b.caller()
	if err != nil {
		return nil, nil, err
	}
	body, err := b.body()
	if err != nil {
		return nil, nil, err
	}
	if bytes.Contains(body, []byte(`\u0000`)) {
		return nil, nil, badRequest("the body has a NUL, which databases do not take")
	}
	_, err = decodeObject(body) // which refuses a field that is there twice
	return caller, body, err
}

// changeOf reads who asks for a change, and the body into what v points to.
func (b *Base) changeOf(v any) (*object.Caller, error) {
	caller, body, err := b.change()
	if err == nil && json.Unmarshal(body, v) != nil {
		err = badRequest("the body is not a JSON object of this kind")
	}
	return caller, err
}

// replyAffected says whether there was something to change, in Casdoor's words.
func (b *Base) replyAffected(affected bool, err error) {
	if affected {
		b.replyDataOr("Affected", err)
		return
	}
	b.replyDataOr("Unaffected", err)
}
