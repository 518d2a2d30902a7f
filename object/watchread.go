package object

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"
)

// LogQuery selects sign-ins. The zero value of a field means what its comment says.
type LogQuery struct {
	Organization string    // empty: all that the caller may see
	Outcome      string    // "failed": all but ok; empty: any
	Errcode      int       // 0: any
	User         string    // empty: any
	From, To     time.Time // zero: no bound
	After        string    // goes on behind an earlier answer, as that said; empty: from the newest on
	Limit        int       // 0: 100; at most 1000
}

// SignInEntry is a line of the log of sign-ins.
type SignInEntry struct {
	ID string
	SignInEvent
}

// SignIns returns lines of the log that the caller may see, the newest first, and the After that goes on behind them;
// empty at the end.
func (a *Authority) SignIns(ctx context.Context, c *Caller, q LogQuery) (entries []SignInEntry, next string, err error) {
	organization, err := a.watched(c, q.Organization)
	if err != nil {
		return nil, "", err
	}
	q.Organization = organization
	limit := min(cmp.Or(q.Limit, 100), maxPageSize)
	logs := a.tables.logs
	from, args := q.selection().from(logs.name, "")
	rows, err := logs.findColumns(a.tables.read(ctx), logs.columns,
		fmt.Sprintf("%s ORDER BY id DESC LIMIT %d", from, limit), args...)
	if err != nil {
		return nil, "", err
	}
	for _, r := range rows {
		entries = append(entries, SignInEntry{r.ID, r.event()})
	}
	if len(rows) == limit {
		next = rows[limit-1].ID
	}
	return entries, next, nil
}

// watched returns the organization whose sign-ins the caller may see: of all, where it is empty.
func (a *Authority) watched(c *Caller, organization string) (string, error) {
	if organization == "" && c.Role != Global {
		organization = c.Organization
	}
	return organization, c.check("get-sign-ins", home{organization: organization})
}

func (q LogQuery) selection() *selection {
	s := &selection{}
	if q.Organization != "" {
		s.add("organization=?", q.Organization)
	}
	switch q.Outcome {
	case "":
	case "failed":
		s.add("outcome<>?", SignedIn)
	default:
		s.add("outcome=?", q.Outcome)
	}
	if q.Errcode != 0 {
		s.add("errcode=?", q.Errcode)
	}
	if q.User != "" {
		s.add("user_name=?", q.User)
	}
	if !q.From.IsZero() {
		s.add("id>=?", idPrefix(q.From))
	}
	if !q.To.IsZero() {
		s.add("id<?", idPrefix(q.To))
	}
	if q.After != "" {
		s.add("id<?", q.After)
	}
	return s
}

// Statistics are the sign-ins of a span of time, ready to draw.
type Statistics struct {
	Step    time.Duration // from one point to the next
	Points  []StatPoint   // without gaps, the oldest first
	SignIns int64
	Users   int64

	// Causes say why the others failed: OAuth's error, with the platform's errcode behind a space where there is one.
	Causes map[string]int64
}

// StatPoint is what happened between its time and the next point's.
type StatPoint struct {
	Time     time.Time
	SignIns  int64 // that were answered with a token
	NewUsers int64
	Failures map[string]int64 // by cause, as in Statistics; nil: none
	P50Ms    float64          // how long half of SignIns took at most; 0 where there were none
	P99Ms    float64

	took []int64 // SignIns by latencies
}

// Statistics returns those of the span until now, of the organization that the caller may see: an hour by minutes, a
// day by quarters of an hour, and what is longer by six hours.
func (a *Authority) Statistics(ctx context.Context, c *Caller, span time.Duration) (*Statistics, error) {
	organization, err := a.watched(c, "")
	if err != nil {
		return nil, err
	}
	const day = 24 * time.Hour
	stored, step := time.Minute, time.Minute
	switch {
	case span > day:
		stored, step = time.Hour, 6*time.Hour
	case span > time.Hour:
		step = 15 * time.Minute
	}
	s := newStatistics(a.now(), min(max(span, time.Minute), statLife), step)
	return s, a.tables.readStats(ctx, s, stored, organization)
}

func newStatistics(now time.Time, span, step time.Duration) *Statistics {
	s := &Statistics{Step: step, Causes: map[string]int64{}}
	last := now.UTC().Truncate(step)
	for i := int(span/step) - 1; i >= 0; i-- {
		s.Points = append(s.Points, StatPoint{
			Time: last.Add(-time.Duration(i) * step), took: make([]int64, len(latencies())+1),
		})
	}
	return s
}

func (s *Store) readStats(ctx context.Context, into *Statistics, stored time.Duration, organization string) error {
	selected := &selection{}
	selected.add("step=?", int64(stored/time.Second))
	selected.add("began>=?", into.Points[0].Time.Unix())
	if organization != "" {
		selected.add("organization=?", organization)
	}
	from, args := selected.from(s.stats.name, "")
	err := eachRow(s.read(ctx), func(rows *sql.Rows) error {
		var r Stat
		if err := rows.Scan(&r.Began, &r.Outcome, &r.Errcode, &r.Within, &r.SignIns, &r.NewUsers); err != nil {
			return err
		}
		into.add(&r)
		return nil
	}, "SELECT began, outcome, errcode, within, SUM(sign_ins), SUM(new_users) FROM "+
		from+" GROUP BY began, outcome, errcode, within", args...)
	for i := range into.Points {
		p := &into.Points[i]
		p.P50Ms, p.P99Ms = quantile(p.took, p.SignIns, .5), quantile(p.took, p.SignIns, .99)
	}
	return err
}

// add adds a count to its point. What another instance's clock has put into the future is left out.
func (s *Statistics) add(r *Stat) {
	i := int(time.Unix(r.Began, 0).Sub(s.Points[0].Time) / s.Step)
	if i >= len(s.Points) {
		return
	}
	p := &s.Points[i]
	if r.Outcome != SignedIn {
		cause := r.Outcome
		if r.Errcode != 0 {
			cause = fmt.Sprintf("%s %d", cause, r.Errcode)
		}
		if p.Failures == nil {
			p.Failures = map[string]int64{}
		}
		p.Failures[cause] += r.SignIns
		s.Causes[cause] += r.SignIns
		return
	}
	p.SignIns, s.SignIns = p.SignIns+r.SignIns, s.SignIns+r.SignIns
	p.NewUsers, s.Users = p.NewUsers+r.NewUsers, s.Users+r.NewUsers
	if r.Within >= 0 && r.Within < len(p.took) {
		p.took[r.Within] += r.SignIns
	}
}

// quantile returns how many milliseconds a share of all took at most, as far as the steps of latencies tell.
func quantile(took []int64, all int64, share float64) float64 {
	ms := func(step int) float64 {
		if step < 0 {
			return 0
		}
		steps := latencies()
		return float64(steps[min(step, len(steps)-1)]) / float64(time.Millisecond)
	}
	want := share * float64(all)
	for step, n := range took {
		if n > 0 && want <= float64(n) {
			return ms(step-1) + (ms(step)-ms(step-1))*want/float64(n)
		}
		want -= float64(n)
	}
	return 0
}
