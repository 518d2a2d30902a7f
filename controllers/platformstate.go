package controllers

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minidoor/minidoor/provider"
)

// platformState is how the platform has answered this server. The zero platformState has not asked anything.
type platformState struct {
	answered atomic.Int64 // Unix time in ns of the last answer that was of use; 0: none was
	failed   atomic.Pointer[platformFailure]

	mu          sync.Mutex
	refuseUntil map[breaker]time.Time // by breaker; the zero time: it refuses no calls
}

// breaker names a breaker.
type breaker struct{ appID, op string }

// platformFailure is a call that the platform is, or an admin may be, to blame for.
type platformFailure struct {
	at   time.Time
	kind provider.Kind
	code int
}

// called notes what came of a call. What a user is to blame for is an answer of use.
func (s *platformState) called(err error) {
	failure, failed := errors.AsType[*provider.Error](err)
	if !failed || failure.Kind != provider.KindUnavailable && failure.Kind != provider.KindMisconfigured {
		s.answered.Store(time.Now().UnixNano())
		return
	}
	s.failed.Store(&platformFailure{time.Now(), failure.Kind, failure.Code})
}

// maxBreakers bounds the breakers that are kept, as mini programs come and go: past it those that refuse no calls are
// forgotten until they do.
const maxBreakers = 1000

func (s *platformState) breaker(b breaker, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuseUntil == nil {
		s.refuseUntil = map[breaker]time.Time{}
	}
	if len(s.refuseUntil) >= maxBreakers {
		now := time.Now()
		maps.DeleteFunc(s.refuseUntil, func(_ breaker, until time.Time) bool { return !now.Before(until) })
	}
	s.refuseUntil[b] = until
}

// breakers returns which breakers refuse calls now. One whose time is over does not, though nobody has called since.
func (s *platformState) breakers() map[breaker]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, refuse := time.Now(), map[breaker]bool{}
	for b, until := range s.refuseUntil {
		refuse[b] = now.Before(until)
	}
	return refuse
}

// down reports whether calls are refused here, since the platform was down for several ones.
func (s *platformState) down() bool {
	return slices.Contains(slices.Collect(maps.Values(s.breakers())), true)
}

// last returns the time of the last answer of use, or the zero time, and the failure since then, if there was one.
func (s *platformState) last() (answered time.Time, failure *platformFailure) {
	if at := s.answered.Load(); at != 0 {
		answered = time.Unix(0, at)
	}
	failure = s.failed.Load()
	if failure != nil && failure.at.Before(answered) {
		failure = nil
	}
	return answered, failure
}
