package object

import "context"

// scan runs read, which reads a whole table for whoever looks after it, while nobody else does in this process.
func (s *Service) scan(ctx context.Context, read func() error) error {
	return alone(ctx, s.scans, read)
}

// scanUser is scan for what is one user's: Casdoor's tables of tokens and records have no index by user, and users
// decide how often this is asked for. Nobody who ends a sign-in, or an account, waits for the lists of other people's
// administrators.
func (s *Service) scanUser(ctx context.Context, read func() error) error {
	return alone(ctx, s.ofUsers, read)
}

// alone runs do while turn holds nobody else's value.
func alone(ctx context.Context, turn chan struct{}, do func() error) error {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
		return do()
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
