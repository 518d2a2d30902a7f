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
	_, err := together(ctx, &s.pings.flight, "", pingPatience, func(ctx context.Context) (struct{}, error) {
		if !s.now().Before(s.pings.until) {
			s.pings.last = s.directory.Ping(ctx)
			s.pings.until = s.now().Add(pingAge)
		}
		return struct{}{}, s.pings.last
	})
	return err
}
