package idp

import "time"

// Observer hears what happens between the server and WeChat. Its methods are called on the way of a sign-in, by many at
// once.
type Observer interface {
	// Called tells of a call that was sent: its op, how long it took, and its *provider.Error or nil.
	Called(op string, took time.Duration, err error)

	// Breaker tells until when the calls of op for the mini program with that AppID are refused, because WeChat is
	// down. The zero time: they are not.
	Breaker(appID, op string, until time.Time)
}

// noObserver is an Observer that does not listen.
type noObserver struct{}

func (noObserver) Called(string, time.Duration, error) {}
func (noObserver) Breaker(string, string, time.Time)   {}
