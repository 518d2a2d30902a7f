package object

import (
	"cmp"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// storeSignIn writes all that a sign-in leaves behind.
func (s *Service) storeSignIn(tx *txn, p *person, changed []string, token *sdk.Token) error {
	stamp := token.CreatedTime
	if err := s.storeIdentity(tx, p, stamp); err != nil {
		return err
	}
	if err := s.storeUser(tx, p, changed); err != nil {
		return err
	}
	if err := s.storeUnion(tx, p, stamp); err != nil {
		return err
	}
	if _, err := s.store.tokens.insert(tx, token, ""); err != nil {
		return err
	}
	sealed, keyID := s.sealer.seal(p.identity, p.session.SessionKey)
	session := &Session{p.identity.Organization, p.identity.AppID, p.identity.OpenID, sealed, keyID, stamp}
	_, err := s.store.sessions.insert(tx, session, s.store.dialect.orUpdate(
		[]string{"organization", "app_id", "open_id"}, []string{"sealed_key", "key_id", "updated_time"}))
	return err
}

func (s *Service) storeIdentity(tx *txn, p *person, stamp string) error {
	old, identities := p.identity, s.store.identities
	union := cmp.Or(p.session.UnionID, old.UnionID)
	if !p.known {
		fresh := &Identity{old.Organization, old.AppID, old.OpenID, p.user.Id, union, stamp, stamp}
		inserted, err := identities.insert(tx, fresh, s.store.dialect.orIgnore("user_id"))
		return raced(inserted, err)
	}
	if old.UserID == p.user.Id && old.UnionID == union {
		return nil
	}
	// The former user was deleted, or the UnionID has turned up.
	n, err := tx.exec("UPDATE "+identities.name+" SET user_id=?, union_id=?, updated_time=? "+
		"WHERE organization=? AND app_id=? AND open_id=? AND user_id=?",
		p.user.Id, union, stamp, old.Organization, old.AppID, old.OpenID, old.UserID)
	return raced(n == 1 || !p.isNew, err)
}

func (s *Service) storeUser(tx *txn, p *person, changed []string) error {
	if !p.isNew {
		_, err := s.store.users.update(tx, p.user, changed, "owner=? AND name=?", p.user.Owner, p.user.Name)
		return err
	}
	inserted, err := s.store.users.insert(tx, p.user, s.store.dialect.orIgnore("owner"))
	if err == nil && !inserted {
		err = errNameTaken
	}
	return err
}

func (s *Service) storeUnion(tx *txn, p *person, stamp string) error {
	if !p.sharesUnion() {
		return nil
	}
	if p.isNew && p.unionUser != "" {
		// The former user was deleted.
		n, err := tx.exec("UPDATE "+s.store.unions.name+" SET user_id=? WHERE organization=? AND union_id=? AND user_id=?",
			p.user.Id, p.identity.Organization, p.session.UnionID, p.unionUser)
		return raced(n == 1, err)
	}
	union := &Union{p.identity.Organization, p.session.UnionID, p.user.Id, stamp}
	fresh, err := s.store.unions.insert(tx, union, s.store.dialect.orIgnore("user_id"))
	// Another mini program of the same owner may just have brought the same person.
	return raced(fresh || !p.isNew, err)
}

func raced(won bool, err error) error {
	if err == nil && !won {
		return errRaced
	}
	return err
}
