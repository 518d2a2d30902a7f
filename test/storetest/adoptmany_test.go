package storetest_test

import (
	"flag"
	"testing"

	"github.com/minidoor/minidoor/test/storetest"
	"github.com/minidoor/minidoor/test/testdb"
)

// adoptUsers is 500000 for the figure in README.md.
var adoptUsers = flag.Int("adopt", 5000, "how many users TestAdoptMany adopts")

func TestAdoptMany(t *testing.T) {
	for _, kind := range testdb.Kinds() {
		t.Run(kind.Name, func(t *testing.T) { storetest.AdoptMany(t, kind.SDKCasdoor, *adoptUsers) })
	}
}
