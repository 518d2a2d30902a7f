package object

import (
	"context"
	"fmt"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Export is all that is stored about a user, without secrets.
type Export struct {
	ExportedTime string           `json:"exportedTime"`
	User         *sdk.User        `json:"user"`
	Identities   []ExportIdentity `json:"identities"`
	Tokens       []ExportToken    `json:"tokens"`    // the newest
	SignIns      []ExportSignIn   `json:"signIns"`   // the newest of the log of sign-ins
	Browsers     []ExportBrowser  `json:"browsers"`  // that are signed in with the user's password
	Pictures     []ExportPicture  `json:"pictures"`  // uploaded avatars whose files are there
	Unchecked    []*Mark          `json:"unchecked"` // fields that were taken over without the platform's judgement
	Records      []ExportRecord   `json:"records"`   // the newest, where a Casdoor keeps them
}

// ExportIdentity is one OpenID of the user.
type ExportIdentity struct {
	AppID       string `json:"appId"`
	OpenID      string `json:"openId"`
	UnionID     string `json:"unionId"`
	CreatedTime string `json:"createdTime"`
	UpdatedTime string `json:"updatedTime"`
	SessionTime string `json:"sessionTime"` // of the SessionKey that is stored; empty: none is
}

// ExportToken is one sign-in of the user.
type ExportToken struct {
	Name        string `json:"name"`
	Application string `json:"application"`
	CreatedTime string `json:"createdTime"`
	ExpiresIn   int    `json:"expiresIn"` // seconds
	Scope       string `json:"scope"`
	GrantType   string `json:"grantType"`
}

// ExportSignIn is a line of the log of sign-ins.
type ExportSignIn struct {
	Time        string `json:"time"`
	Application string `json:"application"`
	Provider    string `json:"provider"`
	Outcome     string `json:"outcome"`
	Errcode     int    `json:"errcode"`
	ClientIP    string `json:"clientIp"`
}

// ExportBrowser is a session of a browser.
type ExportBrowser struct {
	Application string `json:"application"`
	CreatedTime string `json:"createdTime"`
	SeenTime    string `json:"seenTime"`
	ExpiresTime string `json:"expiresTime"`
	ClientIP    string `json:"clientIp"`
}

// ExportPicture is an avatar that the user has uploaded. Of one that is not the user's avatar nobody knows the address.
type ExportPicture struct {
	CreatedTime string `json:"createdTime"`
	State       string `json:"state"` // "used", "pending" the platform's verdict, or "dropped" and about to be removed
}

// ExportRecord is a request that the user made. What was sent is left out: a Casdoor records that too, secrets
// included.
type ExportRecord struct {
	CreatedTime string `json:"createdTime"`
	ClientIP    string `json:"clientIp"`
	Method      string `json:"method"`
	Action      string `json:"action"`
}

// maxRecords bounds the records of an Export, its lines of the log, and its tokens.
const maxRecords = 10_000

// Export returns all that is stored about the principal.
func (s *Service) Export(ctx context.Context, p *Principal) (*Export, error) {
	if s.tables == nil {
		return nil, noTables()
	}
	return s.export(ctx, p.User)
}

// ExportUser returns all that is stored about a user, for whoever looks after them.
func (a *Authority) ExportUser(ctx context.Context, c *Caller, owner, name string) (*Export, error) {
	user, err := a.Users().Get(ctx, c, owner, name)
	if err != nil {
		return nil, err
	}
	return a.export(ctx, user)
}

// UserIdentities returns the OpenIDs of a user, the last sign-in's first.
func (a *Authority) UserIdentities(ctx context.Context, c *Caller, owner, name string) ([]ExportIdentity, error) {
	user, err := a.Users().Get(ctx, c, owner, name)
	if err != nil {
		return nil, err
	}
	return a.tables.exportIdentities(ctx, user)
}

func (s *Service) export(ctx context.Context, user *sdk.User) (*Export, error) {
	e := &Export{ExportedTime: s.stamp(), User: publicUser(user)}
	var err error
	if e.Identities, err = s.tables.exportIdentities(ctx, user); err != nil {
		return nil, err
	}
	if e.Unchecked, err = s.tables.marks.find(s.tables.read(ctx), "WHERE user_id=?", user.Id); err != nil {
		return nil, err
	}
	if e.Pictures, err = s.tables.exportPictures(ctx, user.Id); err != nil {
		return nil, err
	}
	if e.SignIns, err = s.tables.exportSignIns(ctx, user); err != nil {
		return nil, err
	}
	if e.Browsers, err = s.tables.exportBrowsers(ctx, user.Id); err != nil {
		return nil, err
	}
	if e.Tokens, err = s.exportTokens(ctx, user); err != nil {
		return nil, err
	}
	e.Records, err = s.exportRecords(ctx, user)
	e.Unchecked, e.Records = notNil(e.Unchecked), notNil(e.Records)
	return e, err
}

func (t *tables) exportIdentities(ctx context.Context, user *sdk.User) ([]ExportIdentity, error) {
	members, err := t.members(ctx, user)
	identities := []ExportIdentity{}
	for _, m := range members {
		id := ExportIdentity{
			AppID: m.identity.AppID, OpenID: m.identity.OpenID, UnionID: m.identity.UnionID,
			CreatedTime: m.identity.CreatedTime, UpdatedTime: m.identity.UpdatedTime,
		}
		if m.session != nil {
			id.SessionTime = m.session.UpdatedTime
		}
		identities = append(identities, id)
	}
	return identities, err
}

func (t *tables) exportPictures(ctx context.Context, userID string) ([]ExportPicture, error) {
	uploads, err := t.uploads.find(t.read(ctx), "WHERE user_id=? ORDER BY created_time", userID)
	pictures := []ExportPicture{}
	for _, u := range uploads {
		pictures = append(pictures, ExportPicture{u.CreatedTime, u.State})
	}
	return pictures, err
}

func (t *tables) exportSignIns(ctx context.Context, user *sdk.User) ([]ExportSignIn, error) {
	lines, err := t.logs.find(t.read(ctx), fmt.Sprintf("WHERE organization=? AND user_name=? ORDER BY id DESC LIMIT %d",
		maxRecords), user.Owner, user.Name)
	signIns := []ExportSignIn{}
	for _, l := range lines {
		signIns = append(signIns, ExportSignIn{l.Time, l.Application, l.Provider, l.Outcome, l.Errcode, l.ClientIP})
	}
	return signIns, err
}

func (t *tables) exportBrowsers(ctx context.Context, userID string) ([]ExportBrowser, error) {
	sessions, err := t.adminSessions.find(t.read(ctx), "WHERE user_id=? ORDER BY created_time", userID)
	browsers := []ExportBrowser{}
	for _, b := range sessions {
		browsers = append(browsers, ExportBrowser{b.Application, b.CreatedTime, b.SeenTime, b.ExpiresTime, b.ClientIP})
	}
	return browsers, err
}

// notNil makes JSON say [] and not null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (s *Service) exportTokens(ctx context.Context, user *sdk.User) ([]ExportToken, error) {
	rows, err := s.tokensOf(ctx, user.Owner, user.Name, maxRecords)
	tokens := []ExportToken{}
	for _, t := range rows {
		tokens = append(tokens, ExportToken{t.Name, t.Application, t.CreatedTime, t.ExpiresIn, t.Scope, t.GrantType})
	}
	return tokens, err
}

func (s *Service) exportRecords(ctx context.Context, user *sdk.User) (records []ExportRecord, err error) {
	t := s.tables
	if t.records == nil {
		return nil, nil
	}
	err = s.scanUser(ctx, func() error {
		columns := t.records.pick("created_time", "client_ip", "method", "action")
		found, err := t.records.findColumns(t.read(ctx), columns, fmt.Sprintf("%s WHERE organization=? AND %s=? "+
			"ORDER BY created_time DESC LIMIT %d", t.records.name, t.dialect.quote("user"), maxRecords), user.Owner, user.Name)
		for _, r := range found {
			records = append(records, ExportRecord{r.CreatedTime, r.ClientIp, r.Method, r.Action})
		}
		return err
	})
	return records, err
}
