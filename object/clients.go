package object

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// clients finds applications by their client ids, of which Casdoor has no index. All are read for one that is new or
// has moved, together for all who ask for such at that time; any other is where it was last seen.
type clients struct {
	store *Store
	seen  atomic.Pointer[sight]
	looks *queue[struct{}]
}

// sight is what a look has seen, which began then.
type sight struct {
	began time.Time
	names map[string]rowName // by the client ids
}

// rowName is what a row of Casdoor's is known by.
type rowName struct{ owner, name string }

func newClients(s *Store) *clients {
	c := &clients{store: s}
	c.seen.Store(new(sight))
	const most = 1 << 20 // one look answers everybody
	c.looks = newQueue(1, most, c.look)
	c.looks.free = true
	return c
}

// find returns the application with a client id, for one who has come at that time, or ErrNotFound. Of two it is
// the one that was seen first, until that has moved.
func (c *clients) find(ctx context.Context, came time.Time, clientID string) (*sdk.Application, error) {
	app, err := c.whereSeen(ctx, clientID)
	if !errors.Is(err, ErrNotFound) {
		return app, err
	}
	if !c.seen.Load().began.After(came) {
		if err := c.looks.do(ctx, struct{}{}); err != nil {
			return nil, err
		}
	}
	return c.whereSeen(ctx, clientID)
}

func (c *clients) whereSeen(ctx context.Context, clientID string) (*sdk.Application, error) {
	id, known := c.seen.Load().names[clientID]
	if !known {
		return nil, ErrNotFound
	}
	app, err := c.store.applications.named(c.store.read(ctx), id.owner, id.name)
	if err == nil && app.ClientId != clientID {
		return nil, ErrNotFound
	}
	return app, err
}

// A look rests for nine times as long as it took, but no longer than a second: whoever makes client ids up is not to
// keep the database at it.
const (
	lookRest    = 9
	maxLookRest = time.Second
)

// look sees where all applications are.
func (c *clients) look(batch []*job[struct{}]) {
	ctx, cancel := untilLast(batch, lookupPatience)
	defer cancel()
	found := sight{time.Now(), map[string]rowName{}}
	err := eachRow(c.store.read(ctx), func(rows *sql.Rows) error {
		var clientID sql.NullString
		var id rowName
		err := rows.Scan(&clientID, &id.owner, &id.name)
		if _, taken := found.names[clientID.String]; !taken {
			found.names[clientID.String] = id
		}
		return err
	}, "SELECT client_id, owner, name FROM "+c.store.applications.name+" ORDER BY owner, name")
	if err == nil {
		c.seen.Store(&found)
	}
	took := time.Since(found.began)
	for _, j := range batch {
		j.done <- err
	}
	if err == nil { // else the next one is not to wait for longer
		time.Sleep(min(lookRest*took, maxLookRest))
	}
}
