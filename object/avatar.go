package object

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/object/picture"
	"github.com/minidoor/minidoor/provider"
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

// avatarField is the JSON name of the avatar, and its column.
const avatarField = "avatar"

// AvatarRequest is a picture that a user has sent to be the avatar.
type AvatarRequest struct {
	File     io.ReaderAt
	Size     int64   // of the file in bytes
	Nickname *Change // of the displayName; nil: it stays
	FilesURL string  // where files are public, as the request names the server; unused where ServiceConfig has it

	byAdmin bool // an admin or an application uploads it, for whom there are no account items
}

// Avatar is the avatar after an upload.
type Avatar struct {
	URL     string // of the large size
	Key     string // of its file; empty where it is Pending
	Pending bool   // URL is the former one, until the platform has judged the picture
}

// avatarUpload is an upload that is being made.
type avatarUpload struct {
	update      *profileUpdate
	marked      []Mark
	thumbs      []picture.Thumbnail
	key         string
	url         string
	judgedLater *member // whose platform judges the picture later; nil: it is judged
}

// UploadAvatar makes thumbnails of a picture, stores them and makes the large one the user's avatar, with the nickname,
// all of it or nothing; the files of the former avatar are removed. Where the platform judges the picture later, the
// nickname alone is stored now. What the user may not change, and content that is refused, is a *Refusal; a picture
// that is not fit is a picture.Error.
func (s *Service) UploadAvatar(ctx context.Context, p *Principal, req AvatarRequest) (Avatar, error) {
	if s.files == nil {
		return Avatar{}, refuse(Unsupported, "this server keeps no pictures")
	}
	u, err := s.planUpload(ctx, p, req)
	if err != nil {
		return Avatar{}, err
	}
	if u.thumbs, err = s.pictures.Thumbnails(ctx, req.File, req.Size); err != nil {
		return Avatar{}, err
	}
	u.key = blob.NewKey(largeSide, u.thumbs[0].Extension)
	u.url = cmp.Or(s.filesURL, req.FilesURL) + u.key
	if err := u.update.rules.allow(avatarField, u.url); err != nil {
		return Avatar{}, err
	}
	if err := s.judgeUpload(ctx, p, u); err != nil {
		return Avatar{}, err
	}
	pending, err := s.storeUpload(ctx, p, u)
	if err != nil {
		return Avatar{}, fmt.Errorf("avatar: %w", err)
	}
	s.tidy(ctx, p.User.Id)
	if pending {
		return Avatar{URL: p.User.Avatar, Pending: true}, nil
	}
	return Avatar{URL: u.url, Key: u.key}, nil
}

// planUpload begins the update with the nickname, and refuses users who may not change their avatar before their
// picture costs anything.
func (s *Service) planUpload(ctx context.Context, p *Principal, req AvatarRequest) (*avatarUpload, error) {
	org, err := s.settings.organization(ctx, p.User.Owner)
	if err != nil {
		return nil, err
	}
	u := &avatarUpload{update: &profileUpdate{rules: s.profileRules(org), user: *p.User}}
	if req.byAdmin {
		u.update.rules.items = nil
	}
	if err := u.update.rules.allow(avatarField, ""); err != nil {
		return nil, err
	}
	if req.Nickname == nil || req.Nickname.Value == p.User.DisplayName {
		return u, nil
	}
	u.update.rules.sent = map[string]string{nicknameField: req.Nickname.Sent}
	text, err := json.Marshal(req.Nickname.Value)
	if err != nil {
		return nil, err
	}
	return u, s.plan(ctx, u.update, nicknameField, text)
}

// storeUpload stores the files and what goes with them, and reports whether the picture waits for its verdict.
func (s *Service) storeUpload(ctx context.Context, p *Principal, u *avatarUpload) (pending bool, err error) {
	if s.tables == nil {
		return false, s.storeRemote(ctx, p, u)
	}
	row := &Upload{FileKey: u.key, Organization: p.User.Owner, UserID: p.User.Id, URL: u.url}
	err = s.keepUpload(ctx, row, u.thumbs, func() (err error) {
		pending, err = s.use(ctx, p, u, row)
		return err
	})
	return pending, err
}

// use makes the stored upload the avatar or, where the platform judges it later, has it wait for that.
func (s *Service) use(ctx context.Context, p *Principal, u *avatarUpload, row *Upload) (pending bool, err error) {
	if u.judgedLater != nil {
		if pending, err = s.submit(ctx, u, row); err != nil {
			return false, err
		}
	}
	if !pending {
		u.update.user.Avatar = u.url
		u.update.columns = append(u.update.columns, avatarField)
	}
	next := u.update.finish(p, s.stamp(), u.marked)
	err = s.tables.write(ctx, func(tx *txn) error {
		// The user's row comes first: of two who upload at once the second waits here, and then drops the first one's.
		_, err := s.tables.liveUser(tx, next)
		if err == nil && len(u.update.columns) > 0 {
			err = s.tables.updateUser(tx, next, u.update.columns, nil)
		}
		if err != nil {
			return err
		}
		if pending {
			return s.tables.keepPending(tx, row)
		}
		return s.tables.nowUsed(tx, row, uploadNew, next.User.Name)
	})
	if err != nil {
		return false, err
	}
	*p.User = u.update.user
	if !pending {
		return false, nil
	}
	// The verdict may have been faster. Where this fails, KeepHouse looks again.
	if err := s.settleTrace(ctx, row.TraceID); err != nil {
		s.log.WarnContext(ctx, "a verdict is looked for later", "cause", err)
	}
	return true, nil
}

// storeRemote does what can be done without a table of uploads: the files of a former avatar stay, since nothing there
// tells whose they are, and so do those whose update was not answered, since it may have been done.
func (s *Service) storeRemote(ctx context.Context, p *Principal, u *avatarUpload) error {
	err := s.putAll(ctx, u.key, u.thumbs)
	stored := err == nil
	if stored {
		u.update.user.Avatar = u.url
		u.update.columns = append(u.update.columns, avatarField)
		next := u.update.finish(p, s.stamp(), u.marked)
		err = s.directory.update(ctx, next, u.update.columns)
	}
	if err == nil {
		*p.User = u.update.user
		return nil
	}
	if isA[*Refusal](err) || !stored {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyPatience)
		defer cancel()
		err = errors.Join(err, s.removeFiles(ctx, u.key))
	}
	return err
}

// putAll stores the files of a picture, whose largest one has that key.
func (s *Service) putAll(ctx context.Context, key string, thumbs []picture.Thumbnail) error {
	for _, t := range thumbs {
		if err := s.files.Put(ctx, blob.Sibling(key, t.Side), t.ContentType, t.Data); err != nil {
			const message = "the picture cannot be stored now, please try again later"
			return &Refusal{Code: Unavailable, Message: message, Err: err}
		}
	}
	return nil
}

// judgeUpload has the platform judge what the mini program's options say, as far as it can be done now.
func (s *Service) judgeUpload(ctx context.Context, p *Principal, u *avatarUpload) error {
	var err error
	if slices.Contains(u.update.columns, "display_name") {
		if u.marked, err = s.judgeNickname(ctx, p, u.update); err != nil {
			return err
		}
	}
	m, err := s.judge(ctx, p, (*ProviderOptions).checksAvatar)
	if err == nil && m != nil && s.filesURL == "" { // the sender would choose where others look for the picture
		err = &provider.Error{
			Op: "checkAvatar", Kind: provider.KindMisconfigured, Hint: "set origin, avatarUrl or s3PublicUrl: the address of a " +
				"picture that is checked must not be what a request says",
		}
	}
	if err == nil && m != nil {
		err = p.asks(ctx, m)
	}
	if err != nil {
		return err
	}
	if m != nil && m.program.options.CheckAvatar == checkLater {
		u.judgedLater = m
		return nil
	}
	mark := s.avatarMark(p.User.Id, "")
	if m != nil {
		mark.Reason, err = s.checkAvatar(ctx, m, u.thumbs)
	}
	u.marked = append(u.marked, mark)
	return err
}

func (s *Service) avatarMark(userID, reason string) Mark {
	return Mark{UserID: userID, Field: avatarField, Reason: reason, UpdatedTime: s.stamp()}
}
