package controllers

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minidoor/minidoor/provider"
)

// platformState is how the platform has answered this server. The zero platformState has not asked anything.
type platformState struct {
	answered atomic.Int64 // Unix time in ns of the last answer that was of use; 0: none was
	failed   atomic.Pointer[platformFailure]

	mu   sync.Mutex
	open map[string]bool // breakers by name
}

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

func (s *platformState) breaker(name string, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]bool{}
	}
	if open {
		s.open[name] = true
	} else {
		delete(s.open, name)
	}
}

// down reports whether calls are refused here, since the platform was down for several ones.
func (s *platformState) down() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) > 0
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
