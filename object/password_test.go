package object

import (
	"encoding/json"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever sets a password waits for those that are being hashed, as who signs in with one does: else a user could have
// all processors hash, in requests that change nothing.
func TestPasswordsAreHashedInTurn(t *testing.T) {
	t.Parallel()
	asTimeFlies(t, func(t *testing.T) {
		s := openStore(t)
		a := newTestService(t, s, ServiceConfig{})
		user := &sdk.User{Owner: builtInName, Name: "alice", Id: "alice's"}
		require.NoError(t, s.write(t.Context(), func(tx *txn) error {
			_, err := s.users.insert(tx, user, "")
			return err
		}))
		admin := &Caller{Role: Global, Organization: builtInName, Name: builtInAdmin}
		password := json.RawMessage(`{"owner":"built-in","name":"bob","password":"battery staple"}`)
		ways := map[string]func() error{
			"user": func() error {
				_, err := a.UpdateAccount(t.Context(), &Principal{User: user},
					map[string]json.RawMessage{"password": json.RawMessage(`"battery staple"`)}, nil)
				return err
			},
			"admin": func() error { return a.Users().Add(t.Context(), admin, password) },
			"set-password": func() error {
				return a.SetPassword(t.Context(), admin, PasswordChange{Owner: builtInName, Name: "alice", New: "horse12"})
			},
		}
		for range cap(a.hashing) {
			a.hashing <- struct{}{}
		}
		for name, set := range ways {
			start := time.Now()
			var refusal *Refusal
			require.ErrorAs(t, set(), &refusal, name)
			assert.Equal(t, Unavailable, refusal.Code, name)
			assert.Equal(t, hashingWait, time.Since(start), name)
		}
		for range cap(a.hashing) {
			<-a.hashing
		}
		for name, set := range ways {
			assert.NoError(t, set(), name)
		}
	})
}
