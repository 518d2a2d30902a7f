package storetest_test

import (
	"testing"

	"github.com/minidoor/minidoor/test/storetest"
	"github.com/minidoor/minidoor/test/testdb"
)

func TestStore(t *testing.T) {
	t.Parallel()
	for _, kind := range testdb.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, kind.Empty)
		})
	}
}
