package testdb_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/testdb"
)

func TestEachDatabaseIsEmptyAndItsOwn(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, cfg object.StoreConfig) {
		store, first, err := object.Open(t.Context(), cfg)
		require.NoError(t, err)
		defer store.Close()
		assert.NotNil(t, first, "the database was not empty")
		require.NoError(t, testdb.Connect(t, cfg).PingContext(t.Context()))
	})
}

func TestAbsentServer(t *testing.T) {
	for _, c := range []struct {
		ci      string
		skipped bool
	}{{"true", false}, {"", true}} {
		t.Setenv("CI", c.ci)
		t.Setenv("TEST_POSTGRES_DSN", "host=127.0.0.1 port=1 user=nobody sslmode=disable")
		t.Setenv("TEST_MYSQL_DSN", "nobody@tcp(127.0.0.1:1)/")
		t.Setenv("TEST_REDIS", "127.0.0.1:1")
		for name, use := range map[string]func(testing.TB){
			"postgres": func(t testing.TB) { testdb.Postgres(t) },
			"mysql":    func(t testing.TB) { testdb.MySQL(t) },
			"redis":    func(t testing.TB) { testdb.Redis(t) },
		} {
			probe := &probe{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				use(probe)
			}()
			<-done
			assert.Equal(t, c.skipped, probe.skipped, name)
			assert.Equal(t, !c.skipped, probe.failed, name)
		}
	}
}

// probe records how a test would have ended.
type probe struct {
	testing.TB
	skipped, failed bool
}

func (p *probe) Fatalf(string, ...any) {
	p.failed = true
	runtime.Goexit()
}

func (p *probe) Skipf(string, ...any) {
	p.skipped = true
	runtime.Goexit()
}
