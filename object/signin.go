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
	Avatar   string // optional; one that is no https URL is ignored
	Issuer   string // the token's iss
	ClientIP string
}

// person is the one who signs in: the session at the platform, and the user that it belongs to.
type person struct {
	platform  provider.Platform
	program   miniProgram
	session   provider.Session
	identity  Identity
	known     bool      // identity is stored
	user      *sdk.User // claim columns only, for a user who exists
	isNew     bool      // user is to be made
	nameTaken bool      // by another user
	nickname  string
	avatar    string

	unionUser string // id of the user to whom the UnionID is stored to belong, who may be gone
}

// errRaced means that another request has changed what this one built on: look again.
var errRaced = errors.New("another sign-in was faster")

// errNameTaken is errRaced where what has changed is that another user has the new user's name.
var errNameTaken = fmt.Errorf("%w: the name is taken", errRaced)

// SignIn exchanges the code, finds or makes the user by OpenID and issues a token. What it refuses is a *Refusal; a
// platform that fails is a *provider.Error. When it returns a token, everything is stored durably.
func (s *Service) SignIn(ctx context.Context, req SignInRequest) (*Token, error) {
	p := &person{}
	if err := s.choose(p, req); err != nil {
		return nil, err
	}
	upstream, err := s.providerOf(p.program, p.platform)
	if err != nil {
		return nil, err
	}
	if p.session, err = upstream.Exchange(ctx, req.Code); err != nil {
		return nil, err
	}
	p.identity = Identity{
		Organization: req.Client.Organization.Name, AppID: p.program.row.ClientId, OpenID: p.session.OpenID,
	}
	p.nickname, p.avatar = s.profileOf(req)
	const attempts = 5
	for range attempts {
		var token *Token
		if token, err = s.admit(ctx, req, p); !errors.Is(err, errRaced) {
			return token, err
		}
		p.nameTaken = p.nameTaken || errors.Is(err, errNameTaken)
	}
	return nil, err
}

// choose finds the mini program that the request is for, and checks that Casdoor's settings let it sign in.
func (s *Service) choose(p *person, req SignInRequest) error {
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

// profileOf returns the nickname and avatar of the request, each empty unless it is fit to be stored.
func (s *Service) profileOf(req SignInRequest) (nickname, avatar string) {
	rules := s.profileRules(req.Client.Organization)
	name, err := cleanDisplayName(req.Nickname)
	if err == nil && !s.registry.IsPlaceholderNickname(name) && rules.allow("displayName", name) == nil {
		nickname = name
	}
	url, err := cleanAvatar(req.Avatar)
	if err == nil && !s.registry.IsPlaceholderAvatar(url) && rules.allow("avatar", url) == nil {
		avatar = url
	}
	return nickname, avatar
}

// admit finds or makes the user, issues the token and stores it all. It returns errRaced when it must be run again.
func (s *Service) admit(ctx context.Context, req SignInRequest, p *person) (*Token, error) {
	if err := s.findUser(ctx, p); err != nil {
		return nil, err
	}
	if p.isNew {
		if !req.Client.Application.EnableSignUp || !p.program.item.CanSignUp {
			return nil, refuse(AccessDenied, "the application does not allow to sign up new account")
		}
		s.makeUser(req, p)
	} else if err := s.readmit(ctx, req, p); err != nil {
		return nil, err
	}
	changed := p.applyTo(p.user, req.ClientIP, s.stamp())
	token, row, err := s.issue(grant{client: req.Client, user: p.user, issuer: req.Issuer, refresh: true})
	if err != nil {
		return nil, err
	}
	token.NewUser = p.isNew
	return token, s.store.write(ctx, func(tx *txn) error { return s.storeSignIn(tx, p, changed, row) })
}

// readmit checks a user who exists. The claims of format JWT-Custom may need any column of the row.
func (s *Service) readmit(ctx context.Context, req SignInRequest, p *person) error {
	if req.Client.Application.TokenFormat == "JWT-Custom" {
		whole, err := s.store.users.get(s.store.read(ctx), "WHERE owner=? AND name=?", p.user.Owner, p.user.Name)
		if errors.Is(err, ErrNotFound) {
			return errRaced
		}
		if err != nil {
			return err
		}
		p.user = whole
	}
	return usable(p.user)
}

// ownUser joins a user by id within the organization of a row of ours. The function around the owner keeps the database
// from taking the primary key, which begins with it, and reading all users of the organization.
const ownUser = "u.id=%[1]s.user_id AND COALESCE(u.owner, '')=%[1]s.organization"

// signInQuery selects an identity and, where there still is one, the claim columns of its user.
func signInQuery(s *Store, columns []column) string {
	return fmt.Sprintf("SELECT %s, %s FROM %s i LEFT JOIN %s u ON %s "+
		"WHERE i.organization=? AND i.app_id=? AND i.open_id=?", s.identities.list(s.identities.columns, "i."),
		s.users.list(columns, "u."), s.identities.name, s.users.name, fmt.Sprintf(ownUser, "i"))
}

// findUser looks the OpenID up, and the UnionID where the provider shares users by it. Nothing else finds a user: no
// name, phone, e-mail or wechat column.
func (s *Service) findUser(ctx context.Context, p *person) error {
	p.user, p.known, p.unionUser = &sdk.User{}, true, ""
	identities := s.store.identities
	dest := append(identities.dest(&p.identity, identities.columns), s.store.users.dest(p.user, s.signInColumns)...)
	read := s.store.read(ctx)
	id := p.identity
	err := scanOne(read, dest, s.signInQuery, id.Organization, id.AppID, id.OpenID)
	if errors.Is(err, ErrNotFound) {
		p.known = false
		p.identity = Identity{Organization: id.Organization, AppID: id.AppID, OpenID: id.OpenID}
		err = nil
	}
	if err == nil && p.user.Id == "" {
		err = s.findByUnion(read, p)
	}
	p.isNew = p.user.Id == ""
	return err
}

func (s *Service) findByUnion(read reader, p *person) error {
	if !p.sharesUnion() {
		return nil
	}
	users := s.store.users
	query := fmt.Sprintf("SELECT n.user_id, %s FROM %s n LEFT JOIN %s u ON %s "+
		"WHERE n.organization=? AND n.union_id=?",
		users.list(s.signInColumns, "u."), s.store.unions.name, users.name, fmt.Sprintf(ownUser, "n"))
	dest := append([]any{&p.unionUser}, users.dest(p.user, s.signInColumns)...)
	err := scanOne(read, dest, query, p.identity.Organization, p.session.UnionID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (p *person) sharesUnion() bool { return p.program.options.ShareUnionID && p.session.UnionID != "" }

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
	if key := p.platform.Prefix + "UnionId"; p.session.UnionID != "" && user.Properties[key] != p.session.UnionID {
		properties := map[string]string{}
		for k, v := range user.Properties {
			properties[k] = v
		}
		properties[key] = p.session.UnionID
		user.Properties = properties
		changed = append(changed, "properties")
	}
	if len(changed) > updated {
		user.UpdatedTime = stamp
		changed = append(changed, "updated_time")
	}
	return changed
}
