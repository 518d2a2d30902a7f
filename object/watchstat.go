package object

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Stat counts the sign-ins of a minute or an hour that went alike: that ended alike and took about as long.
type Stat struct {
	Step         int64  `xorm:"notnull pk"` // seconds
	Began        int64  `xorm:"notnull pk"` // seconds since 1970
	Organization string `xorm:"varchar(100) notnull pk"`
	Application  string `xorm:"varchar(100) notnull pk"`
	Outcome      string `xorm:"varchar(40) notnull pk"`
	Errcode      int    `xorm:"notnull pk"`
	Within       int    `xorm:"notnull pk"` // the step of latencies that they took no longer than
	SignIns      int64  `xorm:"notnull"`
	NewUsers     int64  `xorm:"notnull"`
}

// latencies are the steps; what takes longer than the last is counted behind it.
func latencies() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{
		ms, 2 * ms, 5 * ms, 10 * ms, 20 * ms, 50 * ms, 100 * ms, 200 * ms, 500 * ms,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
	}
}

// count adds an event to the counts of its minute or hour, which are known by their keys.
func count(counts map[Stat]*Stat, e *SignInEvent, step time.Duration) {
	seconds := int64(step / time.Second)
	within, _ := slices.BinarySearch(latencies(), e.Took)
	key := Stat{
		Step: seconds, Began: e.Time.Unix() / seconds * seconds, Organization: e.Organization, Application: e.Application,
		Outcome: e.Outcome, Errcode: e.Errcode, Within: within,
	}
	if counts[key] == nil {
		counts[key] = new(key)
	}
	counts[key].SignIns++
	if e.NewUser {
		counts[key].NewUsers++
	}
}

// addStats adds the counts to those that all instances have stored, in one order for all: else two instances could wait
// for each other.
func (s *Store) addStats(tx *txn, counts map[Stat]*Stat) error {
	rows := slices.SortedFunc(maps.Values(counts), func(a, b *Stat) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Began, b.Began), cmp.Compare(a.Organization, b.Organization),
			cmp.Compare(a.Application, b.Application), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Errcode, b.Errcode),
			cmp.Compare(a.Within, b.Within))
	})
	_, err := s.stats.insertAll(tx, rows, s.dialect.orAdd(s.stats.name,
		[]string{"step", "began", "organization", "application", "outcome", "errcode", "within"},
		[]string{"sign_ins", "new_users"}))
	return err
}
