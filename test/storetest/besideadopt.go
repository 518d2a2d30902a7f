package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// testConflicts has all that Casdoor's data can say about an OpenID.
func (s *besideSuite) testConflicts(t *testing.T) {
	b := s.attach(t)
	twin := b.addUser(t, "twin-a", "oTwin", openIDProperty("oTwin"))
	b.addUser(t, "twin-b", "oTwin", openIDProperty("oTwin"))
	b.addUser(t, "victim", "oVictim", openIDProperty("oVictim"))
	b.addUser(t, "attacker", "oVictim", openIDProperty("oAttacker"))
	b.addUser(t, "unlinked", "", openIDProperty("oUnlinked"))
	b.addUser(t, "a-column", "oShared", "{}")
	b.addUser(t, "shared", "oShared", openIDProperty("oShared"))
	b.addUser(t, "column", "oColumn", "")
	b.addUser(t, "broken", "oBroken", "{no JSON")
	b.addUser(t, "wechat-oThief", "oStolen", openIDProperty("oStolen"))
	again := b.addUser(t, "wechat-oagain-abcd2345", "oAgain", openIDProperty("oAgain")) // whose name was taken
	if s.kind != V141 {
		b.addUser(t, "signed-up", "oSignedUp", openIDProperty("oSignedUp"))
		b.exec(t, 1, `UPDATE "user" SET register_type=? WHERE name=?`, "Application Signup", "signed-up")
	}
	union := b.addUser(t, "union", "uUnion", `{"wechatOpenId":"oUnion","wechatUnionId":"uUnion"}`)
	b.open(t)

	conflicts, err := b.store.Conflicts(t.Context())
	require.NoError(t, err)
	reasons := map[string]string{}
	for _, c := range conflicts {
		assert.Equal(t, shop, c.Organization)
		reasons[c.OpenID] = c.Reason
	}
	contradiction := `user shop/attacker: wechat is "oVictim", properties.wechatOpenId is "oAttacker"`
	expected := map[string]string{
		"oStolen":   "user shop/wechat-oThief: the name is another OpenID's",
		"oTwin":     "users shop/twin-a and shop/twin-b claim it",
		"oVictim":   contradiction + "; user shop/victim claims it too",
		"oAttacker": contradiction,
		"oUnlinked": `user shop/unlinked: wechat is "", properties.wechatOpenId is "oUnlinked"`,
		"oShared":   "users shop/shared and shop/a-column claim it",
	}
	if s.kind != V141 {
		expected["oSignedUp"] = `user shop/signed-up: registered by "Application Signup", not by a mini program`
	}
	assert.Equal(t, expected, reasons)
	for openID := range reasons {
		assertRefused(t, b.refused(t, openID), object.AccessDenied, "contact the administrator")
		assert.Empty(t, b.rows(t, `SELECT * FROM mini_program_identity WHERE open_id=?`, openID))
	}

	assert.Equal(t, union, b.principal(t, b.signIn(t, "oUnion")).User.Id, "Casdoor takes the UnionID there too")
	assert.Equal(t, again, b.principal(t, b.signIn(t, "oAgain")).User.Id)
	token := b.signIn(t, "oColumn")
	assert.True(t, token.NewUser, "the column alone binds nobody")
	state, err := b.store.AdoptionState(t.Context())
	require.NoError(t, err)
	assert.True(t, state.Done)
	assert.Equal(t, 4, state.Adopted, "oShopper1, oShopper2, oAgain and oUnion")
	assert.Equal(t, len(reasons), state.Conflicts)
	assert.Equal(t, state.Users, state.Seen)
	assert.NotEmpty(t, twin)
}

// testColumnIsNoKey edits what a user of Casdoor can edit.
func (s *besideSuite) testColumnIsNoKey(t *testing.T) {
	b := s.start(t)
	first := b.principal(t, b.signIn(t, "oShopper1")).User
	b.exec(t, 1, `UPDATE "user" SET wechat=?, properties=? WHERE name=?`,
		"oShopper1", openIDProperty("oShopper1"), "wechat-oShopper2")
	b.exec(t, 1, `UPDATE "user" SET wechat=? WHERE name=?`, "oElse", "wechat-oShopper1")
	twin := *b.tenant
	second := &beside{&twin}
	second.open(t) // another start
	assert.Equal(t, first.Id, second.principal(t, second.signIn(t, "oShopper1")).User.Id)
	require.NoError(t, second.store.AdoptAgain(t.Context()))
	_, err := second.store.Adopt(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, first.Id, second.principal(t, second.signIn(t, "oShopper1")).User.Id)
	assert.True(t, second.signIn(t, "oElse").NewUser)
}

// testClaimOnOneWhoSignsIn has a user's data claim the OpenID of one who signs in already: looking at all once more does
// not give it to the claimant, not even when its owner has deleted the account and comes back.
func (s *besideSuite) testClaimOnOneWhoSignsIn(t *testing.T) {
	b := s.start(t)
	p := b.principal(t, b.signIn(t, "oOwner"))
	claimant := b.addUser(t, "claimant", "oOwner", openIDProperty("oOwner"))
	require.NoError(t, b.store.AdoptAgain(t.Context()))
	state, err := b.store.Adopt(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, []int{0, 0}, []int{state.Adopted, state.Conflicts})
	assert.Empty(t, b.rows(t, `SELECT open_id FROM mini_program_identity WHERE user_id=?`, claimant))

	require.NoError(t, b.service.Delete(t.Context(), p, "", "oOwner"))
	token := b.signIn(t, "oOwner")
	assert.True(t, token.NewUser)
	assert.NotEqual(t, claimant, b.principal(t, token).User.Id)
}

// testDecisions settles conflicts in both ways.
func (s *besideSuite) testDecisions(t *testing.T) {
	b := s.attach(t)
	b.addUser(t, "twin-a", "oTwin", openIDProperty("oTwin"))
	chosen := b.addUser(t, "twin-b", "oTwin", openIDProperty("oTwin"))
	kept := b.addUser(t, "victim", "oVictim", openIDProperty("oVictim"))
	b.addUser(t, "attacker", "oVictim", openIDProperty("oAttacker"))
	b.open(t)

	assert.ErrorIs(t, b.store.Assign(t.Context(), shop, "nobody", "oTwin"), object.ErrNotFound)
	require.NoError(t, b.store.Assign(t.Context(), shop, "twin-b", "oTwin"))
	assert.Equal(t, chosen, b.principal(t, b.signIn(t, "oTwin")).User.Id)
	assert.ErrorIs(t, b.store.Assign(t.Context(), shop, "twin-a", "oTwin"), object.ErrConflict, "signs in already")

	b.exec(t, 1, `DELETE FROM "user" WHERE name=?`, "attacker")
	require.NoError(t, b.store.AdoptAgain(t.Context()))
	state, err := b.store.Adopt(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, 1, state.Adopted, "oVictim; the others are there already")
	assert.Equal(t, kept, b.principal(t, b.signIn(t, "oVictim")).User.Id)
	assert.Equal(t, chosen, b.principal(t, b.signIn(t, "oTwin")).User.Id, "a decision stays")
	conflicts, err := b.store.Conflicts(t.Context())
	require.NoError(t, err)
	assert.Empty(t, conflicts)
}

// testDecisionsStay looks at all users once more after an admin has decided, before somebody signs in by it and after:
// whom an OpenID was given to keeps it, though others go on claiming it.
func (s *besideSuite) testDecisionsStay(t *testing.T) {
	b := s.attach(t)
	b.addUser(t, "twin-a", "oTwin", openIDProperty("oTwin"))
	chosen := map[string]string{
		"oTwin": b.addUser(t, "twin-b", "oTwin", openIDProperty("oTwin")),
		"oBare": b.addUser(t, "bare", "", ""), // of whom the data does not say it
		"oLate": b.addUser(t, "late", "oLate", openIDProperty("oLate")),
	}
	b.addUser(t, "claimant", "oBare", openIDProperty("oBare"))
	b.addUser(t, "by-column", "oBare", "")
	b.addUser(t, "late-by-column", "oLate", "")
	b.open(t)
	require.NoError(t, b.store.Assign(t.Context(), shop, "twin-b", "oTwin"))
	require.NoError(t, b.store.Assign(t.Context(), shop, "bare", "oBare"))
	for round := range 3 {
		require.NoError(t, b.store.AdoptAgain(t.Context()))
		if round == 0 { // while all are looked at again
			require.NoError(t, b.store.Assign(t.Context(), shop, "late", "oLate"))
		}
		state, err := b.store.Adopt(t.Context(), nil)
		require.NoError(t, err)
		assert.Equal(t, []int{0, 0}, []int{state.Adopted, state.Conflicts})
		conflicts, err := b.store.Conflicts(t.Context())
		require.NoError(t, err)
		assert.Empty(t, conflicts)
		for openID, id := range chosen {
			decided := b.row(t, `SELECT user_id, reason FROM mini_program_conflict WHERE open_id=?`, openID)
			assert.Equal(t, map[string]string{"user_id": id, "reason": "decided by an admin"}, decided, openID)
			identity := b.row(t, `SELECT user_id FROM mini_program_identity WHERE open_id=?`, openID)
			assert.Equal(t, id, identity["user_id"], openID)
			if round > 0 {
				assert.Equal(t, id, b.principal(t, b.signIn(t, openID)).User.Id, openID)
			}
		}
	}
}

// testDoubtLasts looks at all users once more while mini programs sign in: what is in doubt stays so until the end.
func (s *besideSuite) testDoubtLasts(t *testing.T) {
	b := s.attach(t)
	b.addUser(t, "a-twin", "oTwin", openIDProperty("oTwin"))
	b.addMany(t, 1100) // the other twin is in another batch
	b.addUser(t, "z-twin", "oTwin", openIDProperty("oTwin"))
	kept := b.addUser(t, "a-victim", "oVictim", openIDProperty("oVictim"))
	b.addUser(t, "attacker", "oVictim", openIDProperty("oAttacker"))
	b.open(t)
	b.exec(t, 1, `DELETE FROM "user" WHERE name=?`, "attacker")

	refused := func() {
		t.Helper()
		for _, openID := range []string{"oTwin", "oVictim"} {
			assertRefused(t, b.refused(t, openID), object.AccessDenied, "contact the administrator")
		}
	}
	require.NoError(t, b.store.AdoptAgain(t.Context()))
	refused()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.store.Adopt(ctx, func(object.Adoption) { cancel() })
	require.Error(t, err)
	refused()

	state, err := b.store.Adopt(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, 1, state.Conflicts)
	conflicts, err := b.store.Conflicts(t.Context())
	require.NoError(t, err)
	require.Len(t, conflicts, 1)
	assert.Equal(t, "users shop/a-twin and shop/z-twin claim it", conflicts[0].Reason)
	assertRefused(t, b.refused(t, "oTwin"), object.AccessDenied, "contact the administrator")
	assert.Equal(t, kept, b.principal(t, b.signIn(t, "oVictim")).User.Id)
}

func (b *beside) count(t *testing.T, table string) (n int) {
	t.Helper()
	require.NoError(t, b.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

// addMany adds users of the mini program.
func (b *beside) addMany(t *testing.T, n int) {
	t.Helper()
	for from := 0; from < n; from += 500 {
		var rows []string
		for i := from; i < min(from+500, n); i++ {
			openID := fmt.Sprintf("oMany%06d", i)
			rows = append(rows, fmt.Sprintf("('shop', 'wechat-%s', 'id-%06d', '%s', '%s')",
				openID, i, openID, openIDProperty(openID)))
		}
		_, err := b.db.ExecContext(t.Context(), b.statement(`INSERT INTO "user" (owner, name, id, wechat, properties) VALUES `)+
			strings.Join(rows, ", "))
		require.NoError(t, err)
	}
}

// testAdoptionGoesOn ends the first adoption in its midst.
func (s *besideSuite) testAdoptionGoesOn(t *testing.T) {
	b := s.attach(t)
	const many = 2300
	b.addMany(t, many)
	var err error
	b.store, _, err = object.Open(t.Context(), b.cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var seen []int
	_, err = b.store.Adopt(ctx, func(a object.Adoption) {
		seen = append(seen, a.Seen)
		if a.Seen > many/3 {
			cancel()
		}
	})
	require.Error(t, err)
	require.True(t, errors.Is(err, context.Canceled) || object.IsUnavailable(err), "%v", err)
	b.store.Close()

	b.open(t)
	state, err := b.store.AdoptionState(t.Context())
	require.NoError(t, err)
	assert.True(t, state.Done)
	assert.Equal(t, state.Users, state.Seen, "nobody is counted twice")
	assert.Equal(t, many+2, state.Adopted)
	assert.Less(t, seen[len(seen)-1], state.Seen)
	assert.Equal(t, many+2, b.count(t, "mini_program_identity"))
}

// testAdoptionsAtOnce starts two instances at once.
func (s *besideSuite) testAdoptionsAtOnce(t *testing.T) {
	b := s.attach(t)
	const many = 3300
	b.addMany(t, many)
	b.addUser(t, "twin", "oMany000007", openIDProperty("oMany000007"))
	stores := make([]*object.Store, 2)
	for i := range stores {
		var err error
		stores[i], _, err = object.Open(t.Context(), b.cfg)
		require.NoError(t, err)
		t.Cleanup(stores[i].Close)
	}
	concurrently(len(stores), func(i int) {
		_, err := stores[i].Adopt(t.Context(), nil)
		assert.NoError(t, err)
	})
	state, err := stores[0].AdoptionState(t.Context())
	require.NoError(t, err)
	assert.Equal(t, state.Users, state.Seen)
	assert.Equal(t, many+2-1, state.Adopted)
	assert.Equal(t, 1, state.Conflicts)
	assert.Equal(t, many+2-1, b.count(t, "mini_program_identity"))
}

// AdoptMany adopts n users, reports how long it took, and signs one of them in.
func AdoptMany(t *testing.T, casdoor func(t testing.TB) object.StoreConfig, n int) {
	t.Helper()
	b := (&besideSuite{kind: FromSDK, casdoor: casdoor}).attach(t)
	b.addMany(t, n)
	begun := time.Now()
	b.open(t)
	took := time.Since(begun)
	t.Logf("%d users are adopted in %s", n, took.Round(time.Millisecond))
	assert.Less(t, took, time.Minute)
	assert.Equal(t, n+2, b.count(t, "mini_program_identity"))
	assert.False(t, b.signIn(t, fmt.Sprintf("oMany%06d", n/2)).NewUser)
}
