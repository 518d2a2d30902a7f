package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/object/picture"
)

// What the State of an Upload says.
const (
	uploadNew     = "new"     // its files are being stored
	uploadPending = "pending" // nobody but the platform, which judges it, knows its address
	uploadUsed    = "used"    // it is the user's avatar
	uploadDropped = "dropped" // its files are to be removed
)

// uploadPatience is far more than a request may take; what is new for longer was left behind by one that died.
const uploadPatience = 15 * time.Minute

// atOnce is the Due of what the next sweep is to look at.
const atOnce = "0001-01-01T00:00:00Z"

var errUploadGone = errors.New("the upload was given up meanwhile")

// keyIn returns the key of the upload at an avatar's address, or "" where there is none. That an address names an
// upload says nothing of whose it is: users may enter any.
func keyIn(avatar string) string {
	i := strings.LastIndex(avatar, "/a/")
	return blob.Sibling(avatar[i+1:], largeSide)
}

// isFormer reports whether an address is that of a picture which was kept here, and is not any more. Who sends one does
// not know of the picture since: it was another phone that has sent that, or the platform that has withdrawn this one.
func (s *Service) isFormer(ctx context.Context, avatar string) (bool, error) {
	key := keyIn(avatar)
	if s.tables == nil || key == "" || s.filesURL == "" || !strings.HasPrefix(avatar, s.filesURL+"a/") {
		return false, nil
	}
	kept, err := exists(s.tables.read(ctx), s.tables.uploads.name+" WHERE file_key=? AND state IN (?, ?)",
		key, uploadUsed, uploadKept)
	return err == nil && !kept, err
}

// LacksAvatar reports whether the folder dir lacks an avatar that was uploaded. It looks for one of them.
func (s *Store) LacksAvatar(ctx context.Context, dir string) (bool, error) {
	if len(s.uploads.columns) == 0 { // of an earlier version
		return false, nil
	}
	used, err := s.uploads.get(s.read(ctx), "WHERE state=? LIMIT 1", uploadUsed)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	holds, err := blob.Holds(dir, used.FileKey)
	return !holds && err == nil, err
}

// keepUpload stores the row of a new upload and then its files, and has use write what becomes of it. An upload that
// fails is given up.
func (s *Service) keepUpload(ctx context.Context, u *Upload, thumbs []picture.Thumbnail, use func() error) error {
	u.State, u.Due, u.CreatedTime = uploadNew, timestamp(s.now().Add(uploadPatience)), s.stamp()
	err := s.tables.write(ctx, func(tx *txn) error {
		_, err := s.tables.uploads.insert(tx, u, "")
		return err
	})
	if err != nil {
		return err
	}
	if err = s.putAll(ctx, u.FileKey, thumbs); err == nil {
		err = use()
	}
	if err != nil {
		s.giveUp(ctx, u)
	}
	return err
}

// nowUsed makes an upload the avatar, and lists it among the resources.
func (t *tables) nowUsed(tx *txn, u *Upload, from, user string) error {
	if err := t.moveUpload(tx, u.FileKey, from, uploadUsed, ""); err != nil {
		return err
	}
	return t.storeResource(tx, u, sdk.Resource{User: user, Tag: avatarField})
}

// moveUpload changes the State of one upload, or returns errUploadGone.
func (t *tables) moveUpload(tx *txn, key, from, to, due string) error {
	n, err := tx.exec("UPDATE "+t.uploads.name+" SET state=?, due=? WHERE file_key=? AND state=?", to, due, key, from)
	if err == nil && n != 1 {
		return errUploadGone
	}
	return err
}

// dropUploads drops a user's uploads but for the one at the address of the new avatar, and the Mark of the former one.
// It leaves the files: they outlive a transaction that fails.
func (t *tables) dropUploads(tx *txn, userID, newAvatar string) error {
	err := tx.send(statement{
		query: "UPDATE " + t.uploads.name + " SET state=?, due=? WHERE user_id=? AND state IN (?, ?) AND file_key<>?",
		args:  []any{uploadDropped, atOnce, userID, uploadUsed, uploadPending, keyIn(newAvatar)},
	})
	if err != nil {
		return err
	}
	return t.storeMark(tx, Mark{UserID: userID, Field: avatarField})
}

// dropLeft drops the uploads of a user whom a Casdoor has deleted: it knows nothing of the files. Those of one whom it
// has moved to another organization stay.
func (s *Store) dropLeft(tx *txn, userID string) error {
	there, err := exists(tx, s.users.name+" WHERE id=?", userID)
	if there || err != nil {
		return err
	}
	return s.dropAllUploads(tx, userID)
}

// dropAllUploads drops the uploads of a user who is gone.
func (s *Store) dropAllUploads(tx *txn, userID string) error {
	_, err := tx.exec("UPDATE "+s.uploads.name+" SET state=?, due=? WHERE user_id=? AND state IN (?, ?, ?)",
		uploadDropped, atOnce, userID, uploadUsed, uploadKept, uploadPending)
	return err
}

// giveUp drops an upload that failed, if it did: a commit may have been done though its answer got lost.
func (s *Service) giveUp(ctx context.Context, u *Upload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyPatience)
	defer cancel()
	err := s.dropUpload(ctx, u, uploadNew)
	if err != nil && !errors.Is(err, errUploadGone) {
		s.log.WarnContext(ctx, "files of a failed upload stay until the next sweep", "cause", err)
	}
}

// dropUpload drops an upload in that state, and removes its files.
func (s *Service) dropUpload(ctx context.Context, u *Upload, state string) error {
	err := s.tables.write(ctx, func(tx *txn) error {
		return s.tables.moveUpload(tx, u.FileKey, state, uploadDropped, atOnce)
	})
	if err != nil {
		return err
	}
	return s.removeUpload(ctx, u)
}

// tidyPatience bounds what a request does after its answer is certain.
const tidyPatience = 5 * time.Second

// tidy removes the files of what a user has dropped.
func (s *Service) tidy(ctx context.Context, userID string) {
	if s.tables == nil || s.files == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyPatience)
	defer cancel()
	dropped, err := s.tables.uploads.find(s.tables.read(ctx), "WHERE user_id=? AND state=?", userID, uploadDropped)
	for _, u := range dropped {
		err = errors.Join(err, s.removeUpload(ctx, u))
	}
	if err != nil {
		s.log.WarnContext(ctx, "files of a former avatar stay until the next sweep", "cause", err)
	}
}

// removeUpload removes the files of a dropped upload, and then its row. One that cannot be removed comes last in the
// next sweeps.
func (s *Service) removeUpload(ctx context.Context, u *Upload) error {
	err := s.removeFiles(ctx, u.FileKey)
	later := timestamp(s.now().Add(uploadPatience))
	return errors.Join(err, s.tables.write(ctx, func(tx *txn) error {
		if err != nil {
			return s.tables.moveUpload(tx, u.FileKey, uploadDropped, uploadDropped, later)
		}
		_, err := tx.exec("DELETE FROM "+s.tables.uploads.name+" WHERE file_key=? AND state=?", u.FileKey, uploadDropped)
		if err == nil && s.tables.resources != nil && !s.tables.beside {
			_, err = tx.exec("DELETE FROM "+s.tables.resources.name+" WHERE "+byName, u.Organization, u.FileKey)
		}
		return err
	}))
}

func (s *Service) removeFiles(ctx context.Context, key string) (err error) {
	for _, side := range avatarSides() {
		err = errors.Join(err, s.files.Delete(ctx, blob.Sibling(key, side)))
	}
	return err
}

// sweepUploads removes the files of former avatars, and of uploads that died, as those of a process that was killed;
// and it ends the wait for verdicts. Several instances may do it at once.
func (s *Service) sweepUploads(ctx context.Context) error {
	if s.files == nil {
		return nil
	}
	due, err := s.tables.uploads.find(s.tables.read(ctx), "WHERE due<>? AND due<=? ORDER BY due LIMIT 500", "", s.stamp())
	if err != nil {
		return fmt.Errorf("sweep uploads: %w", err)
	}
	for _, u := range due {
		if problem := s.sweepUpload(ctx, u); problem != nil && !errors.Is(problem, errUploadGone) {
			err = errors.Join(err, fmt.Errorf("sweep uploads: %w", problem))
		}
	}
	return err
}

func (s *Service) sweepUpload(ctx context.Context, u *Upload) error {
	switch u.State {
	case uploadNew:
		return s.dropUpload(ctx, u, uploadNew)
	case uploadPending:
		return s.settle(ctx, u)
	default:
		return s.removeUpload(ctx, u)
	}
}
