package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/minidoor/minidoor/object"
)

// ManageController serves Casdoor's paths of a family of rows: get one, get many, add, update and delete.
type ManageController[T any] struct {
	Base

	Family *object.Family[T]
	None   string // how One tells of an owner and a name that there is no such row; empty: by no data
}

func manage[T any](base Base, f *object.Family[T]) *ManageController[T] {
	return &ManageController[T]{Base: base, Family: f}
}

// manageRoutes are the paths of the families, as Casdoor names them. What users ask for of themselves too is with the
// account (get-user), the profile (update-user) and the avatar (upload-resource).
func manageRoutes(base Base) []route {
	a := base.Deps.Authority
	organizations, applications := manage(base, a.Organizations()), manage(base, a.Applications())
	providers, certs, tokens := manage(base, a.Providers()), manage(base, a.Certs()), manage(base, a.Tokens())
	users, resources, records := manage(base, a.Users()), manage(base, a.Resources()), manage(base, a.Records())
	tokens.None = "The token: %.100s/%.100s does not exist" // as in Casdoor, of tokens alone
	directory := &DirectoryController{base}
	return []route{
		{"/api/get-organizations", organizations, "get:Many"},
		{"/api/get-organization", organizations, "get:One"},
		{"/api/add-organization", organizations, "post:Add"},
		{"/api/update-organization", organizations, "post:Update"},
		{"/api/delete-organization", organizations, "post:Remove"},
		{"/api/get-organization-names", directory, "get:OrganizationNames"},

		{"/api/get-providers", providers, "get:Many"},
		{"/api/get-provider", providers, "get:One"},
		{"/api/add-provider", providers, "post:Add"},
		{"/api/update-provider", providers, "post:Update"},
		{"/api/delete-provider", providers, "post:Remove"},

		{"/api/get-applications", applications, "get:Many"},
		{"/api/get-application", applications, "get:One"},
		{"/api/add-application", applications, "post:Add"},
		{"/api/update-application", applications, "post:Update"},
		{"/api/delete-application", applications, "post:Remove"},
		{
			"/api/get-organization-applications",
			manage(base, a.Applications().ListedAs("get-organization-applications")), "get:Many",
		},
		{"/api/get-default-application", directory, "get:DefaultApplication"},
		{"/api/get-user-application", directory, "get:UserApplication"},
		{"/api/get-app-login", directory, "get:AppLogin"},

		{"/api/get-certs", certs, "get:Many"},
		{"/api/get-cert", certs, "get:One"},
		{"/api/add-cert", certs, "post:Add"},
		{"/api/update-cert", certs, "post:Update"},
		{"/api/delete-cert", certs, "post:Remove"},
		{"/api/get-global-certs", manage(base, a.Certs().ListedAs("get-global-certs")), "get:Many"},

		{"/api/get-tokens", tokens, "get:Many"},
		{"/api/get-token", tokens, "get:One"},
		{"/api/add-token", tokens, "post:Add"},
		{"/api/update-token", tokens, "post:Update"},
		{"/api/delete-token", tokens, "post:Remove"},

		{"/api/get-users", users, "get:Many"},
		{"/api/add-user", users, "post:Add"},
		{"/api/delete-user", users, "post:Remove"},
		{"/api/get-global-users", manage(base, a.Users().ListedAs("get-global-users")), "get:Many"},
		{"/api/get-sorted-users", manage(base, a.Users().ListedAs("get-sorted-users")), "get:Sorted"},
		{"/api/get-user-count", directory, "get:UserCount"},

		{"/api/get-resources", resources, "get:Many"},
		{"/api/get-resource", resources, "get:One"},
		{"/api/add-resource", resources, "post:Add"},
		{"/api/update-resource", resources, "post:Update"},
		{"/api/delete-resource", resources, "post:Remove"},

		{"/api/get-records", records, "get:Many"},
		{"/api/get-record", records, "get:One"},
		{"/api/add-record", records, "post:Add"},
	}
}

// One is GET /api/get-…?id=owner/name: the row in data, null where there is none.
func (c *ManageController[T]) One() {
	owner, name, _ := strings.Cut(c.Ctx.Request.URL.Query().Get("id"), "/")
	ask(c.Base, func(caller *object.Caller) (*T, error) {
		row, err := c.Family.Get(c.Ctx.Request.Context(), caller, owner, name)
		if c.None != "" && errors.Is(err, object.ErrNotFound) {
			err = badRequest(fmt.Sprintf(c.None, owner, name))
		}
		return row, err
	})
}

// Many is GET /api/get-…s?owner=…: the rows in data, and with p and pageSize their number in data2.
func (c *ManageController[T]) Many() {
	q, err := listQuery(c.Ctx.Request.URL.Query())
	c.list(q, err)
}

// Sorted is GET /api/get-sorted-users?owner=…&sorter=column&limit=n: the n with the most.
func (c *ManageController[T]) Sorted() {
	query := c.Ctx.Request.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 {
		err = badRequest("limit must be a number above zero")
	}
	c.list(object.ListQuery{Owner: query.Get("owner"), SortField: query.Get("sorter"), PageSize: limit}, err)
}

func (c *ManageController[T]) list(q object.ListQuery, err error) {
	caller := &object.Caller{}
	if err == nil {
		caller, err = c.caller()
	}
	if err != nil {
		c.fail(err)
		return
	}
	if caller.Role > object.Member { // others get no large list, and wait for none
		leave, err := c.Deps.roomForList(c.Ctx.Request.Context(), q.PageSize)
		if err != nil {
			c.fail(err)
			return
		}
		defer leave()
	}
	page, err := c.Family.List(c.Ctx.Request.Context(), caller, q)
	replyPage(&c.Base, q, page, err)
}

// replyPage answers with the rows of a list and, where it was asked for by pages, their number in data2.
func replyPage[T any](b *Base, q object.ListQuery, page *object.Page[T], err error) {
	if err != nil {
		b.fail(err)
		return
	}
	reply := casdoorReply{Status: "ok", Data: page.Rows}
	if page.Rows == nil {
		reply.Data = []*T{}
	}
	if q.Page > 0 {
		reply.Data2 = page.Total
	}
	b.reply(reply)
}

// Lists are in memory until their client has read them: one of all rows, of 10,000 users, takes over 100 MB, and a
// large page, of 1,000, a tenth. So many of each are answered at once; smaller pages wait for none.
const (
	maxWholeLists = 2
	maxLargePages = 16
	largePage     = 100 // rows, and more
)

// roomForList waits for a place to answer with a list of so many rows, 0 being all; leave must be called when that is
// done.
func (d *Deps) roomForList(ctx context.Context, rows int) (leave func(), err error) {
	places := d.largePages
	if rows == 0 {
		places = d.wholeLists
	} else if rows < largePage {
		return func() {}, nil
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func listQuery(query url.Values) (object.ListQuery, error) {
	q := object.ListQuery{
		Owner: query.Get("owner"), Organization: query.Get("organization"), User: query.Get("user"),
		Field: query.Get("field"), Value: query.Get("value"),
		SortField: query.Get("sortField"), SortOrder: query.Get("sortOrder"),
	}
	if query.Get("p") == "" || query.Get("pageSize") == "" {
		return q, nil
	}
	var err error
	if q.Page, err = strconv.Atoi(query.Get("p")); err == nil {
		q.PageSize, err = strconv.Atoi(query.Get("pageSize"))
	}
	if err != nil || q.PageSize < 1 || max(q.Page, q.PageSize) > math.MaxInt32 {
		return q, badRequest("p and pageSize must be numbers of at most 32 bits, pageSize above zero")
	}
	q.Page = max(q.Page, 1) // as in Casdoor: some count from zero
	return q, nil
}

// Add is POST /api/add-… with the row as JSON.
func (c *ManageController[T]) Add() {
	caller, body, err := c.change()
	if err == nil {
		err = c.Family.Add(c.Ctx.Request.Context(), caller, body)
	}
	c.replyDataOr("Affected", err)
}

// Update is POST /api/update-…?id=owner/name&columns=… with the row as JSON.
func (c *ManageController[T]) Update() {
	caller, body, err := c.change()
	if err != nil {
		c.fail(err)
		return
	}
	query := c.Ctx.Request.URL.Query()
	owner, name, _ := strings.Cut(query.Get("id"), "/")
	affected, err := c.Family.Update(c.Ctx.Request.Context(), caller, owner, name, listOf(query.Get("columns")), body)
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
func (c *ManageController[T]) Remove() {
	var id struct{ Owner, Name string }
	caller, err := c.changeOf(&id)
	if err != nil {
		c.fail(err)
		return
	}
	affected, err := c.Family.Delete(c.Ctx.Request.Context(), caller, id.Owner, id.Name)
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
