package storetest_test

import (
	"testing"

	"github.com/minidoor/minidoor/object"
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

func TestBesideCasdoor(t *testing.T) {
	t.Parallel()
	for _, kind := range testdb.Kinds() {
		for _, casdoor := range []struct {
			name string
			kind storetest.Casdoor
			make func(testing.TB) object.StoreConfig
		}{
			{"v3.158", storetest.Captured, kind.Casdoor},
			{"v1.41", storetest.V141, kind.OldCasdoor},
			{"sdk", storetest.FromSDK, kind.SDKCasdoor},
		} {
			t.Run(kind.Name+"/"+casdoor.name, func(t *testing.T) {
				t.Parallel()
				storetest.RunBeside(t, casdoor.kind, casdoor.make)
			})
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	for _, kind := range testdb.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			storetest.RunSweep(t, kind.Empty)
		})
	}
}
