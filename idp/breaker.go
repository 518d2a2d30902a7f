package idp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/minidoor/minidoor/provider"
)

const (
	breakerFailures = 10
	breakerDelay    = 5 * time.Second
)

var errBreakerOpen = errors.New("circuit breaker is open")

// breaker fails calls at once while an API of WeChat is down: after 10 outages in a row for 5 s, then it lets one call
// try.
type breaker struct {
	state circuitbreaker.CircuitBreaker[any]
}

// breakers holds one for each API by the op of its requests: WeChat's content check, for one, can be down while
// sign-ins work, and must not keep them out.
type breakers map[string]breaker

func newBreakers(logger *slog.Logger, tell func(op string, until time.Time)) breakers {
	b := breakers{}
	for _, op := range []string{
		opCode2Session, opStableToken, opCheckSession, opPhone, opCheckText, opCheckImage, opCheckMedia,
	} {
		tell(op, time.Time{})
		b[op] = newBreaker(logger.With("op", op), func(until time.Time) { tell(op, until) })
	}
	return b
}

func newBreaker(logger *slog.Logger, tell func(until time.Time)) breaker {
	return breaker{circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(breakerFailures).
		WithSuccessThreshold(1).
		WithDelay(breakerDelay).
		OnOpen(func(circuitbreaker.StateChangedEvent) {
			tell(time.Now().Add(breakerDelay))
			logger.Warn("provider is down", "retryAfter", breakerDelay)
		}).
		OnClose(func(circuitbreaker.StateChangedEvent) {
			tell(time.Time{})
			logger.Info("provider is back")
		}).
		Build()}
}

// run calls f, which heeds ctx, unless the breaker is open.
func (b breaker) run(ctx context.Context, op string, f func() error) error {
	if !b.state.TryAcquirePermit() {
		return &provider.Error{
			Op:         op,
			Kind:       provider.KindUnavailable,
			RetryAfter: max(b.state.RemainingDelay(), time.Second),
			Unsent:     true,
			Err:        errBreakerOpen,
		}
	}
	up := false
	defer func() { // deferred, for a permit that a panic kept would be lost for good
		switch {
		case up:
			b.state.RecordSuccess()
		case stoodStill(ctx) && b.state.IsClosed():
		default:
			b.state.RecordFailure()
		}
	}()
	err := f()
	up = !isOutage(err)
	return err
}

// stoodStill reports whether it is long past the deadline of ctx. Then it was this process that did not run, as on a
// machine that was paused: all of its calls come to nothing at once, which says nothing of the API.
func stoodStill(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Since(deadline) > time.Second
}

// isOutage reports whether err speaks of the API as a whole. An errcode other than "busy" does not, even an unknown
// one: WeChat answered, and a caller who can provoke such answers must not lock the others out.
func isOutage(err error) bool {
	e, ok := errors.AsType[*provider.Error](err)
	return ok && e.Kind == provider.KindUnavailable && (e.Code == 0 || e.Code == codeBusy)
}
