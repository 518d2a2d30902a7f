// Package prelude is initialized before beego: it imports so little that its turn comes first.
package prelude

import "os"

// Left alone, beego reads a conf/app.conf where the program is started, or beside it, and where a line is malformed it
// panics before main can say which. This has it look for a file that nobody has.
func init() { _ = os.Setenv("BEEGO_RUNMODE", "minidoor") }
