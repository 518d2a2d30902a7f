package object

import (
	"fmt"
	"runtime/debug"

	"github.com/minidoor/minidoor/provider"
)

// recovered, deferred, turns a panic into an error. It is for goroutines that work for several callers: a panic in one
// would end the process. The error's text is for the log, and has the stack.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w\n%s", provider.PanicError(p), debug.Stack())
	}
}
