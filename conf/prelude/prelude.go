// Package prelude is initialized before beego: it imports so little that its turn comes first.
package prelude

import (
	_ "log" // keeps for good the stderr that it finds when it is initialized, as all do that come between this and End
	"os"
)

var stderr = os.Stderr

// Left alone, beego reads a conf/app.conf where the program is started, or beside it, and where a line is malformed it
// panics before main can say which. This has it look for a file that nobody has. It says on os.Stderr then that there
// is none, in a line that is no log line and looks like a failure.
func init() {
	_ = os.Setenv("BEEGO_RUNMODE", "minidoor")
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
}

// End gives os.Stderr back. What comes first in main calls it.
func End() { os.Stderr = stderr }
