package object

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/minidoor/minidoor/provider"
)

// SessionState is what a user may know of the SessionKey of their last sign-in: never the key.
type SessionState struct {
	Valid       bool   `json:"valid"` // still the current one, so that new encrypted data opens with it
	AppID       string `json:"appId"`
	UpdatedTime string `json:"updatedTime"` // of the sign-in
	CheckedTime string `json:"checkedTime"` // when the platform said so
}

// sessionCheckLife is how long what the platform said of a SessionKey is believed.
const sessionCheckLife = time.Minute

// errNoSession is the cause where a SessionKey is asked for that is not there.
var errNoSession = errors.New("no session is stored")

// CheckSession asks the platform whether the SessionKey of the principal's last sign-in is still current, once for all
// who ask at the same time; for a minute it remembers the answer. appID chooses among several mini programs; empty: the
// last one.
func (s *Service) CheckSession(ctx context.Context, p *Principal, appID string) (SessionState, error) {
	m, err := s.sessionMember(ctx, p, appID)
	if err != nil {
		return SessionState{}, err
	}
	checker, err := capable[provider.SessionChecker](m)
	if err != nil {
		return SessionState{}, err
	}
	if m.session == nil {
		return SessionState{AppID: m.identity.AppID, CheckedTime: s.stamp()}, nil
	}
	name := digest(m.session.SealedKey) // of each sign-in another one
	return load(ctx, s.checks, name, func(ctx context.Context) (SessionState, error) {
		return s.askSession(ctx, m, checker)
	})
}

// askSession asks the platform of a member whose session is stored.
func (s *Service) askSession(ctx context.Context, m *member, checker provider.SessionChecker) (SessionState, error) {
	key, err := s.sealer.open(m.identity, m.session.SealedKey, m.session.KeyID)
	if err == nil {
		err = checker.CheckSession(ctx, m.identity.OpenID, key)
	}
	stale := provider.KindOf(err) == provider.KindInvalidSession || errors.Is(err, errUnsealable)
	if err != nil && !stale {
		return SessionState{}, err
	}
	return SessionState{
		Valid: !stale, AppID: m.identity.AppID, UpdatedTime: m.session.UpdatedTime, CheckedTime: s.stamp(),
	}, nil
}

// sessionMember is member where sessions are kept.
func (s *Service) sessionMember(ctx context.Context, p *Principal, appID string) (*member, error) {
	if s.tables == nil {
		return nil, noTables()
	}
	return s.member(ctx, p, appID)
}

// Decrypt opens what the mini program's client got encrypted, with the SessionKey of the principal's last sign-in, and
// returns the JSON object in it. Whatever is wrong with the data or the key is one and the same *Refusal, which says
// nothing about how far it got. appID chooses among several mini programs; empty: the last one.
func (s *Service) Decrypt(
	ctx context.Context, p *Principal, appID string, data provider.EncryptedData,
) (json.RawMessage, error) {
	m, err := s.sessionMember(ctx, p, appID)
	if err != nil {
		return nil, err
	}
	decrypter, err := capable[provider.Decrypter](m)
	if err != nil {
		return nil, err
	}
	if m.session == nil {
		return nil, staleSession(errNoSession)
	}
	key, err := s.sealer.open(m.identity, m.session.SealedKey, m.session.KeyID)
	if err != nil {
		return nil, staleSession(err)
	}
	plain, err := decrypter.Decrypt(key, data)
	if err != nil {
		return nil, staleSession(err)
	}
	var owner struct {
		OpenID *string `json:"openId"` // of a profile; a phone number has none
	}
	if json.Unmarshal(plain, &owner) != nil || owner.OpenID != nil && *owner.OpenID != m.identity.OpenID {
		return nil, staleSession(errors.New("the data is another user's"))
	}
	return plain, nil
}

func staleSession(cause error) *Refusal {
	return &Refusal{
		Code: InvalidGrant, Err: cause,
		Message: "the session_key is stale, or the data is not this user's: call wx.login, sign in again and get new data",
	}
}
