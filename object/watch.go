package object

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"
)

// Sign-ins are watched off their way: they leave a line in memory, and once a second all lines go to the database
// together, to the log of single sign-ins and to the counts that the statistics are drawn from. When the database is
// down, or there are too many, lines are lost and counted; no sign-in ever waits for its line.

// SignInEvent is a mini program's sign-in, done or refused.
type SignInEvent struct {
	Time         time.Time // of the answer
	Organization string    // this and the next two: empty where the request named none that exists
	Application  string
	Provider     string
	Outcome      string // ok, or OAuth's error
	Errcode      int    // of the platform; 0: none
	User         string // name of the user; empty: nobody signed in
	NewUser      bool   // the sign-in made the user
	Took         time.Duration
	ClientIP     string
	RequestID    string

	unlisted bool // it is counted only
}

// SignedIn is the Outcome of a sign-in that was answered with a token.
const SignedIn = "ok"

// WatchConfig says how to watch. The zero value of a field means what its comment says.
type WatchConfig struct {
	Every  time.Duration   // from one write to the next; 0: a second
	Room   int             // for lines that wait; 0: 10,000
	Lost   func(lines int) // hears of lines that were lost; nil: nobody
	Logger *slog.Logger    // nil: silent
}

// Watch collects what sign-ins leave. A nil *Watch collects nothing. It is safe for concurrent use.
type Watch struct {
	store *Store
	WatchConfig

	mu      sync.Mutex
	lines   []SignInEvent
	refused int           // of lines
	spare   []SignInEvent // written already, to be filled next
	lost    int
	failed  bool // the last write; only the writer looks
}

// NewWatch returns a Watch that writes to the store while it runs.
func NewWatch(store *Store, cfg WatchConfig) *Watch {
	cfg.Every = cmp.Or(cfg.Every, time.Second)
	cfg.Room = cmp.Or(cfg.Room, 10_000)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Lost == nil {
		cfg.Lost = func(int) {}
	}
	return &Watch{store: store, WatchConfig: cfg}
}

// maxRefused bounds the refused sign-ins from one write to the next that get lines in the log: somebody may send as
// many as they like. The others are counted only.
const maxRefused = 200

// Add leaves a line, unless there are too many. It never waits for the database.
func (w *Watch) Add(e SignInEvent) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines) >= w.Room {
		w.lost++
		return
	}
	if e.Outcome != SignedIn {
		w.refused++
		e.unlisted = w.refused > maxRefused
	}
	e.Errcode = min(max(e.Errcode, math.MinInt32), math.MaxInt32) // one that fits no column would take other lines along
	w.lines = append(w.lines, e)
}

// flushPatience is how long the lines of one Flush may take: a connection may be dead without a word.
const flushPatience = 5 * time.Second

// Run writes until ctx ends, and then what is left.
func (w *Watch) Run(ctx context.Context) {
	lasting := context.WithoutCancel(ctx)
	for sleep(ctx, w.Every) {
		w.Flush(lasting)
	}
	w.Flush(lasting)
}

// linesAtOnce bounds the lines of one transaction, for which sign-ins may have to wait: one INSERT.
const linesAtOnce = rowsAtOnce

// Flush writes the lines that wait. Those that cannot be written in flushPatience are lost. One Flush at a time.
func (w *Watch) Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	w.mu.Lock()
	lines, lost := w.lines, w.lost
	w.lines, w.spare, w.lost, w.refused = w.spare[:0], nil, 0, 0
	w.mu.Unlock()
	for part := range slices.Chunk(lines, linesAtOnce) {
		err := w.store.write(ctx, func(tx *txn) error { return w.store.insertSignIns(tx, part) })
		if err != nil {
			lost += len(part)
		}
		if err != nil && !w.failed {
			w.Logger.WarnContext(ctx, "the sign-in log loses lines", "cause", err)
		}
		w.failed = err != nil
	}
	if lost > 0 {
		w.Lost(lost)
	}
	clear(lines)
	w.mu.Lock()
	w.spare = lines[:0]
	w.mu.Unlock()
}

// Log is a line of the log of sign-ins.
type Log struct {
	ID           string `xorm:"id varchar(36) notnull pk"` // see idAt
	Time         string `xorm:"varchar(30) notnull"`       // RFC 3339 with milliseconds
	Organization string `xorm:"varchar(100) notnull index(who)"`
	UserName     string `xorm:"varchar(100) notnull index(who)"`
	Application  string `xorm:"varchar(100) notnull"`
	Provider     string `xorm:"varchar(100) notnull"`
	Outcome      string `xorm:"varchar(40) notnull"`
	Errcode      int    `xorm:"notnull"`
	NewUser      bool   `xorm:"notnull"`
	TookMs       int64  `xorm:"notnull"`
	ClientIP     string `xorm:"client_ip varchar(100) notnull"`
	RequestID    string `xorm:"request_id varchar(64) notnull"`
}

func (e *SignInEvent) row() *Log {
	return &Log{
		ID: idAt(e.Time), Time: e.Time.UTC().Format(logTime), Organization: e.Organization, UserName: e.User,
		Application: e.Application, Provider: e.Provider, Outcome: e.Outcome, Errcode: e.Errcode, NewUser: e.NewUser,
		TookMs: e.Took.Milliseconds(), ClientIP: e.ClientIP, RequestID: e.RequestID,
	}
}

func (l *Log) event() SignInEvent {
	at, _ := time.Parse(logTime, l.Time) // as it was written
	return SignInEvent{
		Time: at, Organization: l.Organization, User: l.UserName, Application: l.Application, Provider: l.Provider,
		Outcome: l.Outcome, Errcode: l.Errcode, NewUser: l.NewUser, Took: time.Duration(l.TookMs) * time.Millisecond,
		ClientIP: l.ClientIP, RequestID: l.RequestID,
	}
}

const logTime = "2006-01-02T15:04:05.000Z07:00"

func (s *Store) insertSignIns(tx *txn, events []SignInEvent) error {
	var rows []*Log
	counts := map[Stat]*Stat{}
	for i := range events {
		e := &events[i]
		if !e.unlisted {
			rows = append(rows, e.row())
		}
		for _, step := range []time.Duration{time.Minute, time.Hour} {
			count(counts, e, step)
		}
	}
	if _, err := s.logs.insertAll(tx, rows, ""); err != nil {
		return err
	}
	return s.addStats(tx, counts)
}
