package object

import (
	"context"
	"errors"
	"slices"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/object/picture"
	"github.com/minidoor/minidoor/provider"
)

// What ProviderOptions.CheckAvatar says beside "": the picture is judged before it is stored, or by a pushed verdict.
const (
	checkNow   = "sync"
	checkLater = "async"
)

// verdictPatience is how long a verdict is waited for: WeChat promises it within 30 minutes.
const verdictPatience = 45 * time.Minute

// checkAvatar has the member's platform judge a picture at once: see checkText.
func (s *Service) checkAvatar(ctx context.Context, m *member, thumbs []picture.Thumbnail) (reason string, err error) {
	var verdict provider.Verdict
	if checker, ok := m.upstream.(provider.ImageChecker); ok {
		for _, thumb := range slices.Backward(thumbs) {
			verdict, err = checker.CheckImage(ctx, thumb.Data, thumb.ContentType)
			if provider.KindOf(err) != provider.KindInvalidContent {
				break
			}
			// It may be too large a file, as a transparent picture is that is all noise: the smaller one shows the
			// same.
		}
	} else {
		err = cannotCheckAvatars()
	}
	return s.decide(ctx, &m.program.options, avatarField, verdict, err)
}

func cannotCheckAvatars() error {
	return &provider.Error{
		Op: "checkAvatar", Kind: provider.KindMisconfigured, Hint: "mini programs of this type cannot check an avatar",
	}
}

// submit gives a stored upload to the platform, which fetches it. It reports whether there will be a verdict; where
// there is none, the options may let the picture be used with a Mark.
func (s *Service) submit(ctx context.Context, u *avatarUpload, row *Upload) (pending bool, err error) {
	options := &u.judgedLater.program.options
	err = cannotCheckAvatars()
	if checker, ok := u.judgedLater.upstream.(provider.MediaChecker); ok {
		row.TraceID, err = checker.SubmitImage(ctx, u.judgedLater.identity.OpenID, u.url)
	}
	if err == nil {
		row.TraceID = traceKey(u.judgedLater.program.row, row.TraceID)
		row.OnReview, row.OnUnchecked = options.OnReview, options.OnUnchecked
		row.Due = timestamp(s.now().Add(verdictPatience))
		return true, nil
	}
	reason, err := s.decide(ctx, options, avatarField, provider.Verdict{}, err)
	u.marked = append(u.marked, s.avatarMark(u.update.user.Id, reason))
	return false, err
}

// keepPending has a new upload wait for its verdict, in the place of one that does so already.
func (t *tables) keepPending(tx *txn, row *Upload) error {
	if _, err := tx.exec("UPDATE "+t.uploads.name+" SET state=?, due=? WHERE user_id=? AND state=?",
		uploadDropped, atOnce, row.UserID, uploadPending); err != nil {
		return err
	}
	waiting := *row
	waiting.State = uploadPending
	n, err := t.uploads.update(tx, &waiting, []string{"state", "due", "trace_id", "on_review", "on_unchecked"},
		"file_key=? AND state=?", row.FileKey, uploadNew)
	if err == nil && n != 1 {
		return errUploadGone
	}
	return err
}

// traceKey returns the TraceID under which an Upload and the verdict on it meet: the platform's own or, for a provider
// that is not admin's, one that no other owner's provider has, whatever is pushed to it.
func traceKey(p *sdk.Provider, traceID string) string {
	if p.Owner == adminOwner || traceID == "" {
		return traceID
	}
	return digest(p.Owner + "\x00" + traceID)
}

// settleTrace ends the wait of the upload with that traceKey, if it waits and its verdict is there. Whoever stores
// either calls it afterwards: the one who comes second finds both.
func (s *Service) settleTrace(ctx context.Context, trace string) error {
	u, err := s.tables.uploads.get(s.tables.read(ctx), "WHERE trace_id=? AND state=?", trace, uploadPending)
	if err == nil {
		_, err = s.tables.verdict(ctx, trace)
	}
	if err == nil {
		err = s.settle(ctx, u)
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, errUploadGone) {
		return nil
	}
	return err
}

// verdict returns what was pushed, or ErrNotFound.
func (t *tables) verdict(ctx context.Context, trace string) (*Media, error) {
	return t.media.get(t.read(ctx), "WHERE trace_id=?", trace)
}

// settle makes a pending upload the avatar, or drops it, as its verdict says and, where there is none, as the options
// do.
func (s *Service) settle(ctx context.Context, u *Upload) error {
	var verdict provider.Verdict
	var unchecked error
	media, err := s.tables.verdict(ctx, u.TraceID)
	switch {
	case errors.Is(err, ErrNotFound):
		unchecked = &provider.Error{Op: "checkAvatar", Kind: provider.KindUnavailable, Err: errors.New("no verdict came")}
	case err != nil:
		return err
	case media.Code != 0 || media.Suggestion == "":
		unchecked = &provider.Error{Op: "checkAvatar", Kind: provider.KindUnavailable, Code: media.Code}
	default:
		verdict.Suggestion = provider.Suggestion(media.Suggestion)
	}
	options := &ProviderOptions{OnReview: u.OnReview, OnUnchecked: u.OnUnchecked}
	reason, refused := s.decide(ctx, options, avatarField, verdict, unchecked)
	if refused != nil {
		s.log.InfoContext(ctx, "avatar is refused", "user", u.UserID, "cause", refused)
		return s.dropUpload(ctx, u, uploadPending)
	}
	err = s.tables.write(ctx, func(tx *txn) error { return s.tables.publish(tx, u, s.avatarMark(u.UserID, reason)) })
	if errors.Is(err, ErrNotFound) {
		return s.dropUpload(ctx, u, uploadPending) // nobody is there to have it
	}
	return err
}

// publish makes a pending upload the avatar of its user, or returns ErrNotFound where there is none who may have it.
func (t *tables) publish(tx *txn, u *Upload, mark Mark) error {
	user, err := t.userByID(tx, u.Organization, u.UserID)
	if err != nil {
		return err
	}
	if usable(user) != nil {
		return ErrNotFound
	}
	user.Avatar, user.UpdatedTime = u.URL, mark.UpdatedTime
	p := &Principal{User: user, marked: []Mark{mark}}
	if err := t.updateUser(tx, p, []string{"avatar", "updated_time"}, nil); err != nil {
		return err
	}
	return t.nowUsed(tx, u, uploadPending, user.Name)
}
