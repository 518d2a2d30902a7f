package object

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// now is the present in Casdoor's form, RFC 3339 in seconds.
func now() string { return timestamp(time.Now()) }

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// newID returns a UUID that begins with the time (RFC 9562 §5.7): what is made together lies together in every index,
// which in a large SQLite file saves a page of writing for each.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// idAt is newID for what happened at another time.
func idAt(t time.Time) string { return idPrefix(t) + newID()[len("01234567-89ab"):] }

// idPrefix returns what the ids of that time begin with: its milliseconds since 1970, in 12 digits.
func idPrefix(t time.Time) string {
	digits := fmt.Sprintf("%012x", max(t.UnixMilli(), 0))
	return digits[:8] + "-" + digits[8:]
}

// sleep reports whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
