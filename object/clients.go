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
	seen  atomic.Pointer[map[string]rowName]
	looks *queue[struct{}]
}

// rowName is what a row of Casdoor's is known by.
type rowName struct{ owner, name string }

func newClients(s *Store) *clients {
	c := &clients{store: s}
	c.seen.Store(&map[string]rowName{})
	const most = 1 << 20 // one look answers everybody
	c.looks = newQueue(1, most, c.look)
	c.looks.free = true
	return c
}

// find returns the application with a client id, or ErrNotFound. Of two the first in the table has it, as for Casdoor.
func (c *clients) find(ctx context.Context, clientID string) (*sdk.Application, error) {
	app, err := c.whereSeen(ctx, clientID)
	if !errors.Is(err, ErrNotFound) {
		return app, err
	}
	if err := c.looks.do(ctx, struct{}{}); err != nil {
		return nil, err
	}
	return c.whereSeen(ctx, clientID)
}

func (c *clients) whereSeen(ctx context.Context, clientID string) (*sdk.Application, error) {
	id, known := (*c.seen.Load())[clientID]
	if !known {
		return nil, ErrNotFound
	}
	app, err := c.store.applications.named(c.store.read(ctx), id.owner, id.name)
	if err == nil && app.ClientId != clientID {
		return nil, ErrNotFound
	}
	return app, err
}

// clientsShare is which part of the time the applications are looked through at most, however many client ids
// strangers make up.
const clientsShare = 10

// look sees where all applications are.
func (c *clients) look(batch []*job[struct{}]) {
	ctx, cancel := untilLast(batch, cachePatience)
	defer cancel()
	begin := time.Now()
	seen := map[string]rowName{}
	err := eachRow(c.store.read(ctx), func(rows *sql.Rows) error {
		var clientID sql.NullString
		var id rowName
		err := rows.Scan(&clientID, &id.owner, &id.name)
		if _, taken := seen[clientID.String]; !taken {
			seen[clientID.String] = id
		}
		return err
	}, "SELECT client_id, owner, name FROM "+c.store.applications.name)
	if err == nil {
		c.seen.Store(&seen)
	}
	rest := min((clientsShare-1)*time.Since(begin), time.Second)
	for _, j := range batch {
		j.done <- err
	}
	time.Sleep(rest)
}
