package object

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/provider"
)

// SignInRequest is the token request of a mini program.
type SignInRequest struct {
	Client   *Client
	Tag      string // names the platform
	AppID    string // chooses among several mini programs of the application; empty: the first
	Code     string // of wx.login
	Nickname string // optional; one that is no display name is ignored
	Avatar   string // optional; one that is no https URL, or would have to be checked, is ignored
	Issuer   string // the token's iss
	ClientIP string

	// Exchanged hears whose the code was, as soon as the platform has said it. Its error ends the sign-in. Nil: nobody
	// listens.
	Exchanged func(ctx context.Context, appID, openID string) error
}

// person is the one who signs in: the session at the platform, and the user that it belongs to.
type person struct {
	request SignInRequest

	// What choose has found, and the exchange of the code.
	platform provider.Platform
	program  miniProgram
	upstream provider.Provider
	session  provider.Session

	// What directory.find has found, each time anew.
	identity  Identity
	known     bool      // identity is stored
	adopted   bool      // it is stored without the AppID
	user      *sdk.User // of one who exists the common claim columns only or, where whole or more, all
	more      bool      // the user has claim columns filled that are not common
	isNew     bool      // user is to be made
	unionUser string    // id of the user to whom the UnionID is stored to belong, who may be gone
	name, id  string    // of the user to be made, where the directory has rules for them; empty: as makeUser has it

	whole     bool // the token may need any column of the user
	nameTaken bool // by another user, as an attempt to make this one has shown

	// What the request says of the profile, where it is fit to be stored.
	nickname     string
	avatar       string
	judged       bool   // the nickname, by the platform
	nicknameMark string // the Reason of the Mark that it is stored with; empty: none
}

// errRaced means that another request has changed what this one built on: look again.
var errRaced = errors.New("another sign-in was faster")

// errNameTaken is errRaced where what has changed is that another user has the new user's name.
var errNameTaken = fmt.Errorf("%w: the name is taken", errRaced)

// errUnjudged means that the nickname is to be judged first.
var errUnjudged = errors.New("the nickname is to be judged")

// SignIn exchanges the code, finds or makes the user by OpenID and issues a token. What it refuses is a *Refusal; a
// platform that fails is a *provider.Error. When it returns a token, everything is stored durably.
func (s *Service) SignIn(ctx context.Context, req SignInRequest) (*Token, error) {
	p := &person{request: req, whole: req.Client.Application.TokenFormat == "JWT-Custom"}
	if err := s.choose(p); err != nil {
		return nil, err
	}
	var err error
	if p.upstream, err = s.providerOf(p.program, p.platform); err != nil {
		return nil, err
	}
	// A client that leaves does not stop what the platform counts. Whoever keeps the account of it must hear how it
	// ended.
	if p.session, err = p.upstream.Exchange(context.WithoutCancel(ctx), req.Code); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if req.Exchanged != nil {
		if err := req.Exchanged(ctx, p.program.row.ClientId, p.session.OpenID); err != nil {
			return nil, err
		}
	}
	s.takeProfile(ctx, p)
	// From here on another sign-in of the same person may be faster. Nothing is locked meanwhile: who has lost looks
	// again, and then finds what the other one has stored. So does who had a nickname judged in between.
	const attempts = 6
	for range attempts {
		var token *Token
		token, err = s.inTurn(ctx, func() (*Token, error) { return s.admit(ctx, p) })
		switch {
		case errors.Is(err, errUnjudged):
			s.judgeSentNickname(ctx, p)
		case errors.Is(err, errRaced):
			p.nameTaken = p.nameTaken || errors.Is(err, errNameTaken)
		case errors.Is(err, errUnfit) && (p.nickname != "" || p.avatar != ""):
			// A column of an older Casdoor's may be too short, or of a character set without emoji.
			s.log.WarnContext(ctx, "nickname and avatar of a sign-in are ignored: the database may not take them", "cause", err)
			p.nickname, p.avatar = "", ""
		default:
			return token, err
		}
	}
	return nil, err
}

// choose finds the mini program that the request is for, and checks that Casdoor's settings let it sign in.
func (s *Service) choose(p *person) error {
	req := &p.request
	var ok bool
	if p.platform, ok = s.registry.ByTag(req.Tag); !ok {
		return refuse(InvalidRequest, "tag is not supported")
	}
	if req.Client.Organization.DisableSignin || req.Client.Application.DisableSignin {
		return refuse(AccessDenied, "signing in is disabled")
	}
	found := false
	for _, m := range req.Client.miniPrograms {
		if m.row.Type != p.platform.Type {
			continue
		}
		found = true
		if req.AppID != "" && req.AppID != m.row.ClientId {
			continue
		}
		if !m.item.CanSignIn {
			return refuse(AccessDenied, "signing in with this mini program is disabled")
		}
		p.program = m
		return nil
	}
	if found {
		return refuse(InvalidRequest, "app_id is none of the application's mini programs")
	}
	return refuse(UnauthorizedClient, "the application has no provider of type %s", p.platform.Type)
}

// takeProfile takes nickname and avatar from the request, each unless it is not fit to be stored.
func (s *Service) takeProfile(ctx context.Context, p *person) {
	rules := s.profileRules(p.request.Client.Organization)
	name, err := cleanDisplayName(p.request.Nickname)
	if err == nil && !s.registry.IsPlaceholderNickname(name) && rules.allow("displayName", name) == nil {
		p.nickname = name
	}
	url, err := cleanAvatar(p.request.Avatar)
	if err == nil && !p.program.options.checksAvatar() && !s.registry.IsPlaceholderAvatar(url) &&
		rules.allow("avatar", url) == nil {
		if former, err := s.isFormer(ctx, url); err == nil && !former {
			p.avatar = url
		}
	}
}

// mayMake refuses to sign somebody up whom the settings keep out. To a Casdoor all users of the organization built-in
// are administrators of everything, whatever is_admin says, so it makes one only with the organization's consent.
func (s *Service) mayMake(p *person) error {
	const message = "the application does not allow to sign up new account"
	app, org := p.request.Client.Application, p.request.Client.Organization
	ofCasdoor := s.tables == nil || s.tables.beside
	if ofCasdoor && org.Name == builtInName && !org.HasPrivilegeConsent {
		return &Refusal{Code: AccessDenied, Message: message, Err: errors.New("all users of the organization built-in " +
			"are administrators of Casdoor: let mini programs use an application of another organization")}
	}
	if !app.EnableSignUp || !p.program.item.CanSignUp {
		return refuse(AccessDenied, message)
	}
	return nil
}

// admit finds or makes the user, issues the token and stores it all. It returns errRaced when it must be run again, and
// errUnjudged when judgeSentNickname must be called before.
func (s *Service) admit(ctx context.Context, p *person) (*Token, error) {
	req := &p.request
	if err := s.directory.find(ctx, p); err != nil {
		return nil, err
	}
	if p.isNew {
		if err := s.mayMake(p); err != nil {
			return nil, err
		}
		s.makeUser(p)
	} else if err := usable(p.user); err != nil {
		return nil, err
	}
	if p.wantsJudgement() {
		return nil, errUnjudged
	}
	changed := p.applyTo(p.user, req.ClientIP, s.stamp())
	token, row, err := s.issue(ctx, grant{client: req.Client, user: p.user, issuer: req.Issuer, refresh: true})
	if err != nil {
		return nil, err
	}
	token.NewUser = p.isNew
	return token, s.directory.admit(ctx, p, changed, row)
}

func (p *person) sharesUnion() bool { return p.program.options.ShareUnionID && p.session.UnionID != "" }

// unionKey is the property of the user that holds the UnionID.
func (p *person) unionKey() string { return p.platform.Prefix + unionIDProperty }

// applyTo writes to the user what this sign-in brings, and returns the columns that it changed.
func (p *person) applyTo(user *sdk.User, clientIP, stamp string) []string {
	user.LastSigninTime, user.LastSigninIp = stamp, clientIP
	changed := []string{"last_signin_time", "last_signin_ip"}
	updated := len(changed)
	if p.nickname != "" && p.nickname != user.DisplayName {
		user.DisplayName = p.nickname
		changed = append(changed, "display_name")
	}
	if p.avatar != "" && p.avatar != user.Avatar {
		user.Avatar = p.avatar
		changed = append(changed, "avatar")
	}
	if key := p.unionKey(); p.session.UnionID != "" && user.Properties[key] != p.session.UnionID {
		user.Properties = withProperties(user.Properties, map[string]string{key: p.session.UnionID})
		changed = append(changed, "properties")
	}
	if len(changed) > updated {
		user.UpdatedTime = stamp
		changed = append(changed, "updated_time")
	}
	return changed
}
