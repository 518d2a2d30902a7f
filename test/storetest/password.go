package storetest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/pbkdf2"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testPassword(t *testing.T) {
	inParallel(t, map[string]func(*testing.T){
		"Hashes":       s.testPasswordHashes,
		"LockOut":      s.testLockOut,
		"WrongClock":   s.testLockOutOfWrongClock,
		"Unknown":      s.testUnknownNames,
		"Spellings":    s.testSpellings,
		"Limits":       s.testLimits,
		"BruteForce":   s.testBruteForce,
		"KnownBrowser": s.testKnownBrowser,
		"SessionEnds":  s.testAdminSessionEnds,
		"SessionRoles": s.testAdminSessionRoles,
		"SessionList":  s.testSessionList,
	})
}

const password = "right 🐼 password"

// quickHash is a bcrypt hash of password that tests need not wait for.
func quickHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
}

// admin makes an admin of the tenant with that password.
func (n *tenant) admin(t *testing.T, name string) {
	t.Helper()
	n.apply(t, row{"users": []row{{
		"owner": n.name, "name": name, "isAdmin": true, "signupApplication": "app-" + n.name, "email": name + "@" + n.name,
	}}})
	n.setUser(t, name, "password", quickHash(t, password), "password_type", "bcrypt")
}

// setUser sets columns of a user as another program would.
func (n *tenant) setUser(t *testing.T, name string, set ...any) {
	t.Helper()
	var columns []string
	var args []any
	for i := 0; i < len(set); i += 2 {
		columns = append(columns, set[i].(string)+"=?")
		args = append(args, set[i+1])
	}
	n.exec(t, 1, `UPDATE "user" SET `+strings.Join(columns, ", ")+` WHERE owner=? AND name=?`,
		append(args, n.name, name)...)
}

// guess signs in by password, to no application, and returns the token, or what the refusal says.
func (n *tenant) guess(t *testing.T, name, password string) (token, refusal string) {
	t.Helper()
	return n.guessAt(t, "", name, password)
}

// guessAt is guess for an application.
func (n *tenant) guessAt(t *testing.T, application, name, password string) (token, refusal string) {
	t.Helper()
	return n.guessFrom(t, "", application, name, password)
}

// guessFrom is guessAt from a browser with that token.
func (n *tenant) guessFrom(t *testing.T, browser, application, name, password string) (token, refusal string) {
	t.Helper()
	token, _, err := n.service.SignInByPassword(t.Context(), object.PasswordSignIn{
		Application: application, Organization: n.name, Username: name, Password: password, Browser: browser,
		ClientIP: "192.0.2.7",
	})
	if err == nil {
		return token, ""
	}
	var refused *object.Refusal
	require.ErrorAs(t, err, &refused)
	return "", refused.Message
}

func (n *tenant) mustSignIn(t *testing.T, name string) (token string) {
	t.Helper()
	token, refusal := n.guess(t, name, password)
	require.Empty(t, refusal)
	return token
}

func wrong(left int) string {
	return fmt.Sprintf("password or code is incorrect, you have %d remaining chances", left)
}

func frozen(minutes int) string {
	return fmt.Sprintf("You have entered the wrong password or code too many times, please wait for %d minutes and "+
		"try again", minutes)
}

// The hashes are made here as Casdoor makes them.
func (s *suite) testPasswordHashes(t *testing.T) {
	n := s.tenant(t, setup{organization: row{"passwordSalt": "b3JnYW5pemF0aW9u"}})
	n.admin(t, "boss")
	b64 := base64.RawStdEncoding.EncodeToString
	argon := func(memory, time uint32) string {
		key := argon2.IDKey([]byte(password), []byte("16 bytes of salt"), time, 256, 2, 32)
		return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=2$%s$%s", memory, time, b64([]byte("16 bytes of salt")), b64(key))
	}
	salted := func(salt string) string {
		decoded, _ := base64.StdEncoding.DecodeString(salt)
		return base64.StdEncoding.EncodeToString(pbkdf2.Key([]byte(password), decoded, 27500, 64, sha256.New))
	}
	const own = "98b06df78eb088d6fa86"
	for _, c := range []struct {
		kind, hash, salt string
		accepted         bool
	}{
		{"bcrypt", quickHash(t, password), "", true},
		{"bcrypt", quickHash(t, password), own, true},
		{"argon2id", argon(256, 1), "", true},
		{"argon2id", argon(256, 2), own, true},
		{"pbkdf2-salt", salted(own), own, true},
		{"pbkdf2-salt", salted("b3JnYW5pemF0aW9u"), own, true}, // the organization's
		{"pbkdf2-salt", salted("not base64!"), "not base64!", true},
		{"pbkdf2-salt", salted("b3RoZXI="), own, false},
		{"argon2id", argon(1<<20, 1), "", false}, // more memory than we give
		{"argon2id", "$argon2id$v=19$m=256,t=0,p=2$$", "", false},
		{"argon2id", "$argon2id$", "", false},
		{"bcrypt", "", "", false},
		{"bcrypt", password, "", false},
		{"plain", password, "", false},
		{"salt", fmt.Sprintf("%x", sha256.Sum256([]byte(password))), "", false},
		{"md5-salt", "x", "", false},
		{"sha512-salt", "x", "", false},
	} {
		n.setUser(t, "boss", "password", c.hash, "password_type", c.kind, "password_salt", c.salt, "signin_wrong_times", 0)
		_, refusal := n.guess(t, "boss", "wrong "+password)
		assert.Equal(t, wrong(4), refusal, "%+v", c)
		_, refusal = n.guess(t, "boss", password)
		assert.Equal(t, c.accepted, refusal == "", "%+v: %s", c, refusal)
	}
}

func (s *suite) testLockOut(t *testing.T) {
	n := s.tenant(t, setup{application: row{
		"enablePassword": true, "failedSigninLimit": 3, "failedSigninFrozenTime": 10,
	}})
	n.admin(t, "boss")
	guess := func(name, password string) string {
		t.Helper()
		_, refusal := n.guessAt(t, "app-"+n.name, name, password)
		return refusal
	}
	for _, left := range []int{2, 1} {
		refusal := guess("boss", "wrong")
		assert.Equal(t, wrong(left), refusal)
	}
	assert.Empty(t, guess("boss", password))
	for _, left := range []int{2, 1, 0} {
		refusal := guess("boss@"+n.name, "wrong")
		assert.Equal(t, wrong(left), refusal, "the right one gave all chances back")
	}
	counted := n.row(t, `SELECT signin_wrong_times, last_signin_wrong_time FROM "user" WHERE owner=? AND name='boss'`, n.name)
	assert.Equal(t, "3", counted["signin_wrong_times"])
	assert.Equal(t, n.clock.Now().UTC().Format(time.RFC3339), counted["last_signin_wrong_time"])
	refusal := guess("boss", password)
	assert.Equal(t, frozen(10), refusal, "the right one is not taken either")
	n.clock.Advance(4*time.Minute + 30*time.Second)
	refusal = guess("boss", password)
	assert.Equal(t, frozen(6), refusal)
	n.clock.Advance(6 * time.Minute)
	refusal = guess("boss", "wrong")
	assert.Equal(t, wrong(2), refusal)
	assert.Empty(t, guess("boss", password))
}

// Who was locked out by a clock that was a day ahead waits no longer for it.
func (s *suite) testLockOutOfWrongClock(t *testing.T) {
	n := s.tenant(t, setup{})
	n.admin(t, "boss")
	guess := func(name string) string {
		t.Helper()
		_, refusal := n.guess(t, name, "wrong")
		return refusal
	}
	names := []string{"boss", "nobody"}
	n.clock.Advance(24 * time.Hour)
	for _, name := range names {
		for left := 4; left >= 0; left-- {
			assert.Equal(t, wrong(left), guess(name), name)
		}
	}
	n.clock.Advance(-24 * time.Hour)
	for _, name := range names {
		assert.Equal(t, frozen(15), guess(name), name)
	}
	n.clock.Advance(5 * time.Minute)
	for _, name := range names {
		assert.Equal(t, frozen(10), guess(name), name)
	}
	n.clock.Advance(10 * time.Minute)
	assert.Equal(t, wrong(4), guess("nobody"))
	n.mustSignIn(t, "boss")
}

// A name that nobody has is answered as one whose password is wrong, over all chances.
func (s *suite) testUnknownNames(t *testing.T) {
	n := s.tenant(t, setup{})
	n.admin(t, "boss")
	n.admin(t, "nopassword")
	n.setUser(t, "nopassword", "password", "", "password_type", "")
	for try := range 7 {
		_, want := n.guess(t, "boss", "wrong")
		for _, name := range []string{"nobody", "nopassword", "nobody@example.com", "'; --", "", strings.Repeat("長", 80)} {
			_, refusal := n.guess(t, name, "wrong")
			assert.Equal(t, want, refusal, "%d: %q", try, name)
		}
	}
	other := *n
	other.name = "no organization " + n.name
	_, refusal := other.guess(t, "nobody", "wrong")
	assert.Equal(t, wrong(4), refusal)
	assert.Empty(t, n.rows(t, `SELECT * FROM mini_program_attempt WHERE name_hash LIKE '%nobody%'`))
}

// However a login is spelled, its chances are those of one that nobody has.
func (s *suite) testSpellings(t *testing.T) {
	known, unknown := s.tenant(t, setup{}), s.tenant(t, setup{})
	for _, c := range []struct {
		name      string // of the user
		spellings []string
		left      []int // where it is the same on all databases
	}{
		{"trim", []string{"trim", "trim ", " trim", "\u3000trim"}, []int{4, 3, 2, 1}},
		{"lower", []string{"lower", "Lower", "LOWER", "lower "}, nil},
		{"Upper", []string{"Upper", "upper", "UPPER", "Upper"}, nil},
		{"accent", []string{"accent", "áccent", "ａccent", "accent"}, []int{4, 4, 4, 3}},
		{"mail", []string{"mail@", "Mail@", " MAIL@", "máil@", "mail@"}, []int{4, 3, 2, 4, 1}},
		{"at@home", []string{"at@home", "At@Home", "AT@HOME "}, []int{4, 3, 2}},
		{"phone", []string{"13800000001", " 13800000001", "１3800000001"}, []int{4, 3, 4}},
	} {
		known.admin(t, c.name)
		if c.name == "phone" {
			known.setUser(t, c.name, "phone", c.spellings[0])
		}
		var answers, ghosts []string
		for i, spelled := range c.spellings {
			if c.name == "mail" {
				spelled += "%s"
			}
			for n, answers := range map[*tenant]*[]string{known: &answers, unknown: &ghosts} {
				_, refusal := n.guess(t, strings.Replace(spelled, "%s", n.name, 1), "wrong")
				*answers = append(*answers, refusal)
			}
			if c.left != nil {
				assert.Equal(t, wrong(c.left[i]), answers[i], "%q", spelled)
			}
		}
		assert.Equal(t, ghosts, answers, "%q", c.spellings)
	}
	_, refusal := known.guess(t, " MAIL@"+strings.ToUpper(known.name), password)
	assert.Empty(t, refusal)
	known.setUser(t, "at@home", "email", "Stored@Example.com") // as others than we may have
	_, refusal = known.guess(t, "Stored@Example.com ", password)
	assert.Empty(t, refusal)
	other := *known
	other.name = strings.ToUpper(known.name)
	_, refusal = other.guess(t, "lower", "wrong")
	assert.Equal(t, wrong(4), refusal, "another organization, also where the database does not tell it apart")
}

// The limits are those of the application that is signed in to, for whoever signed up to which, and for nobody.
func (s *suite) testLimits(t *testing.T) {
	n := s.tenant(t, setup{application: row{"enablePassword": true}})
	n.addApplication(t)
	first, second := "app-"+n.name, "second-"+n.name
	n.exec(t, 1, `UPDATE "application" SET failed_signin_limit=10, failed_signin_frozen_time=20 WHERE name=?`, first)
	n.exec(t, 1, `UPDATE "application" SET failed_signin_limit=4, failed_signin_frozen_time=30 WHERE name=?`, second)
	n.admin(t, "first")
	for boss, application := range map[string]string{"second": second, "none": "", "gone": "gone"} {
		n.admin(t, boss)
		n.setUser(t, boss, "signup_application", application)
	}
	for _, c := range []struct{ application, want string }{
		{first, wrong(9)}, {second, wrong(2)}, {"", wrong(2)}, {first, wrong(6)}, {first, wrong(5)}, {second, frozen(30)},
		{"", frozen(15)}, {first, wrong(4)},
	} {
		for _, name := range []string{"first", "second", "none", "gone", "nobody"} {
			_, refusal := n.guessAt(t, c.application, name, "wrong")
			assert.Equal(t, c.want, refusal, "%s at %q", name, c.application)
		}
	}
	for name, want := range map[string]int{"second": 3, "nobody": 3} {
		err := n.service.CheckUserPassword(t.Context(), n.app(), n.name, name, "wrong")
		assertRefused(t, err, object.AccessDenied, wrong(want))
		asBoss := &object.Caller{Role: object.Admin, Organization: n.name, Name: "first", UserID: "first"}
		err = n.service.CheckUserPassword(t.Context(), asBoss, n.name, name, "wrong")
		assertRefused(t, err, object.AccessDenied, frozen(15))
	}
}

// Strangers who use up the chances of a name do not keep its user out of a browser that has been in, which has as many.
func (s *suite) testKnownBrowser(t *testing.T) {
	n := s.tenant(t, setup{})
	browserOf := func(name string) string {
		n.admin(t, name)
		return n.service.BrowserToken(n.row(t, `SELECT id FROM "user" WHERE owner=? AND name=?`, n.name, name)["id"])
	}
	known, others := browserOf("boss"), browserOf("other")
	again := n.service.BrowserToken(n.row(t, `SELECT id FROM "user" WHERE owner=? AND name='boss'`, n.name)["id"])
	guess := func(browser, password string) string {
		t.Helper()
		_, refusal := n.guessFrom(t, browser, "", "boss", password)
		return refusal
	}
	useUp := func(browser string) {
		t.Helper()
		for left := 4; left >= 0; left-- {
			require.Equal(t, wrong(left), guess(browser, "wrong"))
		}
	}
	useUp("")
	nonce, code, _ := strings.Cut(known, ".")
	for _, stranger := range []string{"", "x", ".", others, nonce, nonce + ".", nonce + "x." + code, "x" + known, known + "x"} {
		assert.Equal(t, frozen(15), guess(stranger, password), stranger)
	}
	assert.Equal(t, wrong(4), guess(known, "wrong"))
	assert.Empty(t, guess(known, password))
	useUp(known)
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(known) - 1
	alike := known[:last] + string(digits[strings.IndexByte(digits, known[last])|1]) // the last bits mean nothing
	for _, browser := range []string{known, alike} {
		assert.Equal(t, frozen(15), guess(browser, password))
	}
	assert.Empty(t, guess(again, password))
	assert.Equal(t, frozen(15), guess(known, password), "each browser has chances of its own")
	count := n.row(t, `SELECT signin_wrong_times FROM "user" WHERE owner=? AND name='boss'`, n.name)
	assert.Equal(t, "5", count["signin_wrong_times"], "what a Casdoor counts is that of strangers")
	n.clock.Advance(15 * time.Minute)
	assert.Empty(t, guess(known, password))
	assert.Empty(t, guess("", password))
}

// However many guess at once, on however many instances, they have no more than the chances.
func (s *suite) testBruteForce(t *testing.T) {
	n := s.tenant(t, setup{})
	n.admin(t, "boss")
	second := *n
	second.service = n.newService(t, s.sealer)
	const guesses, busy = 50, "The server is busy, please try again"
	for _, name := range []string{"boss", "nobody"} {
		refusals := make([]string, guesses)
		concurrently(guesses, func(i int) {
			refusals[i] = busy
			for refusals[i] == busy { // where a hash takes long, those behind give up: they try again
				_, refusals[i] = []*tenant{n, &second}[i%2].guess(t, name, "wrong")
			}
		})
		judged := map[string]int{}
		for _, refusal := range refusals {
			judged[refusal]++
		}
		assert.Equal(t, map[string]int{wrong(4): 1, wrong(3): 1, wrong(2): 1, wrong(1): 1, wrong(0): 1,
			frozen(15): guesses - 5}, judged, name)
	}
}

func (n *tenant) sessionOf(t *testing.T, token string) (c *object.Caller, code object.ErrorCode) {
	t.Helper()
	c, err := n.service.SessionCaller(t.Context(), token)
	if err == nil {
		return c, ""
	}
	var refused *object.Refusal
	require.ErrorAs(t, err, &refused)
	return nil, refused.Code
}

func (s *suite) testAdminSessionEnds(t *testing.T) {
	n := s.tenant(t, setup{application: row{"cookieExpireInHours": 2, "enablePassword": true}})
	n.admin(t, "boss")
	ended := func(token string, want object.ErrorCode, why string) {
		t.Helper()
		_, code := n.sessionOf(t, token)
		assert.Equal(t, want, code, why)
	}
	token := n.mustSignIn(t, "boss")
	stored := n.row(t, `SELECT * FROM mini_program_admin_session WHERE organization=?`, n.name)
	assert.NotContains(t, fmt.Sprint(stored), token)
	assert.Equal(t, "192.0.2.7", stored["client_ip"])

	n.setUser(t, "boss", "is_forbidden", true)
	ended(token, object.AccessDenied, "forbidden")
	n.setUser(t, "boss", "is_forbidden", false, "is_deleted", true)
	ended(token, object.AccessDenied, "deleted")
	n.setUser(t, "boss", "is_deleted", false)
	ended(token, "", "lives again")
	n.setUser(t, "boss", "password", quickHash(t, "another"))
	ended(token, object.InvalidToken, "another password")
	n.setUser(t, "boss", "password", "")
	ended(token, object.InvalidToken, "no password")
	n.setUser(t, "boss", "password", quickHash(t, password))
	ended(token, object.InvalidToken, "another hash of the same")

	token = n.mustSignIn(t, "boss")
	n.setUser(t, "boss", "id", "another-id-"+n.name)
	ended(token, object.InvalidToken, "made again under the same name")
	token = n.mustSignIn(t, "boss")
	require.NoError(t, n.service.EndSession(t.Context(), token))
	require.NoError(t, n.service.EndSession(t.Context(), token))
	ended(token, object.InvalidToken, "ended")
	token = n.mustSignIn(t, "boss")
	member := &object.Caller{
		Role: object.Member, Organization: n.name, Name: "boss", UserID: n.find(t, "boss").Id,
	}
	_, err := n.service.EndUserSessions(t.Context(), member, n.name, "boss")
	assertRefused(t, err, object.AccessDenied)
	ended(token, "", "members do not look after users")
	_, err = n.service.EndUserSessions(t.Context(), n.app(), n.name, "boss")
	require.NoError(t, err)
	ended(token, object.InvalidToken, "ended by another admin")

	token = n.mustSignIn(t, "boss")
	short, _, err := n.service.SignInByPassword(t.Context(), object.PasswordSignIn{
		Application: "app-" + n.name, Organization: n.name, Username: "boss", Password: password,
	})
	require.NoError(t, err)
	n.clock.Advance(2*time.Hour + time.Second)
	ended(short, object.InvalidToken, "the application's hours are over")
	ended(token, "", "a day by default")
	seen := n.row(t, `SELECT created_time, seen_time FROM mini_program_admin_session WHERE token_hash=?`, hashOf(token))
	assert.Greater(t, seen["seen_time"], seen["created_time"])
	n.clock.Advance(22 * time.Hour)
	ended(token, object.InvalidToken, "the day is over")
}

func hashOf(token string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(token))) }

// The role is what the user is now, and not what they were when they signed in.
func (s *suite) testAdminSessionRoles(t *testing.T) {
	n := s.tenant(t, setup{})
	n.admin(t, "boss")
	token := n.mustSignIn(t, "boss")
	for _, role := range []object.Role{object.Member, object.Admin} {
		n.setUser(t, "boss", "is_admin", role == object.Admin)
		c, code := n.sessionOf(t, token)
		require.Empty(t, code)
		assert.Equal(t, role, c.Role)
		assert.Equal(t, []string{n.name, "boss"}, []string{c.Organization, c.Name})
	}
	n.setUser(t, "boss", "is_forbidden", true)
	_, refusal := n.guess(t, "boss", password)
	assert.Contains(t, refusal, "forbidden to sign in")
	_, refusal = n.guess(t, "boss", "wrong")
	assert.Equal(t, wrong(4), refusal, "who does not know the password does not learn it")
}

func testSweepAdminSessions(t *testing.T, s *suite) {
	n := s.tenant(t, setup{})
	n.admin(t, "boss")
	for i := range 5 {
		n.mustSignIn(t, "boss")
		_, _ = n.guess(t, fmt.Sprint("nobody", i), "wrong")
	}
	n.clock.Advance(25 * time.Hour)
	token := n.mustSignIn(t, "boss")
	_, _ = n.guess(t, "nobody", "wrong")
	b := newBroom(s.store, n.clock.Now())
	assert.Equal(t, map[string]int64{"admin_session": 5, "attempt": 5}, b.sweep(t))
	_, code := n.sessionOf(t, token)
	assert.Empty(t, code)
	assert.Len(t, n.rows(t, `SELECT * FROM mini_program_attempt`), 1)
}

func (s *suite) testSessionList(t *testing.T) {
	n := s.tenant(t, setup{application: row{"enablePassword": true}})
	n.admin(t, "boss")
	token := n.mustSignIn(t, "boss")
	c, code := n.sessionOf(t, token)
	require.Empty(t, code)
	for _, openID := range []string{"o1", "o2", "o1"} {
		n.signIn(t, openID)
	}
	list := func(q object.ListQuery) (counts map[string]int, total int) {
		t.Helper()
		page, err := n.service.Sessions(t.Context(), c, q)
		require.NoError(t, err)
		counts = map[string]int{}
		for _, session := range page.Rows {
			counts[session.Name+" "+session.Application] = len(session.SessionId)
		}
		return counts, page.Total
	}
	app := " app-" + n.name
	found, total := list(object.ListQuery{})
	assert.Equal(t, map[string]int{"boss ": 1, "wechat-o1" + app: 2, "wechat-o2" + app: 1}, found)
	assert.Equal(t, 3, total)
	found, total = list(object.ListQuery{Page: 2, PageSize: 2, Field: "application", Value: "app"})
	assert.Empty(t, found)
	assert.Equal(t, 2, total)
	found, _ = list(object.ListQuery{Page: 1, PageSize: 1, Field: "application", Value: "app"})
	assert.Equal(t, map[string]int{"wechat-o1" + app: 2}, found)
	_, err := n.service.Sessions(t.Context(), c, object.ListQuery{Field: "token_hash", Value: "x"})
	require.ErrorContains(t, err, "no column")
	if _, refusal := n.guessAt(t, strings.ToUpper("app-"+n.name), "boss", password); refusal == "" {
		found, _ = list(object.ListQuery{})
		assert.Equal(t, 1, found["boss"+app], "the application's own name, where another spelling finds it")
	}

	n.clock.Advance(25 * time.Hour)
	found, _ = list(object.ListQuery{})
	assert.NotContains(t, found, "boss ", "it has expired")
}
