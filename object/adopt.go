package object

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Adoption is how far the users whom Casdoor's own flow made have been taken over. It is stored with each batch, so
// that an instance that starts goes on where one has ended, and two that start at once share the work.
type Adoption struct {
	Users     int  `json:"users"`     // in the table when it began
	Seen      int  `json:"seen"`      // of these
	Adopted   int  `json:"adopted"`   // whose OpenID signs them in now
	Conflicts int  `json:"conflicts"` // OpenIDs that are refused until an admin decides
	Done      bool `json:"done"`

	// Where the next batch begins. The users of whom only the wechat column speaks are looked at in a pass of their
	// own: they are not adopted, but put in doubt whom they share an OpenID with.
	Owner      string `json:"owner"`
	Name       string `json:"name"`
	Columns    int    `json:"columns"`    // how many of these users there are
	OnlyColumn bool   `json:"onlyColumn"` // it is their pass
	Again      bool   `json:"again"`      // there were identities when it began
}

const (
	adoptionState = "adoption"
	adoptionBatch = 1000
	adoptionLog   = 10 * time.Second
)

// Adopt takes over the users whom Casdoor's own mini-program flow made: those whose wechat column and
// properties.wechatOpenId agree. From then on the identity is ours, and no later change of those fields moves it. What
// contradicts itself, or belongs to two users, is listed by Conflicts. It is done once: a later call returns at once.
// progress, which may be nil, is called after each batch.
func (s *Store) Adopt(ctx context.Context, progress func(Adoption)) (Adoption, error) {
	a, err := s.beginAdoption(ctx)
	if err != nil || a.Done {
		return a, err
	}
	s.log.InfoContext(ctx, "adopting users", "users", a.Users, "seen", a.Seen)
	logged := time.Now()
	for !a.Done {
		if a, err = s.adoptBatch(ctx); err != nil {
			return a, fmt.Errorf("adopt users: %w", err)
		}
		if progress != nil {
			progress(a)
		}
		if time.Since(logged) > adoptionLog && !a.Done {
			s.log.InfoContext(ctx, "adopting users", "users", a.Users, "seen", a.Seen)
			logged = time.Now()
		}
	}
	s.log.InfoContext(ctx, "users are adopted", "users", a.Users, "adopted", a.Adopted, "conflicts", a.Conflicts)
	return a, nil
}

// lookedAtAgain is the reason of a Conflict that the adoption under way has not raised again.
const lookedAtAgain = "is being looked at again"

// AdoptAgain makes the next Adopt look at all users once more: those who came since, and those about whom the data now
// agree. Who signs in already, and what an admin has decided, stays. So does what is in doubt, until Adopt has ended:
// meanwhile mini programs sign in, and whoever found no Conflict would get an account of their own.
func (s *Store) AdoptAgain(ctx context.Context) error {
	return s.write(ctx, func(tx *txn) error {
		_, err := tx.exec("UPDATE "+s.conflicts.name+" SET reason=? WHERE user_id=?", lookedAtAgain, "")
		if err != nil {
			return err
		}
		return s.dropState(tx, adoptionState)
	})
}

// AdoptionState returns how far the adoption is. Before it has begun that is the zero Adoption.
func (s *Store) AdoptionState(ctx context.Context) (Adoption, error) {
	var a Adoption
	err := s.loadState(s.read(ctx), adoptionState, "", &a)
	return a, ignoreMissing(err)
}

func (s *Store) beginAdoption(ctx context.Context) (Adoption, error) {
	var fresh Adoption
	err := scanOne(s.read(ctx), []any{&fresh.Users}, "SELECT COUNT(*) FROM "+s.users.name)
	if err == nil {
		fresh.Again, err = exists(s.read(ctx), s.identities.name)
	}
	if err == nil {
		err = s.write(ctx, func(tx *txn) error { return s.beginState(tx, adoptionState, fresh, now()) })
	}
	if err != nil {
		return fresh, err
	}
	return s.AdoptionState(ctx)
}

// adoptBatch looks at the next users. The state's row is locked meanwhile: another instance waits, and goes on behind.
func (s *Store) adoptBatch(ctx context.Context) (a Adoption, err error) {
	err = s.write(ctx, func(tx *txn) error {
		a = Adoption{}
		if err := s.loadState(tx, adoptionState, s.dialect.forUpdate, &a); err != nil || a.Done {
			return err
		}
		b := &adopter{Store: s, tx: tx, state: &a, onlyColumn: a.OnlyColumn}
		users, end, err := s.nextUsers(tx, &a)
		if err == nil {
			err = b.adopt(users)
		}
		if err == nil && end {
			err = s.endPass(tx, &a)
		}
		if err != nil {
			return err
		}
		return s.storeState(tx, adoptionState, a, now())
	})
	return a, err
}

// endPass begins the second pass, or ends the adoption. Then what was in doubt before, and is no more, is settled.
func (s *Store) endPass(tx *txn, a *Adoption) error {
	if !a.OnlyColumn && a.Columns > 0 {
		a.Owner, a.Name, a.OnlyColumn = "", "", true
		return nil
	}
	a.Done = true
	_, err := tx.exec("DELETE FROM "+s.conflicts.name+" WHERE user_id=? AND reason=?", "", lookedAtAgain)
	return err
}

// nextUsers reads the users behind the cursor, of one organization, moves it, and reports whether nobody is left.
func (s *Store) nextUsers(tx *txn, a *Adoption) (users []claimant, end bool, err error) {
	registerType := "''" // where an older Casdoor has none
	if s.users.has("register_type") {
		registerType = "register_type"
	}
	err = eachRow(tx, func(rows *sql.Rows) error {
		c, err := scanClaimant(rows)
		users = append(users, c)
		return err
	}, fmt.Sprintf("SELECT owner, name, id, wechat, properties, %s FROM %s WHERE owner=? AND name>? ORDER BY name LIMIT %d",
		registerType, s.users.name, adoptionBatch), a.Owner, a.Name)
	if err != nil {
		return nil, false, err
	}
	if !a.OnlyColumn {
		a.Seen += len(users)
	}
	if len(users) == adoptionBatch {
		a.Name = users[len(users)-1].name
		return users, false, nil
	}
	var next *string
	err = scanOne(tx, []any{&next}, "SELECT MIN(owner) FROM "+s.users.name+" WHERE owner>?", a.Owner)
	if next != nil {
		a.Owner, a.Name = *next, ""
	}
	return users, next == nil, err
}
