package object

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/object/blob"
)

// Resources are the pictures that were uploaded for users. A row that somebody adds by hand names a file elsewhere:
// only those whose upload we know have a file here.
func (a *Authority) Resources() *Family[sdk.Resource] {
	return &Family[sdk.Resource]{a, a.tables.resources, trait[sdk.Resource]{
		name:       "resource",
		home:       func(r *sdk.Resource) home { return home{organization: r.Owner, user: r.User} },
		id:         func(r *sdk.Resource) *rowID { return &rowID{&r.Owner, &r.Name} },
		homeColumn: "owner",
		userColumn: "user",
		deepNames:  true,
		fill:       a.fillResource,
		detach:     a.tables.dropResource,
		changed:    a.wake, // the file goes
	}}
}

// fillResource completes a row. What it names stays, since its file does.
func (a *Authority) fillResource(_ context.Context, _ *Caller, row, old *sdk.Resource) error {
	row.CreatedTime = cmp.Or(row.CreatedTime, a.stamp())
	if old != nil && (row.Owner != old.Owner || row.Name != old.Name || row.Url != old.Url) {
		return refuse(InvalidRequest, "owner, name and url of a resource are immutable")
	}
	if u, err := url.Parse(row.Url); err != nil || u.Scheme != "https" && u.Scheme != "http" && row.Url != "" {
		return refuse(InvalidRequest, "url must be an http:// or https:// URL")
	}
	return nil
}

// uploadKept is the State of an upload that is a resource, and nobody's avatar.
const uploadKept = "kept"

// dropResource drops the upload of a resource, if it is one of the same organization, and takes it from the user whose
// avatar it is.
func (t *tables) dropResource(tx *txn, row *sdk.Resource) error {
	u, err := t.uploads.get(tx, "WHERE file_key=? AND organization=? AND state IN (?, ?)"+t.dialect.forUpdate,
		row.Name, row.Owner, uploadUsed, uploadKept)
	if err != nil {
		return ignoreMissing(err)
	}
	if u.State == uploadUsed {
		if _, err := tx.exec("UPDATE "+t.users.name+" SET avatar='' WHERE id=? AND avatar=? AND COALESCE(owner, '')=?",
			u.UserID, u.URL, u.Organization); err != nil {
			return err
		}
		if err := t.storeMark(tx, Mark{UserID: u.UserID, Field: avatarField}); err != nil {
			return err
		}
	}
	return t.moveUpload(tx, u.FileKey, u.State, uploadDropped, atOnce)
}

// storeResource lists an upload among the resources, where they are ours to keep.
func (t *tables) storeResource(tx *txn, u *Upload, row sdk.Resource) error {
	if t.resources == nil || t.beside {
		return nil
	}
	row.Owner, row.Name, row.Url = u.Organization, u.FileKey, u.URL
	row.CreatedTime = cmp.Or(row.CreatedTime, u.CreatedTime)
	row.FileType, row.FileFormat = "image", path.Ext(u.FileKey)
	_, err := t.resources.insert(tx, &row, "")
	return err
}

// ResourceRequest is a picture that is uploaded for a user.
type ResourceRequest struct {
	File     io.ReaderAt
	Size     int64 // of the file in bytes
	FilesURL string
	Row      sdk.Resource // owner, user, application, tag, parent, fileName, description and createdTime

	Asking func(ctx context.Context, appID, openID string) error // see Principal.Asking
}

// AddResource stores a picture for a user: as the avatar where the tag says so, else as a resource beside it. It
// returns the picture's address and key.
func (a *Authority) AddResource(ctx context.Context, c *Caller, req ResourceRequest) (Avatar, error) {
	const action = "upload-resource"
	row := &req.Row
	if err := c.check(action, home{organization: row.Owner, user: row.User}); err != nil {
		return Avatar{}, err
	}
	if a.files == nil || a.tables.beside {
		return Avatar{}, refuse(Unsupported, "this server keeps no resources")
	}
	user, err := a.tables.users.named(a.tables.read(ctx), row.Owner, row.User)
	if ignoreMissing(err) != nil {
		return Avatar{}, err
	}
	if err != nil && row.User != "" {
		return Avatar{}, refuse(InvalidRequest, "the user %s/%s does not exist", row.Owner, row.User)
	}
	if row.Tag == avatarField && err == nil {
		p := &Principal{User: user, ClientIP: c.ClientIP, Asking: req.Asking}
		if c.Role == Member { // whose picture is judged as one that comes with a token
			if p.clientID, err = a.clientIDOf(ctx, user.SignupApplication); err != nil {
				return Avatar{}, err
			}
		}
		return a.UploadAvatar(ctx, p, AvatarRequest{
			File: req.File, Size: req.Size, FilesURL: req.FilesURL, byAdmin: c.Role != Member,
		})
	}
	if c.Role == Member {
		return Avatar{}, refuse(InvalidRequest, "of resources this server takes those with tag=avatar only")
	}
	if err := cleanResource(row); err != nil {
		return Avatar{}, err
	}
	upload := &Upload{Organization: row.Owner}
	if user != nil {
		upload.UserID = user.Id
	}
	return a.keepResource(ctx, req, upload)
}

// cleanResource refuses texts that are not fit to be shown, and takes of a path the file's name.
func cleanResource(row *sdk.Resource) error {
	row.FileName = path.Base("/" + strings.ReplaceAll(row.FileName, `\`, "/"))
	for name, text := range map[string]string{
		"tag": row.Tag, "parent": row.Parent, "application": row.Application, "fullFilePath": row.FileName,
		"description": row.Description,
	} {
		if _, err := cleanText(text); err != nil {
			return refuse(InvalidRequest, "%s %s", name, err)
		}
	}
	if _, err := time.Parse(time.RFC3339, row.CreatedTime); err != nil && row.CreatedTime != "" {
		return refuse(InvalidRequest, "createdTime must be a time as in RFC 3339")
	}
	return nil
}

// keepResource stores the picture's files and the rows that know them.
func (a *Authority) keepResource(ctx context.Context, req ResourceRequest, u *Upload) (Avatar, error) {
	thumbs, err := a.pictures.Thumbnails(ctx, req.File, req.Size)
	if err != nil {
		return Avatar{}, err
	}
	u.FileKey = blob.NewKey(largeSide, thumbs[0].Extension)
	u.URL = cmp.Or(a.filesURL, req.FilesURL) + u.FileKey
	req.Row.FileSize = len(thumbs[0].Data)
	err = a.keepUpload(ctx, u, thumbs, func() error {
		return a.tables.write(ctx, func(tx *txn) error {
			if err := a.tables.moveUpload(tx, u.FileKey, uploadNew, uploadKept, ""); err != nil {
				return err
			}
			return a.tables.storeResource(tx, u, req.Row)
		})
	})
	if err != nil {
		return Avatar{}, fmt.Errorf("resource: %w", err)
	}
	return Avatar{URL: u.URL, Key: u.FileKey}, nil
}
