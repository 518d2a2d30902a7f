package object

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"
)

// A sweep deletes what nobody can use any more: the rows of tokens that have expired, access and refresh token both,
// the sessions and uploads of users who are gone, and what is kept for some time only, such as the log of sign-ins. It
// goes through the tables by their keys, a batch at a time with a pause behind each, and remembers where it is. Of
// several instances one sweeps; when it dies another one goes on.

// SweeperConfig says how to sweep. The zero value of a field means what its comment says.
type SweeperConfig struct {
	Every  time.Duration                  // from one sweep to the next; required
	Margin time.Duration                  // how long what has expired is kept; 0: an hour
	Batch  int                            // rows that are looked at, and deleted, at once; 0: 200
	Pause  time.Duration                  // behind each batch; 0: 50 ms
	Now    func() time.Time               // nil: time.Now
	Swept  func(table string, rows int64) // hears what was deleted; nil: nobody
	Logger *slog.Logger                   // nil: silent
}

// Sweeper sweeps a Store.
type Sweeper struct {
	*Store
	SweeperConfig
	holder string // who claims, among the instances
}

const (
	sweepState = "sweep"
	sweepClaim = time.Minute // how long an instance that is not heard of holds the claim
	sweepRenew = sweepClaim / 4
)

// NewSweeper returns a Sweeper of the store.
func NewSweeper(store *Store, cfg SweeperConfig) *Sweeper {
	cfg.Margin = cmp.Or(cfg.Margin, time.Hour)
	cfg.Batch = cmp.Or(cfg.Batch, 200)
	cfg.Pause = cmp.Or(cfg.Pause, 50*time.Millisecond)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Swept == nil {
		cfg.Swept = func(string, int64) {}
	}
	return &Sweeper{store, cfg, newID()}
}

// Run sweeps at once and then again and again until ctx ends. An error is logged; the next sweep goes on from there.
func (s *Sweeper) Run(ctx context.Context) {
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "the sweep goes on later", "cause", err)
		}
		// Those who wait for a sweep of another instance look whether it lives.
		if !sleep(ctx, min(s.Every, sweepClaim)) {
			return
		}
	}
}

// sweepProgress is what the instances share of a sweep.
type sweepProgress struct {
	Holder string    `json:"holder"` // the instance that sweeps; empty: none
	Until  time.Time `json:"until"`  // how long it has the claim, or before when no sweep begins
	Table  int       `json:"table"`  // the one of tables that it is in
	Cursor []string  `json:"cursor"` // the key of the last row that it has looked at
}

// sweptTable is a table that is swept. next looks at the rows behind the cursor, deletes those that are to go, and
// returns the cursor behind them, or nil at the end.
type sweptTable struct {
	name string
	next func(ctx context.Context, cursor []string) (behind []string, deleted int64, err error)
}

// Sweep sweeps once, unless another instance does or the last sweep is not long enough ago.
func (s *Sweeper) Sweep(ctx context.Context) error {
	progress, tables, err := s.begin(ctx)
	if err != nil || tables == nil {
		return err
	}
	for progress.Table < len(tables) {
		if err := s.sweepTable(ctx, tables[progress.Table], progress); err != nil {
			return err
		}
		progress.Table, progress.Cursor = progress.Table+1, nil
	}
	return s.keep(ctx, &sweepProgress{Until: s.Now().Add(s.Every)})
}

// begin returns where to go on, and the tables to sweep; none when it is not for this instance to sweep.
func (s *Sweeper) begin(ctx context.Context) (*sweepProgress, []sweptTable, error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	progress, mine, err := s.claim(ctx)
	if err != nil || !mine {
		return nil, nil, err
	}
	tokens, err := s.tokenSweep(ctx)
	if err != nil {
		return nil, nil, err
	}
	old, err := s.oldRows(ctx)
	return progress, append([]sweptTable{{"token", tokens.next}, {"session", s.nextSessions}}, old...), err
}

// patient bounds a step: a connection may be dead without a word. Who takes longer has lost the claim.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, sweepClaim)
}

func (s *Sweeper) sweepTable(ctx context.Context, t sweptTable, progress *sweepProgress) error {
	for {
		batch, cancel := patient(ctx)
		behind, deleted, err := t.next(batch, progress.Cursor)
		cancel()
		if err != nil {
			return err
		}
		if deleted > 0 {
			s.Swept(t.name, deleted)
		}
		if behind == nil {
			return nil
		}
		progress.Cursor = behind
		if s.Now().After(progress.Until.Add(sweepRenew - sweepClaim)) {
			progress.Until = s.Now().Add(sweepClaim)
			if err := s.keep(ctx, progress); err != nil {
				return err
			}
		}
		if !sleep(ctx, s.Pause) {
			return ctx.Err()
		}
	}
}

// claim makes this instance the one that sweeps, and returns where to go on.
func (s *Sweeper) claim(ctx context.Context) (progress *sweepProgress, mine bool, err error) {
	err = s.write(ctx, func(tx *txn) error {
		progress, mine = &sweepProgress{}, false
		err := s.loadState(tx, sweepState, s.dialect.forUpdate, progress)
		if ignoreMissing(err) != nil {
			return err
		}
		now := s.Now()
		// A claim that lasts longer than any of ours is of a wrong clock, or of a server that was to sweep seldom: it
		// is void.
		left, longest := progress.Until.Sub(now), s.Every+sweepClaim
		if left > 0 && left <= longest && progress.Holder != s.holder {
			return nil
		}
		progress.Holder, progress.Until, mine = s.holder, now.Add(sweepClaim), true
		return s.storeState(tx, sweepState, progress, timestamp(now))
	})
	return progress, mine, err
}

// errClaimLost means that another instance sweeps, since this one was not heard of for too long.
var errClaimLost = errors.New("another instance sweeps")

// keep stores how far this instance is.
func (s *Sweeper) keep(ctx context.Context, progress *sweepProgress) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	return s.write(ctx, func(tx *txn) error {
		var stored sweepProgress
		if err := s.loadState(tx, sweepState, s.dialect.forUpdate, &stored); err != nil {
			return err
		}
		if stored.Holder != s.holder {
			return errClaimLost
		}
		return s.storeState(tx, sweepState, progress, timestamp(s.Now()))
	})
}
