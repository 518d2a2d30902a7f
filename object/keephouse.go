package object

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

const (
	eventLife     = 24 * time.Hour // far longer than any platform delivers a message again
	choreInterval = 10 * time.Minute
)

// KeepHouse does what nobody waits for, until ctx ends: it deletes the token rows of closed accounts, late lines of the
// log of those who are gone and the files of former avatars, also those that an earlier process left behind, and
// forgets pushed messages that are a day old. Each instance may run it.
func (s *Service) KeepHouse(ctx context.Context) {
	if s.tables == nil {
		return
	}
	ticker := time.NewTicker(choreInterval)
	defer ticker.Stop()
	for {
		round, cancel := context.WithTimeout(ctx, choreInterval) // a connection may be dead without a word
		err := s.DoChores(round)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "housekeeping goes on later", "cause", err)
		}
		select {
		case <-s.chores:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// wake has KeepHouse look again at once.
func (s *Service) wake() {
	select {
	case s.chores <- struct{}{}:
	default:
	}
}

// DoChores is one round of KeepHouse.
func (s *Service) DoChores(ctx context.Context) error {
	if s.tables == nil {
		return nil
	}
	return errors.Join(s.sweepUploads(ctx), s.endRememberedTokens(ctx), s.forgetLateLines(ctx), s.forgetEvents(ctx))
}

func (s *Service) forgetEvents(ctx context.Context) error {
	before := timestamp(s.now().Add(-eventLife))
	return s.tables.write(ctx, func(tx *txn) error {
		_, err := tx.exec("DELETE FROM "+s.tables.events.name+" WHERE created_time<?", before)
		if err == nil {
			_, err = tx.exec("DELETE FROM "+s.tables.media.name+" WHERE updated_time<?", before)
		}
		return err
	})
}

// endTokens is the chore to delete a user's token rows.
type endTokens struct {
	Organization string `json:"organization"`
	User         string `json:"user"`
}

const endTokensState = "end-tokens/"

// remember stores the chore, for this process or the next.
func (t *tables) remember(tx *txn, e endTokens, stamp string) error {
	return t.beginState(tx, endTokensState+digest(e.Organization+"/"+e.User), e, stamp)
}

func (s *Service) endRememberedTokens(ctx context.Context) error {
	return eachChore(ctx, s, endTokensState, "", nil, func(e endTokens) error {
		names, err := s.tokensOf(ctx, e.Organization, e.User, 0)
		if err != nil {
			return err
		}
		// Few in each transaction, so that no sign-in waits long.
		for part := range slices.Chunk(names, 100) {
			if err := s.tables.write(ctx, func(tx *txn) error { return s.tables.deleteTokens(tx, part) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// lateLines is the chore to delete a user's lines in the log of sign-ins once more: the last ones before the user went
// may have been on their way then, in the memory of any instance.
type lateLines struct {
	Organization string `json:"organization"`
	User         string `json:"user"`
	Until        string `json:"until"` // as in Log.Time
}

const (
	lateLinesState = "late-lines/"
	lineDelay      = time.Minute // far longer than a line is on its way
)

// rememberLines stores the chore, for this process or another one.
func (s *Service) rememberLines(tx *txn, user *sdk.User) error {
	now := s.now()
	return s.tables.storeState(tx, lateLinesState+digest(user.GetId()),
		lateLines{user.Owner, user.Name, now.UTC().Format(logTime)}, timestamp(now))
}

func (s *Service) forgetLateLines(ctx context.Context) error {
	before := timestamp(s.now().Add(-lineDelay))
	return eachChore(ctx, s, lateLinesState, " AND updated_time<? LIMIT 500", []any{before}, func(l lateLines) error {
		return s.tables.write(ctx, func(tx *txn) error {
			_, err := tx.exec("DELETE FROM "+s.tables.logs.name+" WHERE organization=? AND user_name=? AND "+
				s.tables.dialect.quote("time")+"<=?", l.Organization, l.User, l.Until)
			return err
		})
	})
}

// eachChore calls do with each chore of a kind, of which rest may leave out some, and forgets it when it is done, unless
// it has been remembered anew meanwhile.
func eachChore[C any](ctx context.Context, s *Service, kind, rest string, args []any, do func(C) error) error {
	args = append([]any{kind + "%"}, args...)
	rows, err := s.tables.states.find(s.tables.read(ctx), "WHERE name LIKE ?"+rest, args...)
	if err != nil {
		return err
	}
	for _, row := range rows {
		var chore C
		if !strings.HasPrefix(row.Name, kind) || json.Unmarshal([]byte(row.Value), &chore) != nil {
			continue
		}
		if err := do(chore); err != nil {
			return err
		}
		err := s.tables.write(ctx, func(tx *txn) error {
			_, err := tx.exec("DELETE FROM "+s.tables.states.name+" WHERE name=? AND updated_time=?", row.Name, row.UpdatedTime)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
