package harness

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/fakecasdoor"
	"github.com/minidoor/minidoor/test/testdb"
)

// StartGateway starts a gateway on a Casdoor's database, that of StoreConfig, before a stand-in of that Casdoor, which
// has a memory of its own.
func StartGateway(t testing.TB, store object.StoreConfig, o Options) (*Server, *fakecasdoor.Server) {
	t.Helper()
	casdoor := fakecasdoor.New(fakecasdoor.Options{Now: o.Now})
	upstream := Serve(t, casdoor)
	db := testdb.Connect(t, store)
	_, err := db.ExecContext(t.Context(), "UPDATE provider SET client_secret='"+AppSecret+"' WHERE name='"+Provider+"'")
	require.NoError(t, err)
	o.Store, o.Store.Beside, o.RefreshTokenJWT = store, true, true
	change := o.Deps
	o.Deps = func(deps *controllers.Deps) {
		deps.Authority = nil
		deps.Upstream, err = url.Parse(upstream)
		require.NoError(t, err)
		if change != nil {
			change(deps)
		}
	}
	s := Start(t, o)
	_, err = s.Store.Adopt(t.Context(), nil)
	require.NoError(t, err)
	return s, casdoor
}
