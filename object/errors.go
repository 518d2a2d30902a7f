package object

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// ErrNotFound means that there is no such row.
var ErrNotFound = errors.New("not found")

// ErrConflict means that what was to be written contradicts what is there.
var ErrConflict = errors.New("conflicts with what is there")

// ErrorCode is why a request is refused, in the words of OAuth 2 (RFC 6749 §5.2, RFC 8628 §3.5).
type ErrorCode string

// The codes that this package gives. Anything else that goes wrong is an error of another type.
const (
	InvalidRequest     ErrorCode = "invalid_request"
	InvalidClient      ErrorCode = "invalid_client"
	InvalidGrant       ErrorCode = "invalid_grant"
	InvalidToken       ErrorCode = "invalid_token" // RFC 6750 §3.1
	UnauthorizedClient ErrorCode = "unauthorized_client"
	AccessDenied       ErrorCode = "access_denied"
	SlowDown           ErrorCode = "slow_down"
	Unavailable        ErrorCode = "temporarily_unavailable"
	Unsupported        ErrorCode = "unsupported" // this server, or the platform, cannot do it
)

// Refusal is the answer "no" to a request, with the reason that its sender may read.
type Refusal struct {
	Code       ErrorCode
	Message    string        // for the sender; holds nothing secret
	RetryAfter time.Duration // when a new try is worth it; 0 when that is unknown
	Err        error         // for the log; may be nil
}

// Error returns code and message, and the cause where there is one.
func (r *Refusal) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("%s: %s: %s", r.Code, r.Message, r.Err)
	}
	return fmt.Sprintf("%s: %s", r.Code, r.Message)
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(code ErrorCode, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

// malformed refuses what is no JSON object of the kind that was asked for, and names the field that is to blame.
func malformed(err error) error {
	message := "the body is not a JSON object of this kind"
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		message = wrong.Field + " is of the wrong kind"
	}
	return &Refusal{Code: InvalidRequest, Message: message, Err: err}
}

// IsUnavailable reports whether err means that the database, or the Casdoor in its place, did not do its part, so that
// a later try may succeed: it is gone, locked, full, slow or was closed. A value that it refuses is none of that.
func IsUnavailable(err error) bool {
	if isUnfit(err) {
		return false
	}
	for _, known := range []error{
		driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone, mysql.ErrInvalidConn, io.EOF, io.ErrUnexpectedEOF,
		context.DeadlineExceeded, context.Canceled, errClosed, errHeld, errRaced,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return pgconn.SafeToRetry(err) || isA[*sqlite.Error](err) || isA[*mysql.MySQLError](err) || isA[*pgconn.PgError](err) ||
		isA[*pgconn.ConnectError](err) || isA[*casdoorError](err) || isA[net.Error](err)
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// ignoreMissing makes no error of what is not there.
func ignoreMissing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
