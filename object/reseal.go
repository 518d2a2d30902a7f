package object

import (
	"context"
	"errors"
)

// Resealing is what Reseal has done.
type Resealing struct {
	Seen     int            // sessions
	Resealed int            // with the first key
	Damaged  int            // that the key which they name does not open; left as they are
	Unknown  map[string]int // by the id of a key that the Sealer lacks; left as they are
}

const resealBatch = 1000

// Reseal seals the SessionKeys anew that another key than the sealer's first one has sealed, so that old keys can be
// given up. Sign-ins go on meanwhile. Stopped, it may be started again. progress, which may be nil, is called after
// each batch.
func (s *Store) Reseal(ctx context.Context, sealer *Sealer, progress func(Resealing)) (Resealing, error) {
	r := Resealing{Unknown: map[string]int{}}
	for cursor := []string(nil); ; {
		sessions, behind, err := s.sessionsBehind(ctx, cursor, resealBatch)
		if err == nil {
			err = s.resealBatch(ctx, sealer, sessions, &r)
		}
		if err != nil {
			return r, err
		}
		if progress != nil && len(sessions) > 0 {
			progress(r)
		}
		if cursor = behind; cursor == nil {
			return r, nil
		}
	}
}

// resealBatch writes the sessions that have to be sealed anew in one transaction, and counts all of them. One whose
// user has signed in since has a new key already, and stays.
func (s *Store) resealBatch(ctx context.Context, sealer *Sealer, sessions []*Session, r *Resealing) error {
	type change struct{ old, next *Session }
	var changes []change
	for _, old := range sessions {
		r.Seen++
		if !sealer.knows(old.KeyID) {
			r.Unknown[old.KeyID]++
			continue
		}
		if old.KeyID == sealer.keys[0].id {
			continue
		}
		id := Identity{Organization: old.Organization, AppID: old.AppID, OpenID: old.OpenID}
		key, err := sealer.open(id, old.SealedKey, old.KeyID)
		if err != nil {
			r.Damaged++
			continue
		}
		next := *old
		next.SealedKey, next.KeyID = sealer.seal(id, key)
		changes = append(changes, change{old, &next})
	}
	if len(changes) == 0 {
		return nil
	}
	err := s.write(ctx, func(tx *txn) error {
		for _, c := range changes {
			if _, err := s.sessions.update(tx, c.next, []string{"sealed_key", "key_id"},
				"organization=? AND app_id=? AND open_id=? AND sealed_key=?",
				c.old.Organization, c.old.AppID, c.old.OpenID, c.old.SealedKey); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.Resealed += len(changes)
	}
	return err
}

// LacksKey reports whether SessionKeys are sealed with a key that the sealer does not have. It looks at one of them.
func (s *Store) LacksKey(ctx context.Context, sealer *Sealer) (bool, error) {
	session, err := s.sessions.get(s.read(ctx), "LIMIT 1")
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && !sealer.knows(session.KeyID), err
}
