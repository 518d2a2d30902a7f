package object

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
)

// Limits of Ping: anybody may ask how the server is, as often as they like.
const (
	pingAge      = time.Second // how long an outcome counts
	pingPatience = 5 * time.Second
)

// pings are what those who ask share.
type pings struct {
	flight singleflight.Group
	last   error // this and the next are those of the one who pings
	until  time.Time
}

// Ping reports whether the database, or the Casdoor in its place, answers, or did so within the last second.
func (s *Service) Ping(ctx context.Context) error {
	answer := s.pings.flight.DoChan("", func() (_ any, err error) {
		defer recovered(&err)
		if s.now().Before(s.pings.until) {
			return nil, s.pings.last
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingPatience)
		defer cancel()
		s.pings.last = s.directory.Ping(ctx)
		s.pings.until = s.now().Add(pingAge)
		return nil, s.pings.last
	})
	select {
	case a := <-answer:
		return a.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
