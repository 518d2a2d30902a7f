package controllers

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/blob"
)

// Paths of avatars. No Casdoor has anything at the last one.
const (
	avatarPath   = "/api/mini-program/avatar"
	resourcePath = "/api/upload-resource"
	filesPath    = "/avatars/"
)

// AvatarController takes and serves avatars.
type AvatarController struct{ Base }

// Upload is POST /api/mini-program/avatar with the form of wx.uploadFile: a picture in a field of any name and, where
// it is to change too, nickName. It answers with the account: with 202 and avatarPending in data3 where the avatar is
// still the former one, until WeChat has judged the picture.
//
//	@router /api/mini-program/avatar [post]
func (c *AvatarController) Upload() {
	p, err := c.principal()
	var avatar object.Avatar
	if err == nil {
		avatar, err = c.take(p)
	}
	switch {
	case err != nil:
		c.reject(err)
	case avatar.Pending:
		c.replyAccountAs(http.StatusAccepted, p, map[string]bool{"avatarPending": true})
	default:
		c.replyAccount(p)
	}
}

// Resource is Casdoor's POST /api/upload-resource?owner=…&user=…&tag=…: the address of the picture in data, its key in
// data2. With tag=avatar it becomes the user's avatar; that is what users may upload for themselves. Where WeChat
// judges the picture first, data is the former avatar and data2 empty.
//
//	@router /api/upload-resource [post]
func (c *AvatarController) Resource() {
	avatar, err := c.resource()
	if err != nil {
		c.reject(err)
		return
	}
	c.reply(casdoorReply{Status: "ok", Data: avatar.URL, Data2: avatar.Key})
}

func (c *AvatarController) resource() (object.Avatar, error) {
	query := c.Ctx.Request.URL.Query()
	if _, ok := bearer(c.Ctx.Request); ok {
		p, err := c.member()
		if err != nil {
			return object.Avatar{}, err
		}
		if p != nil {
			return c.ownResource(p, query)
		}
	}
	caller, err := c.caller()
	if err == nil && caller.Role == object.Nobody {
		_, err = c.principal()
	}
	if err != nil {
		return object.Avatar{}, err
	}
	user := caller.UserID
	if caller.Role > object.Member { // who uploads for others
		user = ""
	}
	sent, err := c.upload(user)
	defer sent.close()
	if err != nil {
		return object.Avatar{}, err
	}
	return c.Deps.Authority.AddResource(c.Ctx.Request.Context(), caller, object.ResourceRequest{
		File: sent.file, Size: sent.size, FilesURL: c.Deps.origin(c.Ctx.Request) + filesPath, Asking: c.Deps.Limits.openID,
		Row: sdk.Resource{
			Owner: query.Get("owner"), User: query.Get("user"), Application: query.Get("application"), Tag: query.Get("tag"),
			Parent: query.Get("parent"), FileName: query.Get("fullFilePath"), Description: query.Get("description"),
			CreatedTime: query.Get("createdTime"),
		},
	})
}

// ownResource takes the avatar of the user of the bearer token.
func (c *AvatarController) ownResource(p *object.Principal, query url.Values) (object.Avatar, error) {
	if query.Get("tag") != "avatar" {
		return object.Avatar{}, badRequest("of resources this server takes those with tag=avatar only")
	}
	if query.Get("owner") != p.User.Owner || query.Get("user") != p.User.Name {
		return object.Avatar{}, object.NotAllowed()
	}
	return c.take(p)
}

func (c *AvatarController) take(p *object.Principal) (object.Avatar, error) {
	sent, err := c.upload(p.User.Id)
	defer sent.close()
	if err != nil {
		return object.Avatar{}, err
	}
	r := c.Ctx.Request
	return c.Deps.Service.UploadAvatar(r.Context(), p, object.AvatarRequest{
		File: sent.file, Size: sent.size, Nickname: sent.nickname, FilesURL: c.Deps.origin(r) + filesPath,
	})
}

// reject is fail for those who may still be sending: many clients do not look at an answer before they are done.
func (c *AvatarController) reject(err error) {
	_, _ = io.Copy(io.Discard, c.Ctx.Request.Body)
	c.fail(err)
}

// File is GET /avatars/<key>: a file that never changes.
//
//	@router /avatars/a/:name [get]
func (c *AvatarController) File() {
	key := strings.TrimPrefix(c.Ctx.Request.URL.Path, filesPath)
	file, err := c.Deps.Files.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		c.refuse(&APIError{Status: http.StatusNotFound, Code: object.InvalidRequest, Message: "there is no such file"})
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	defer func() { _ = file.Close() }()
	header := c.Ctx.ResponseWriter.Header()
	header.Set("Content-Type", file.ContentType)
	header.Set("Content-Disposition", "inline")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	header.Set("Cache-Control", blob.CacheControl)
	header.Set("ETag", `"`+key+`"`)
	http.ServeContent(c.Ctx.ResponseWriter, c.Ctx.Request, "", file.ModTime, file)
}
