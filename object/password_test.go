package object

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each name takes as long as each other one, be it nobody's, or that of a user whose password is kept in the
// organization's way, in ours, or in one that is not accepted.
func TestEachNameTakesAsLong(t *testing.T) {
	t.Parallel()
	ways := []string{"", "plain", passwordType, passwordArgon, passwordPBKDF2}
	for _, theirs := range ways {
		o := &sdk.Organization{PasswordType: theirs}
		took := func(user *sdk.User) (kinds []string) {
			for _, compared := range comparisons(user, o) {
				kinds = append(kinds, nobodys(compared.kind).kind)
			}
			slices.Sort(kinds)
			return kinds
		}
		nobody := took(nil)
		assert.Equal(t, nobody, took(&sdk.User{}), theirs)
		for _, way := range []string{"", "plain", passwordType, theirs} {
			assert.Equal(t, nobody, took(&sdk.User{Password: "hash", PasswordType: way}), "%s in %s", way, theirs)
		}
		assert.Equal(t, passwordOf(&sdk.User{Password: "hash"}, o), comparisons(&sdk.User{Password: "hash"}, o)[0])
	}
}

// A user who asks for one hash after the other has one made at a time: who signs in meanwhile waits for that one alone.
func TestNobodyKeepsOthersFromHashing(t *testing.T) {
	t.Parallel()
	a := newTestService(t, openStore(t), ServiceConfig{})
	done, err := a.oneHash("alice's")
	require.NoError(t, err)
	var refusal *Refusal
	_, err = a.checkFor(t.Context(), &Caller{UserID: "alice's"}, builtInName, "alice", "guess")
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, SlowDown, refusal.Code)
	_, err = a.hash(t.Context(), "alice's", "battery staple")
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, SlowDown, refusal.Code)
	done()
	for range 2 {
		_, err = a.hash(t.Context(), "alice's", "battery staple")
		require.NoError(t, err)
	}
}

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
