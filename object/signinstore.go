package object

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// find implements directory: the OpenID is looked up, and the UnionID where the provider shares users by it. No name,
// phone, e-mail or wechat column is.
func (t *tables) find(ctx context.Context, p *person) error {
	p.known, p.adopted, p.more, p.unionUser = true, false, false, ""
	appID := p.program.row.ClientId
	p.identity = Identity{Organization: p.request.Client.Organization.Name, AppID: appID, OpenID: p.session.OpenID}
	err := t.findIdentity(ctx, p, appID)
	if errors.Is(err, ErrNotFound) && t.beside {
		err = t.findAdopted(ctx, p)
	}
	if errors.Is(err, ErrNotFound) {
		p.known, p.user = false, &sdk.User{}
		err = t.findMoved(ctx, p)
	}
	if err == nil && p.user.Id == "" {
		err = t.findByUnion(ctx, p)
	}
	if err != nil {
		return err
	}
	p.isNew = p.user.Id == ""
	if (p.whole || p.more) && !p.isNew {
		return t.readWhole(ctx, p)
	}
	return nil
}

// findIdentity reads the identity with that AppID and, where there still is one, the common claim columns of its user.
func (t *tables) findIdentity(ctx context.Context, p *person, appID string) error {
	found, err := t.byIdentity.find(ctx, p.identity.OpenID, p.identity.Organization, appID)
	if errors.Is(err, errTwice) {
		return twoUsers(p.identity.Organization, found.identity.UserID)
	}
	if err == nil {
		p.identity, p.user, p.more = found.identity, &found.user, found.more
	}
	return err
}

// twoUsers refuses to sign in either of two who have one id: a Casdoor may let users write their own.
func twoUsers(organization, id string) error {
	return contested("organization %s: two users have the id %s: give the account item ID the modify rule Immutable, "+
		"and the wrong one another id", organization, id)
}

// findAdopted looks for a user whom Casdoor's own flow made, and refuses an OpenID that Casdoor's data leave in doubt.
// The doubt comes first: an adoption under way may have given the OpenID to somebody, and meet another one later.
func (t *tables) findAdopted(ctx context.Context, p *person) error {
	conflict, err := t.conflicts.get(t.read(ctx), "WHERE organization=? AND open_id=? AND user_id=''",
		p.identity.Organization, p.identity.OpenID)
	if err == nil {
		return contested("adoption conflict in organization %s: %s", conflict.Organization, conflict.Reason)
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	appID := p.identity.AppID
	err = t.findIdentity(ctx, p, "")
	p.identity.AppID = appID
	p.adopted = err == nil
	return err
}

// findMoved finds the same person where a Casdoor has moved the user to this organization, or given it another name: the
// identity stayed behind. None is no error.
func (t *tables) findMoved(ctx context.Context, p *person) error {
	if !t.beside {
		return nil
	}
	user, err := t.users.named(t.read(ctx), p.identity.Organization, p.userName())
	if err != nil {
		return ignoreMissing(err)
	}
	same, err := exists(t.read(ctx), t.identities.name+" WHERE user_id=? AND open_id=? AND app_id IN (?, '')",
		user.Id, p.identity.OpenID, p.identity.AppID)
	if same {
		p.user = user
	}
	return err
}

// findByUnion finds the user of the UnionID, where the provider shares users by it. None is no error.
func (t *tables) findByUnion(ctx context.Context, p *person) error {
	if !p.sharesUnion() {
		return nil
	}
	dest := append([]any{&p.unionUser}, t.signInUser.dest(p.user, &p.more)...)
	users := 0
	err := eachRow(t.read(ctx), func(rows *sql.Rows) error {
		users++
		return rows.Scan(dest...)
	}, t.byUnion, p.identity.Organization, p.session.UnionID)
	if err == nil && users > 1 {
		return twoUsers(p.identity.Organization, p.unionUser)
	}
	return err
}

// readWhole reads all columns of the user who was found.
func (t *tables) readWhole(ctx context.Context, p *person) error {
	whole, err := t.users.named(t.read(ctx), p.user.Owner, p.user.Name)
	if errors.Is(err, ErrNotFound) {
		return errRaced
	}
	if err != nil {
		return err
	}
	p.user = whole
	return nil
}

// admit implements directory.
func (t *tables) admit(ctx context.Context, p *person, changed []string, token *sdk.Token) error {
	var met int64
	err := t.write(ctx, func(tx *txn) error { return t.storeSignIn(tx, p, changed, token, &met) })
	if err != nil || met > 0 || p.isNew {
		return err
	}
	// The user has another name since, which the token lacks, or is not usable any more; or MySQL, which counts what
	// changes, met what a sign-in had just written.
	there, err := exists(t.read(ctx), t.users.name+" WHERE "+stillUsable, p.user.Owner, p.user.Name, p.user.Id)
	return raced(there, err)
}

// storeSignIn writes all that a sign-in leaves behind; met is how many users it met who were there, once that is
// committed. A known user's statements are only sent, so that on a server they go in one message: see txn. Those whose
// outcome decides something, which are rare, begin the transaction at once.
func (t *tables) storeSignIn(tx *txn, p *person, changed []string, token *sdk.Token, met *int64) error {
	stamp := token.CreatedTime
	if err := t.storeIdentity(tx, p, stamp); err != nil {
		return err
	}
	if err := t.storeUser(tx, p, changed, met); err != nil {
		return err
	}
	if err := t.storeUnion(tx, p, stamp); err != nil {
		return err
	}
	if slices.Contains(changed, "avatar") && !p.isNew {
		if err := t.dropUploads(tx, p.user.Id, p.user.Avatar); err != nil {
			return err
		}
	}
	if slices.Contains(changed, "display_name") && (p.nicknameMark != "" || !p.isNew) {
		if err := t.storeMark(tx, Mark{p.user.Id, nicknameField, p.nicknameMark, stamp}); err != nil {
			return err
		}
	}
	if err := t.insertToken(tx, token); err != nil {
		return err
	}
	if err := t.storeRecord(tx, signInRecord(p, stamp)); err != nil {
		return err
	}
	sealed, keyID := t.sealer.seal(p.identity, p.session.SessionKey)
	session := &Session{p.identity.Organization, p.identity.AppID, p.identity.OpenID, sealed, keyID, stamp}
	return t.sessions.sendInsert(tx, session, t.dialect.orUpdate(
		[]string{"organization", "app_id", "open_id"}, []string{"sealed_key", "key_id", "updated_time"}), nil)
}

// storeIdentity makes the identity of a new OpenID, or changes one that is there: an adopted user's AppID shows, the
// former user was deleted, or the UnionID has turned up. Nearly always there is nothing to change.
func (t *tables) storeIdentity(tx *txn, p *person, stamp string) error {
	i := p.identity
	union := cmp.Or(p.session.UnionID, i.UnionID)
	if !p.known {
		fresh := &Identity{i.Organization, i.AppID, i.OpenID, p.user.Id, union, stamp, stamp}
		return t.identities.sendInsert(tx, fresh, "", errRaced)
	}
	if !p.adopted && i.UserID == p.user.Id && i.UnionID == union {
		return nil
	}
	storedAppID := i.AppID
	if p.adopted {
		storedAppID = ""
	}
	n, err := tx.exec("UPDATE "+t.identities.name+" SET app_id=?, user_id=?, union_id=?, updated_time=? "+
		"WHERE organization=? AND app_id=? AND open_id=? AND user_id=?",
		i.AppID, p.user.Id, union, stamp, i.Organization, storedAppID, i.OpenID, i.UserID)
	if err == nil && p.isNew {
		err = t.dropLeft(tx, i.UserID)
	}
	// For a user who was there, another sign-in may just have stored the same.
	return raced(n == 1 || !p.isNew && !p.adopted, err)
}

func (t *tables) storeUser(tx *txn, p *person, changed []string, met *int64) error {
	if p.isNew {
		if err := t.users.sendInsert(tx, p.user, "", errNameTaken); err != nil {
			return err
		}
		return t.joinGroups(tx, p.user)
	}
	if slices.Contains(changed, "properties") {
		if err := t.keepProperties(tx, p); err != nil {
			return err
		}
	}
	return t.users.sendUpdate(tx, p.user, met, changed, t.stillUsableByID(), p.user.Owner, p.user.Name, p.user.Id)
}

// keepProperties has the sign-in change the UnionID alone: one column holds all properties, and others may have set
// some since it was read.
func (t *tables) keepProperties(tx *txn, p *person) error {
	current, err := t.userByID(tx, p.user.Owner, p.user.Id)
	if errors.Is(err, ErrNotFound) {
		return errRaced
	}
	if err == nil {
		p.user.Properties = withProperties(current.Properties, map[string]string{p.unionKey(): p.session.UnionID})
	}
	return err
}

// storeUnion notes whose the UnionID is, where the provider shares users by it.
func (t *tables) storeUnion(tx *txn, p *person, stamp string) error {
	if !p.sharesUnion() {
		return nil
	}
	if p.isNew && p.unionUser != "" {
		// The former user was deleted.
		n, err := tx.exec("UPDATE "+t.unions.name+" SET user_id=? WHERE organization=? AND union_id=? AND user_id=?",
			p.user.Id, p.identity.Organization, p.session.UnionID, p.unionUser)
		return raced(n == 1, err)
	}
	union := &Union{p.identity.Organization, p.session.UnionID, p.user.Id, stamp}
	fresh, err := t.unions.insert(tx, union, t.dialect.orIgnore("user_id"))
	// Another mini program of the same owner may just have brought the same person.
	return raced(fresh || !p.isNew, err)
}

// raced is errRaced for one who has lost.
func raced(won bool, err error) error {
	if err == nil && !won {
		return errRaced
	}
	return err
}
