package controllers

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"

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

// Resource is Casdoor's POST /api/upload-resource with tag=avatar, for the user of the bearer token: the address of the
// avatar in data, its key in data2. Where WeChat judges the picture first, data is the former avatar and data2 empty.
//
//	@router /api/upload-resource [post]
func (c *AvatarController) Resource() {
	p, err := c.principal()
	query := c.Ctx.Request.URL.Query()
	switch {
	case err != nil:
	case query.Get("tag") != "avatar":
		err = badRequest("of resources this server takes those with tag=avatar only")
	case query.Get("owner") != p.User.Owner || query.Get("user") != p.User.Name:
		err = unauthorized()
	}
	var avatar object.Avatar
	if err == nil {
		avatar, err = c.take(p)
	}
	if err != nil {
		c.reject(err)
		return
	}
	c.reply(casdoorReply{Status: "ok", Data: avatar.URL, Data2: avatar.Key})
}

func (c *AvatarController) take(p *object.Principal) (object.Avatar, error) {
	sent, err := c.upload()
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
