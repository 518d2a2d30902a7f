package test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// Names that no database can hold are unknown ones, and nothing that PostgreSQL complains about.
func TestNamesThatCannotBe(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, store object.StoreConfig) {
		s := harness.Start(t, harness.Options{Store: store, Push: fakewechat.PushSettings{Token: pushToken}})
		for _, method := range []string{"GET", "POST"} {
			push := func(name string) harness.Reply {
				return s.Call(t, method, "/api/mini-program/push/"+name, "", nil)
			}
			want := push("nobody")
			require.Equal(t, http.StatusNotFound, want.Status)
			for _, name := range []string{"%00", "a%ffb", harness.Provider + "%00", harness.Provider + "%ff", "%ed%a0%80"} {
				reply := push(name)
				assert.Equal(t, want.Status, reply.Status, "%s %s", method, name)
				assert.Equal(t, want.Body, reply.Body, "%s %s", method, name)
			}
		}
		for path, body := range map[string]any{
			harness.PathToken:               harness.SignInForm("c"),
			harness.PathRefresh:             refreshForm("x"),
			harness.PathIntrospect:          fieldsOf{"token": "x"},
			"/api/get-users?owner=shop":     nil,
			"/api/get-user?id=shop/boss":    nil,
			"/api/get-application?id=x/y":   nil,
			"/api/metrics":                  nil,
			"/api/get-account":              nil,
			"/api/get-app-login?clientId=x": nil,
		} {
			method := "GET"
			if body != nil {
				method = "POST"
			}
			as := func(clientID string) harness.Reply {
				r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
				require.NoError(t, err)
				require.NoError(t, harness.SetBody(r, body))
				r.SetBasicAuth(clientID, "secret")
				return s.Do(t, r)
			}
			want := as("nobody")
			for _, id := range []string{"\x00", "a\xffb", harness.ClientID + "\x00", harness.ClientID + "-org-\xff"} {
				reply := as(id)
				assert.Equal(t, want.Status, reply.Status, "%s %q", path, id)
				assert.Equal(t, want.Body, reply.Body, "%s %q", path, id)
			}
		}
		assert.Empty(t, s.Log.Lines(`"level":"ERROR"`))
	})
}
