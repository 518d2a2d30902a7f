package object

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/object/picture"
)

// Files keeps public files under the keys of package blob: *blob.Folder, *blob.Bucket. It is safe for concurrent use.
type Files interface {
	// Put stores a file, whole or not at all.
	Put(ctx context.Context, key, contentType string, data []byte) error
	// Delete removes a file. One that is not there is removed already.
	Delete(ctx context.Context, key string) error
}

// The sides of an avatar in pixels: WeChat's own in lists and on the profile page.
const (
	smallSide = 132
	largeSide = 640
)

func avatarSides() []int { return []int{smallSide, largeSide} }

// AvatarRequest is a picture that a user has sent to be the avatar.
type AvatarRequest struct {
	File     io.ReaderAt
	Size     int64   // of the file in bytes
	Nickname *string // the new displayName; nil: it stays
	FilesURL string  // where files are public, as the request names the server; unused where ServiceConfig has it
}

// Avatar is an avatar that has been uploaded.
type Avatar struct {
	URL string // of the large size
	Key string
}

// UploadAvatar makes thumbnails of a picture, stores them and makes the large one the user's avatar, all of it or
// nothing; the files of the former avatar are removed. What the user may not change is a *Refusal, a picture that is not
// fit a picture.Error.
func (s *Service) UploadAvatar(ctx context.Context, p *Principal, req AvatarRequest) (Avatar, error) {
	if s.files == nil {
		return Avatar{}, refuse(Unsupported, "this server keeps no pictures")
	}
	update, err := s.planUpload(ctx, p, req.Nickname)
	if err != nil {
		return Avatar{}, err
	}
	thumbs, err := s.pictures.Thumbnails(ctx, req.File, req.Size)
	if err != nil {
		return Avatar{}, err
	}
	key := blob.NewKey(largeSide, thumbs[0].Extension)
	avatar := Avatar{cmp.Or(s.filesURL, req.FilesURL) + key, key}
	if err := s.planAvatar(update, avatar.URL); err != nil {
		return Avatar{}, err
	}
	next := &Principal{User: &update.user, ClientIP: p.ClientIP, row: p.row}
	if err := s.storeAvatar(ctx, next, update.columns, key, thumbs); err != nil {
		return Avatar{}, fmt.Errorf("avatar: %w", err)
	}
	*p.User = update.user
	s.tidy(ctx, p.User.Id)
	return avatar, nil
}

// planUpload begins the update with the nickname, and refuses users who may not change their avatar before their picture
// costs anything.
func (s *Service) planUpload(ctx context.Context, p *Principal, nickname *string) (*profileUpdate, error) {
	org, err := s.settings.organization(ctx, p.User.Owner)
	if err != nil {
		return nil, err
	}
	update := &profileUpdate{rules: s.profileRules(org), user: *p.User}
	if err := update.rules.allow("avatar", ""); err != nil {
		return nil, err
	}
	if nickname == nil || *nickname == p.User.DisplayName {
		return update, nil
	}
	text, err := json.Marshal(*nickname)
	if err != nil {
		return nil, err
	}
	return update, s.plan(update, "displayName", text)
}

// planAvatar adds the avatar to the update.
func (s *Service) planAvatar(update *profileUpdate, url string) error {
	field, ok := update.rules.field("avatar")
	if !ok {
		return errors.New("there is no field avatar")
	}
	if err := update.rules.allow(field.json, url); err != nil {
		return err
	}
	if err := s.set(update, field, url); err != nil {
		return err
	}
	update.user.UpdatedTime = s.stamp()
	update.columns = append(update.columns, "updated_time")
	return nil
}

// storeAvatar stores the files, and then what p.User has in columns.
func (s *Service) storeAvatar(
	ctx context.Context, p *Principal, columns []string, key string, thumbs []picture.Thumbnail,
) error {
	if s.tables == nil {
		return s.storeRemoteAvatar(ctx, p, columns, key, thumbs)
	}
	u := &Upload{
		FileKey: key, Organization: p.User.Owner, UserID: p.User.Id, State: uploadNew,
		Due: timestamp(s.now().Add(uploadPatience)), CreatedTime: s.stamp(),
	}
	if err := s.tables.addUpload(ctx, u); err != nil {
		return err
	}
	err := s.putAll(ctx, key, thumbs)
	if err == nil {
		err = s.tables.useUpload(ctx, p, columns, key)
	}
	if err != nil {
		s.giveUp(ctx, u)
	}
	return err
}

// storeRemoteAvatar does what can be done without a table of uploads: the files of a former avatar stay, since nothing
// there tells whose they are, and so do those whose update was not answered, since it may have been done.
func (s *Service) storeRemoteAvatar(
	ctx context.Context, p *Principal, columns []string, key string, thumbs []picture.Thumbnail,
) error {
	err := s.putAll(ctx, key, thumbs)
	stored := err == nil
	if stored {
		err = s.directory.update(ctx, p, columns)
	}
	if _, refused := errors.AsType[*Refusal](err); refused || !stored {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyPatience)
		defer cancel()
		for _, side := range avatarSides() {
			err = errors.Join(err, s.files.Delete(ctx, blob.Sibling(key, side)))
		}
	}
	return err
}

func (s *Service) putAll(ctx context.Context, key string, thumbs []picture.Thumbnail) error {
	for _, t := range thumbs {
		if err := s.files.Put(ctx, blob.Sibling(key, t.Side), t.ContentType, t.Data); err != nil {
			const message = "the picture cannot be stored now, please try again later"
			return &Refusal{Code: Unavailable, Message: message, Err: err}
		}
	}
	return nil
}
