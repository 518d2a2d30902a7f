package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/testclock"
)

// RunSweep runs the suite of sweeping, which is about whole databases. Each call of empty must return another one.
func RunSweep(t *testing.T, empty func(t testing.TB) object.StoreConfig) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *suite){
		"Tokens":    testSweepTokens,
		"Sessions":  testSweepSessions,
		"Pictures":  testSweepPictures,
		"Instances": testSweepInstances,
		"Long":      testSweepLong,
		"LostClaim": testSweepLostClaim,
		"Run":       testSweepRun,
		"Admins":    testSweepAdminSessions,
		"Watch":     testSweepWatch,
		"Odd":       testSweepOdd,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t, empty(t))) })
	}
}

// broom is a sweeper with a clock of its own, that counts.
type broom struct {
	*object.Sweeper
	clock *testclock.Clock
	mu    sync.Mutex
	swept map[string]int64
}

const sweepEvery = 30 * time.Minute

func newBroom(store *object.Store, now time.Time) *broom {
	b := &broom{clock: testclock.At(now), swept: map[string]int64{}}
	b.Sweeper = object.NewSweeper(store, object.SweeperConfig{
		Every: sweepEvery, Batch: 2, Pause: time.Microsecond, Now: b.clock.Now,
		Swept: func(table string, rows int64) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.swept[table] += rows
		},
	})
	return b
}

// sweep sweeps once and returns what was deleted, by table.
func (b *broom) sweep(t *testing.T) map[string]int64 {
	t.Helper()
	b.mu.Lock()
	clear(b.swept)
	b.mu.Unlock()
	require.NoError(t, b.Sweep(t.Context()))
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.swept
}

// nothing is what a sweep deletes that finds nothing.
var nothing = map[string]int64{}

func testSweepTokens(t *testing.T, s *suite) {
	short, long := s.tenant(t, setup{}), s.tenant(t, setup{application: row{"refreshExpireInHours": 720}})
	for _, openID := range []string{"o1", "o2", "o3", "o3", "o3"} {
		short.signIn(t, openID)
		long.signIn(t, openID)
	}
	shortened := s.tenant(t, setup{application: row{"expireInHours": 720}})
	shortened.signIn(t, "o1")
	shortened.change(t, setup{application: row{"expireInHours": 1}})
	kept := short.signIn(t, "o1")
	const casdoors = "00000000-0000-4000-8000-000000000000"
	s.exec(t, 1, `INSERT INTO token (owner, name, created_time, application, organization, "user", expires_in)
		VALUES ('admin', '`+casdoors+`', '2020-01-01T00:00:00Z', 'app-built-in', 'built-in', 'admin', 60)`)

	short.clock.Advance(20 * time.Hour)
	kept, err := short.service.Refresh(t.Context(), short.client(t), kept.RefreshToken, issuer)
	require.NoError(t, err)

	b := newBroom(s.store, short.clock.Now())
	assert.Equal(t, nothing, b.sweep(t))
	b.clock.Advance(4*time.Hour + 50*time.Minute)
	assert.Equal(t, nothing, b.sweep(t), "a while is left to clocks that differ")
	b.clock.Advance(sweepEvery)
	assert.Equal(t, map[string]int64{"token": 5}, b.sweep(t))
	assert.Len(t, short.tokenRows(t), 1)
	assert.Len(t, long.tokenRows(t), 5)
	assert.Len(t, shortened.tokenRows(t), 1, "the token goes on for as long as it says")
	assert.Len(t, s.rows(t, "SELECT name FROM token WHERE name=?", casdoors), 1, "not ours")

	short.clock.Advance(6 * time.Hour)
	_, err = short.service.Refresh(t.Context(), short.client(t), kept.RefreshToken, issuer)
	require.NoError(t, err)

	b.clock.Advance(694*time.Hour + 50*time.Minute)
	assert.Equal(t, map[string]int64{"token": 1}, b.sweep(t))
	assert.Len(t, long.tokenRows(t), 5, "a while of 10 minutes")

	short.exec(t, 1, `DELETE FROM application WHERE name=?`, "app-"+long.name)
	b.clock.Advance(sweepEvery)
	assert.Equal(t, map[string]int64{"token": 5}, b.sweep(t), "without their application nobody can renew them")
}

func testSweepSessions(t *testing.T, s *suite) {
	one, two := s.tenant(t, setup{}), s.tenant(t, setup{application: row{"refreshExpireInHours": 720, "expireInHours": 720}})
	for _, openID := range []string{"o1", "o2", "o3", "o4", "o5"} {
		one.signIn(t, openID)
		two.signIn(t, openID)
	}
	s.exec(t, 1, `DELETE FROM "user" WHERE owner=? AND name=?`, one.name, "wechat-o2")
	s.exec(t, 3, `DELETE FROM "user" WHERE owner=? AND name IN (?, ?, ?)`, two.name, "wechat-o1", "wechat-o2", "wechat-o5")
	s.exec(t, 1, "UPDATE mini_program_session SET app_id='wx-second' WHERE organization=? AND open_id='o4'", one.name)
	b := newBroom(s.store, time.Now())
	assert.Equal(t, nothing, b.sweep(t), "they may just be made")
	b.clock.Advance(2 * time.Hour)
	assert.Equal(t, map[string]int64{"session": 5}, b.sweep(t), "of each mini program")
	sessions := func(n *tenant) (openIDs []string) {
		for _, found := range s.rows(t, "SELECT open_id FROM mini_program_session WHERE organization=? ORDER BY open_id", n.name) {
			openIDs = append(openIDs, found["open_id"])
		}
		return openIDs
	}
	assert.Equal(t, []string{"o1", "o3", "o5"}, sessions(one))
	assert.Equal(t, []string{"o3", "o4"}, sessions(two))
	assert.True(t, two.signIn(t, "o5").NewUser)
	assert.Equal(t, []string{"o3", "o4", "o5"}, sessions(two))
}

// A Casdoor's own pages delete users, and move them to another organization: what they do not know of are the files.
func testSweepPictures(t *testing.T, s *suite) {
	n := s.tenant(t, setup{files: filesFor(t)})
	pictureOf := func(openID string) string { return n.upload(t, n.principal(t, n.signIn(t, openID))).Key }
	gone, again, moved, stays := pictureOf("oGone"), pictureOf("oAgain"), pictureOf("oMoved"), pictureOf("oStays")
	s.exec(t, 2, `DELETE FROM "user" WHERE owner=? AND name IN (?, ?)`, n.name, "wechat-oGone", "wechat-oAgain")
	s.exec(t, 1, `UPDATE "user" SET owner='elsewhere' WHERE owner=? AND name=?`, n.name, "wechat-oMoved")
	n.signIn(t, "oAgain")
	b := newBroom(s.store, n.clock.Now())
	b.clock.Advance(2 * time.Hour)
	assert.Equal(t, map[string]int64{"session": 2}, b.sweep(t))
	require.NoError(t, n.service.DoChores(t.Context()))
	for key, kept := range map[string]int{gone: 0, again: 0, moved: 1, stays: 1} {
		assert.Len(t, s.rows(t, "SELECT state FROM mini_program_upload WHERE file_key=?", key), kept)
	}
}

func testSweepInstances(t *testing.T, s *suite) {
	n := s.tenant(t, setup{})
	crop := func(count int) {
		for range count {
			n.signIn(t, "o1")
		}
	}
	crop(5)
	later := time.Now().Add(48 * time.Hour)
	one, two := newBroom(s.store, later), newBroom(s.store, later)
	assert.Equal(t, map[string]int64{"token": 5}, one.sweep(t))
	crop(5)
	one.clock.Advance(sweepEvery - time.Minute)
	assert.Equal(t, nothing, one.sweep(t), "it is not time yet")
	assert.Equal(t, nothing, two.sweep(t), "the other one has just done it")
	two.clock.Advance(sweepEvery)
	assert.Equal(t, map[string]int64{"token": 5}, two.sweep(t))

	crop(5)
	two.clock.Advance(sweepEvery)
	stamp := two.clock.Now().Add(time.Minute).UTC().Format(time.RFC3339Nano)
	s.exec(t, 1, "UPDATE mini_program_state SET value=? WHERE name='sweep'",
		`{"holder":"dead","until":"`+stamp+`","table":0,"cursor":["admin",""]}`)
	assert.Equal(t, nothing, two.sweep(t), "another one is at it")
	two.clock.Advance(2 * time.Minute)
	assert.Equal(t, map[string]int64{"token": 5}, two.sweep(t), "or is dead")

	crop(20)
	brooms := make([]*broom, 4)
	for i := range brooms {
		brooms[i] = newBroom(s.store, two.clock.Now().Add(sweepEvery))
	}
	concurrently(len(brooms), func(i int) { assert.NoError(t, brooms[i].Sweep(t.Context())) })
	workers := 0
	for _, b := range brooms {
		if len(b.swept) > 0 {
			assert.Equal(t, map[string]int64{"token": 20}, b.swept)
			workers++
		}
	}
	assert.Equal(t, 1, workers)
}

// testSweepLong has a sweep take longer than a claim lasts: nobody else sweeps meanwhile, and whoever goes on for it
// would begin where it is.
func testSweepLong(t *testing.T, s *suite) {
	n := s.tenant(t, setup{})
	const tokens = 12
	for range tokens {
		n.signIn(t, "o1")
	}
	one := newBroom(s.store, time.Now().Add(48*time.Hour))
	count, batches := one.Swept, 0
	one.Swept = func(table string, rows int64) {
		count(table, rows)
		one.clock.Advance(20 * time.Second)
		assert.Equal(t, nothing, newBroom(s.store, one.clock.Now()).sweep(t), batches)
		if batches++; batches > 1 {
			assert.Contains(t, s.sweepState(t), `"cursor":["admin","`)
		}
	}
	assert.Equal(t, map[string]int64{"token": tokens}, one.sweep(t))
	assert.Equal(t, tokens/2, batches)
}

// testSweepLostClaim has another instance take the claim, and sweep to the end, while one is at it: the one stops, what
// is deleted is counted once, and where the other one has come to stays.
func testSweepLostClaim(t *testing.T, s *suite) {
	n := s.tenant(t, setup{})
	present := time.Now().Add(48 * time.Hour)
	for name, late := range map[string]time.Duration{"at once": sweepEvery, "at the end": 0} {
		for range 6 {
			n.signIn(t, "o1")
		}
		present = present.Add(24 * time.Hour)
		one, two := newBroom(s.store, present), newBroom(s.store, present.Add(2*time.Minute))
		count, state := one.Swept, ""
		one.Swept = func(table string, rows int64) {
			count(table, rows)
			if state == "" {
				assert.Equal(t, map[string]int64{"token": 4}, two.sweep(t), name)
				state = s.sweepState(t)
				one.clock.Advance(late)
			}
		}
		require.ErrorContains(t, one.Sweep(t.Context()), "another instance sweeps", name)
		assert.Equal(t, map[string]int64{"token": 2}, one.swept, name)
		assert.Equal(t, state, s.sweepState(t), name)
	}
}

func (s *suite) sweepState(t *testing.T) string {
	t.Helper()
	return s.row(t, "SELECT value FROM mini_program_state WHERE name='sweep'")["value"]
}

func testSweepRun(t *testing.T, s *suite) {
	n := s.tenant(t, setup{})
	n.signIn(t, "o1")
	b := newBroom(s.store, time.Now().Add(48*time.Hour))
	var runs sync.WaitGroup
	runs.Go(func() { b.Run(t.Context()) }) // ends with the test
	t.Cleanup(runs.Wait)
	require.Eventually(t, func() bool { return len(n.tokenRows(t)) == 0 }, 20*time.Second, 10*time.Millisecond)
}

// testSweepBeside leaves a Casdoor its own rows, however old.
func (s *besideSuite) testSweepBeside(t *testing.T) {
	b := s.start(t)
	b.exec(t, 1, `INSERT INTO token (owner, name, created_time, application, organization, "user", expires_in)
		VALUES ('admin', '00000000-0000-4000-8000-000000000000', '2020-01-01T00:00:00Z', 'app-built-in', 'built-in', 'admin', 60)`)
	casdoors := b.rows(t, "SELECT * FROM token ORDER BY name")
	for range 5 {
		b.signIn(t, "oSwept")
	}
	sweeper := newBroom(b.store, time.Now().Add(10*365*24*time.Hour))
	assert.Equal(t, map[string]int64{"token": 5}, sweeper.sweep(t))
	assert.Equal(t, casdoors, b.rows(t, "SELECT * FROM token ORDER BY name"))
}
