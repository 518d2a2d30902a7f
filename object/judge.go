package object

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/minidoor/minidoor/provider"
)

// nicknameField is the JSON name of what a nickname is stored as.
const nicknameField = "displayName"

// judgeUpdate has an update's new nickname and avatar judged, and returns the Marks that they are to be stored with.
func (s *Service) judgeUpdate(ctx context.Context, p *Principal, u *profileUpdate) ([]Mark, error) {
	if slices.Contains(u.columns, avatarField) {
		if err := s.allowAddress(ctx, p, u); err != nil {
			return nil, err
		}
	}
	if slices.Contains(u.columns, "display_name") {
		return s.judgeNickname(ctx, p, u)
	}
	return nil, nil
}

// judgeNickname asks the platform about the principal's new nickname, where the mini program's options want that. It
// returns the Marks that the nickname is to be stored with, or why it is not to be.
func (s *Service) judgeNickname(ctx context.Context, p *Principal, u *profileUpdate) ([]Mark, error) {
	mark := Mark{UserID: p.User.Id, Field: nicknameField, UpdatedTime: s.stamp()}
	m, err := s.judge(ctx, p, func(o *ProviderOptions) bool { return o.CheckNickname })
	if m == nil || err != nil {
		return []Mark{mark}, err
	}
	if err := p.asks(ctx, m); err != nil {
		return nil, err
	}
	mark.Reason, err = s.checkText(ctx, m, u.rules.named(nicknameField), u.user.DisplayName)
	return []Mark{mark}, err
}

// judge returns the principal as a mini program knows them whose options want a check, or nil when none does. Options
// are kept in tables only.
func (s *Service) judge(ctx context.Context, p *Principal, wanted func(*ProviderOptions) bool) (*member, error) {
	if s.tables == nil {
		return nil, nil
	}
	client, err := s.settings.client(ctx, p.clientID)
	if errors.Is(err, ErrNotFound) || err == nil && !client.wants(wanted) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := s.member(ctx, p, "")
	if isA[*Refusal](err) {
		return nil, nil // who came by no mini program, such as an admin's own user
	}
	if err != nil || !wanted(&m.program.options) {
		return nil, err
	}
	return m, nil
}

// asks tells who listens that the platform is about to judge something of the principal, as the member m.
func (p *Principal) asks(ctx context.Context, m *member) error {
	if p.Asking == nil {
		return nil
	}
	return p.Asking(ctx, m.identity.AppID, m.identity.OpenID)
}

func (o *ProviderOptions) checksAvatar() bool { return o.CheckAvatar != "" }

// allowAddress refuses an avatar from elsewhere where the platform is to judge avatars: it sees pictures that are
// uploaded here only, and what is at another address may change at any time.
func (s *Service) allowAddress(ctx context.Context, p *Principal, u *profileUpdate) error {
	m, err := s.judge(ctx, p, (*ProviderOptions).checksAvatar)
	if m == nil || err != nil {
		return err
	}
	address := u.user.Avatar
	_, err = s.tables.uploads.get(s.tables.read(ctx), "WHERE file_key=? AND user_id=? AND url=? AND state IN (?, ?)",
		keyIn(address), p.User.Id, address, uploadUsed, uploadKept)
	if errors.Is(err, ErrNotFound) {
		return refuse(InvalidRequest, "%s must be uploaded here: pictures are checked before they are shown",
			u.rules.named(avatarField))
	}
	return err
}

func (c *Client) wants(check func(*ProviderOptions) bool) bool {
	return slices.ContainsFunc(c.miniPrograms, func(m miniProgram) bool { return check(&m.options) })
}

// checkText has the member's platform judge a text of the profile. It returns why the text is stored with a Mark, or ""
// where nothing was found. A text that must not be stored is a *Refusal that names the field, or the *provider.Error
// that kept it from being judged. No transaction may be open meanwhile.
func (s *Service) checkText(ctx context.Context, m *member, field, text string) (reason string, err error) {
	var verdict provider.Verdict
	checker, ok := m.upstream.(provider.TextChecker)
	if ok {
		verdict, err = checker.CheckText(ctx, m.identity.OpenID, text)
	} else {
		err = &provider.Error{
			Op: "checkText", Kind: provider.KindMisconfigured, Hint: "mini programs of this type cannot check a nickname",
		}
	}
	return s.decide(ctx, &m.program.options, field, verdict, err)
}

// decide applies the options to what the platform said about content, or to its failure, and logs what is taken over
// unchecked: see checkText.
func (s *Service) decide(
	ctx context.Context, o *ProviderOptions, field string, v provider.Verdict, err error,
) (reason string, refused error) {
	reason, refused = o.decide(field, v, err)
	if reason != "" {
		attrs := append(failureAttrs(err), slog.String("field", field), slog.String("reason", reason))
		if o.Name != "" {
			attrs = append(attrs, slog.String("provider", o.Name))
		}
		s.log.LogAttrs(ctx, slog.LevelWarn, "content is taken over unchecked", attrs...)
	}
	return reason, refused
}

// failureAttrs says for the log what went wrong and, where an admin can mend it, how; nothing for nil.
func failureAttrs(err error) []slog.Attr {
	if err == nil {
		return nil
	}
	attrs := []slog.Attr{slog.String("cause", err.Error())}
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Hint != "" {
		attrs = append(attrs, slog.String("hint", e.Hint))
	}
	return attrs
}

// decide says why the options have content stored with a Mark, or is the error that keeps it from being stored: see
// checkText.
func (o *ProviderOptions) decide(field string, v provider.Verdict, err error) (reason string, refused error) {
	switch {
	case provider.KindOf(err) == provider.KindInvalidContent:
		return "", &Refusal{Code: InvalidRequest, Message: field + " cannot be checked as it is", Err: err}
	case err != nil && o.OnUnchecked == acceptContent:
		return provider.KindOf(err).String(), nil
	case err != nil:
		return "", err
	case v.Suggestion == provider.SuggestPass:
		return "", nil
	case v.Suggestion == provider.SuggestReview && o.OnReview == acceptContent:
		return string(v.Suggestion), nil
	}
	return "", refuse(InvalidRequest, "%s is refused by the content check: choose another one", field)
}

// nicknamePatience bounds what judging the nickname adds to a sign-in.
const nicknamePatience = 2 * time.Second

// wantsJudgement reports whether the nickname of a sign-in is a new one that is to be judged, and has not been.
func (p *person) wantsJudgement() bool {
	return p.program.options.CheckNickname && !p.judged && p.nickname != "" && p.nickname != p.user.DisplayName
}

// judgeSentNickname judges the nickname of a sign-in. One that is not to be stored is forgotten: it keeps nobody from
// signing in.
func (s *Service) judgeSentNickname(ctx context.Context, p *person) {
	p.judged = true
	ctx, cancel := context.WithTimeout(ctx, nicknamePatience)
	defer cancel()
	m := &member{program: p.program, platform: p.platform, upstream: p.upstream, identity: p.identity}
	reason, err := s.checkText(ctx, m, nicknameField, p.nickname)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelInfo, "nickname of a sign-in is ignored", failureAttrs(err)...)
		p.nickname = ""
	}
	p.nicknameMark = reason
}
