package object

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"time"
)

// lookup finds rows by a key. Those who ask at the same time share a query, which costs more than what it reads: the
// way to a server or, with SQLite, a deep stack, of which thousands would take much memory.
type lookup[V any] struct {
	store *Store
	texts []string                               // of the query: see text
	fresh func(key *string) (row *V, dest []any) // returns a new row and where to scan it to, behind its key
	asks  *queue[*question[V]]
	alone bool // as lookupQuery has it

	patience time.Duration // with a query
}

// question is what one caller of find asks for.
type question[V any] struct {
	key    string
	within []any
	found  *V    // the answer; nil: there is no such row
	err    error // why the row cannot be read, which is not the others' misfortune
}

// lookupQuery is what a lookup selects.
type lookupQuery struct {
	columns string
	table   string
	alias   string   // of table, everywhere here
	join    string   // what is joined to it
	key     string   // a column of table
	within  []string // other columns of table, for which those who share a query have the same values
	alone   bool     // there must be no second row for a key: see errTwice
}

// maxLookup bounds those who share a query.
const maxLookup = 32

// lookupPatience bounds a query: when the database is silent, others wait behind it.
const lookupPatience = 5 * time.Second

func newLookup[V any](s *Store, q lookupQuery, fresh func(key *string) (*V, []any)) *lookup[V] {
	l := &lookup[V]{store: s, fresh: fresh, alone: q.alone, patience: lookupPatience}
	within := ""
	for _, column := range q.within {
		within += fmt.Sprintf(" AND %s.%s=?", q.alias, column)
	}
	key := q.alias + "." + q.key
	if s.dialect.driver == "pgx" {
		found := fmt.Sprintf("SELECT * FROM %s %s WHERE %s=k.asked%s LIMIT 1", q.table, q.alias, key, within)
		// Behind the SELECT PostgreSQL does not see how many keys there are, which would make it plan anew each time.
		l.texts = []string{fmt.Sprintf("SELECT k.asked, %s FROM unnest((SELECT CAST(? AS text[]))) k(asked) "+
			"JOIN LATERAL (%s) %s ON TRUE %s", q.columns, found, q.alias, q.join)}
	} else {
		for n := 1; n <= maxLookup; n *= 2 {
			l.texts = append(l.texts, fmt.Sprintf("SELECT %s, %s FROM %s %s %s WHERE %s IN %s%s",
				key, q.columns, q.table, q.alias, q.join, key, placeholders(n), within))
		}
	}
	batches := serverBatches
	if s.dialect.driver == "sqlite" {
		batches = max(1, runtime.GOMAXPROCS(0)/2) // it works here: the fewer at a time, the more share one
	}
	l.asks = newQueue(batches, maxLookup, l.answer)
	l.asks.free = true
	return l
}

// errTwice means that two rows have a key, of which find returns one.
var errTwice = errors.New("two rows have the key")

// find returns the row with that key within those values, or ErrNotFound.
func (l *lookup[V]) find(ctx context.Context, key string, within ...any) (*V, error) {
	q := &question[V]{key: key, within: within}
	if err := l.asks.do(ctx, q); err != nil {
		return nil, err
	}
	if q.found == nil && q.err == nil {
		return nil, ErrNotFound
	}
	return q.found, q.err
}

// answer answers a batch with one query, if all of it is within the same values.
func (l *lookup[V]) answer(batch []*job[*question[V]]) {
	for len(batch) > 0 {
		var now, later []*job[*question[V]]
		for _, j := range batch {
			if slices.Equal(j.ask.within, batch[0].ask.within) {
				now = append(now, j)
			} else {
				later = append(later, j)
			}
		}
		err := l.answerAll(now)
		for _, j := range now {
			j.done <- err
		}
		batch = later
	}
}

func (l *lookup[V]) answerAll(batch []*job[*question[V]]) error {
	ctx, cancel := untilLast(batch, l.patience)
	defer cancel()
	var keys []string
	byKey := map[string][]*question[V]{}
	for _, j := range batch {
		if len(byKey[j.ask.key]) == 0 {
			keys = append(keys, j.ask.key)
		}
		byKey[j.ask.key] = append(byKey[j.ask.key], j.ask)
	}
	text, args := l.text(keys)
	rows, err := l.store.read(ctx).query(text, append(args, batch[0].ask.within...)...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		key, row, err := l.scan(rows)
		if err != nil && len(byKey[key]) == 0 {
			return err
		}
		for i, q := range byKey[key] {
			if i > 0 { // each gets a row of its own
				_, row, err = l.scan(rows)
			}
			switch {
			case l.alone && q.found != nil:
				q.err = errTwice
			case err != nil:
				q.err = err
			default:
				q.found, q.err = row, nil
			}
		}
	}
	return rows.Err()
}

// scan scans a row, and its key where the rest is damaged, too. The row is nil then.
func (l *lookup[V]) scan(rows *sql.Rows) (key string, row *V, err error) {
	row, dest := l.fresh(&key)
	if err = rows.Scan(dest...); err != nil {
		row = nil
	}
	return key, row, err
}

// text returns the query for keys, and their arguments. PostgreSQL takes them as one; for the others there is a form
// for each power of two, and the last key stands more than once.
func (l *lookup[V]) text(keys []string) (text string, args []any) {
	if l.store.dialect.driver == "pgx" {
		return l.texts[0], []any{keys}
	}
	form := bits.Len(uint(len(keys) - 1))
	for i := range 1 << form {
		args = append(args, keys[min(i, len(keys)-1)])
	}
	return l.texts[form], args
}
