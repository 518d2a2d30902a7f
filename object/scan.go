package object

import "context"

// scan runs read, which reads a whole table, while nobody else does in this process: Casdoor's tables of tokens and
// records have no index by user, and users decide how often this is asked for.
func (s *Service) scan(ctx context.Context, read func() error) error {
	select {
	case s.scans <- struct{}{}:
		defer func() { <-s.scans }()
		return read()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patiently runs what reads a whole table while nobody else does, and anything else at once.
func (s *Service) patiently(ctx context.Context, slow bool, read func() error) error {
	if slow {
		return s.scan(ctx, read)
	}
	return read()
}
