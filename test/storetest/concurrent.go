package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
)

// crowd is how many sign in, or refresh, at the same time.
const crowd = 64

func (s *suite) testConcurrent(t *testing.T) {
	n := s.tenant(t, setup{})
	req := n.request(t, "oCrowd")
	tokens, errs := make([]*object.Token, crowd), make([]error, crowd)
	concurrently(crowd, func(i int) { tokens[i], errs[i] = n.service.SignIn(t.Context(), req) })
	made, ids := 0, map[string]bool{}
	for i, err := range errs {
		require.NoError(t, err)
		if tokens[i].NewUser {
			made++
		}
		ids[n.principal(t, tokens[i]).User.Id] = true
	}
	assert.Equal(t, 1, made)
	assert.Len(t, ids, 1)
	assert.Equal(t, 1, n.users(t))
	for _, table := range []string{"identity", "session"} {
		assert.Len(t, n.rows(t, "SELECT * FROM mini_program_"+table+" WHERE organization=?", n.name), 1, table)
	}
	assert.Len(t, n.tokenRows(t), crowd)

	principals := make([]*object.Principal, crowd)
	concurrently(crowd, func(i int) { principals[i], errs[i] = n.service.Authenticate(t.Context(), tokens[0].AccessToken) })
	for i, p := range principals {
		require.NoError(t, errs[i])
		assert.True(t, ids[p.User.Id])
		assert.False(t, i > 0 && p.User == principals[0].User, "who asks for the same token shares no Principal")
	}

	t.Run("OpenIDs of one name", func(t *testing.T) { testNamesakes(t, n) })
	t.Run("OpenIDs of two mini programs", func(t *testing.T) { testTwoPrograms(t, n) })
	t.Run("one refresh token", func(t *testing.T) { testRefreshAtOnce(t, n) })
	t.Run("one e-mail address", func(t *testing.T) { testEmailAtOnce(t, n) })
	t.Run("one of what is unique", func(t *testing.T) { testUniqueAtOnce(t, n) })
	t.Run("what is deleted", func(t *testing.T) { testUseAtOnce(t, n) })
	t.Run("options of what is deleted", func(t *testing.T) { testOptionsAtOnce(t, n) })
	t.Run("nicknames that WeChat is slow to judge", s.testSlowJudgement)
}

// testSlowJudgement has more people wait for WeChat's judgement of their nicknames than are signed in at a time: it
// keeps nobody else from signing in.
func (s *suite) testSlowJudgement(t *testing.T) {
	n := s.tenant(t, setup{options: row{"checkNickname": true}})
	many := 64*runtime.GOMAXPROCS(0) + 1
	asked, answer := make(chan struct{}, many), make(chan struct{})
	n.wechat.whileChecking = func() {
		asked <- struct{}{}
		<-answer
	}
	errs := make([]error, many)
	var waiting sync.WaitGroup
	for i := range errs {
		req := n.request(t, fmt.Sprint("oSlow", i))
		req.Nickname = "fine"
		waiting.Go(func() { _, errs[i] = n.service.SignIn(t.Context(), req) })
	}
	allAsk := assert.Eventually(t, func() bool { return len(asked) == many }, time.Minute, time.Millisecond)
	if allAsk {
		n.signIn(t, "oOther")
	}
	close(answer)
	waiting.Wait()
	for i, err := range errs {
		require.NoError(t, err)
		assert.Equal(t, "fine", n.user(t, fmt.Sprint("oSlow", i)).DisplayName)
	}
}

// testNamesakes has several people sign in who want the same name where the database ignores case.
func testNamesakes(t *testing.T, n *tenant) {
	openIDs := []string{"oNAME", "oname", "oName", "ONAME", "oNaMe", "onAME", "onamE", "ONAMe"}
	errs := make([]error, crowd)
	requests := make([]object.SignInRequest, crowd)
	for i := range requests {
		requests[i] = n.request(t, openIDs[i%len(openIDs)])
	}
	concurrently(crowd, func(i int) { _, errs[i] = n.service.SignIn(t.Context(), requests[i]) })
	for _, err := range errs {
		require.NoError(t, err)
	}
	for _, openID := range openIDs {
		assert.Equal(t, openID, n.user(t, openID).WeChat)
	}
	assert.Equal(t, 1+len(openIDs), n.users(t))
}

// testTwoPrograms has people sign in to two mini programs whose OpenIDs are alike: they are different people.
func testTwoPrograms(t *testing.T, n *tenant) {
	clients := []*object.Client{n.client(t), n.clientOf(t, n.addApplication(t))}
	const openIDs = 8
	ids, errs := make([]string, crowd), make([]error, crowd)
	requests := make([]object.SignInRequest, crowd)
	for i := range requests {
		requests[i] = n.request(t, fmt.Sprintf("oBoth%d", i/2%openIDs))
		requests[i].Client = clients[i%2]
	}
	tokens := make([]*object.Token, crowd)
	concurrently(crowd, func(i int) { tokens[i], errs[i] = n.service.SignIn(t.Context(), requests[i]) })
	people := map[string]bool{}
	for i, err := range errs {
		require.NoError(t, err)
		ids[i] = n.principal(t, tokens[i]).User.Id
		assert.Equal(t, ids[i%(2*openIDs)], ids[i])
		people[ids[i]] = true
	}
	assert.Len(t, people, 2*openIDs)
}

// testRefreshAtOnce has one refresh token used by many at the same time: who is first wins, and the others prove that
// it was stolen.
func testRefreshAtOnce(t *testing.T, n *tenant) {
	token, client := n.signIn(t, "oRefresher"), n.client(t)
	const thieves = 16
	tokens, errs := make([]*object.Token, thieves), make([]error, thieves)
	concurrently(thieves, func(i int) {
		tokens[i], errs[i] = n.service.Refresh(t.Context(), client, token.RefreshToken, issuer)
	})
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			n.assertDead(t, tokens[i])
			continue
		}
		assertRefused(t, err, object.InvalidGrant)
	}
	assert.Equal(t, 1, won)
}

// assertDead checks that neither of the tokens can be used.
func (n *tenant) assertDead(t *testing.T, token *object.Token) {
	t.Helper()
	_, err := n.service.Authenticate(t.Context(), token.AccessToken)
	assertRefused(t, err, object.InvalidToken)
	_, err = n.service.Refresh(t.Context(), n.client(t), token.RefreshToken, issuer)
	assertRefused(t, err, object.InvalidGrant)
	for _, text := range []string{token.AccessToken, token.RefreshToken} {
		answer, err := n.service.Introspect(t.Context(), n.client(t), text)
		require.NoError(t, err)
		assert.Equal(t, object.Introspection{}, answer)
	}
}

// testEmailAtOnce has several users take the same address, by themselves and by the management API: one gets it.
func testEmailAtOnce(t *testing.T, n *tenant) {
	const users, rounds = 16, 4
	principals := make([]*object.Principal, users)
	for i := range principals {
		principals[i] = n.principal(t, n.signIn(t, fmt.Sprint("oMail", i)))
	}
	for round := range rounds {
		address := fmt.Sprintf("round-%d@example.com", round)
		set := jsonOf(t, row{"email": address})
		assertOneWins(t, users, "email is another user's", func(i int) (err error) {
			p := principals[i]
			if i%2 == 0 {
				_, err = n.service.UpdateAccount(t.Context(), p, map[string]json.RawMessage{"email": jsonOf(t, address)}, nil)
			} else {
				_, err = n.service.Users().Update(t.Context(), n.app(), n.name, p.User.Name, []string{"email"}, set)
			}
			return err
		})
		assert.Len(t, n.rows(t, `SELECT name FROM "user" WHERE email=?`, address), 1)
	}
}

// testUniqueAtOnce has several administrators make rows that differ in their keys, or do not, but not in what only one
// may have.
func testUniqueAtOnce(t *testing.T, n *tenant) {
	const makers = 8
	global := builtInAdmin()
	unique := "unique-" + n.name
	var owners []string
	for range makers {
		owners = append(owners, n.suite.tenant(t, setup{}).name)
	}
	for _, c := range []struct {
		name, refusal, query string
		add                  func(i int) error
	}{
		{"provider name", "already exists", `SELECT name FROM "provider" WHERE name=?`, func(i int) error {
			return n.service.Providers().Add(t.Context(), global, jsonOf(t, row{
				"owner": owners[i], "name": unique, "type": "WeChatMiniProgram", "clientSecret": "s",
			}))
		}},
		{"cert name", "already exists", `SELECT name FROM "cert" WHERE name=?`, func(i int) error {
			return n.service.Certs().Add(t.Context(), global, jsonOf(t, row{
				"owner": owners[i], "name": unique, "cryptoAlgorithm": "ES256",
			}))
		}},
		{"client id", "another application has this clientId", `SELECT name FROM "application" WHERE client_id=?`, func(i int) error {
			return n.service.Applications().Add(t.Context(), global, jsonOf(t, row{
				"owner": "admin", "name": fmt.Sprint(unique, i), "organization": owners[i], "cert": fastCert, "clientId": unique,
			}))
		}},
		{"user name", "Username already exists", `SELECT name FROM "user" WHERE name=?`, func(int) error {
			return n.service.Users().Add(t.Context(), global, jsonOf(t, row{"owner": n.name, "name": unique}))
		}},
		{"user id", "another user has this id", `SELECT name FROM "user" WHERE id=?`, func(i int) error {
			return n.service.Users().Add(t.Context(), global, jsonOf(t, row{"owner": owners[i], "name": unique, "id": unique}))
		}},
		{"user e-mail", "email is another user's", `SELECT name FROM "user" WHERE display_name=?`, func(i int) error {
			return n.service.Users().Add(t.Context(), global, jsonOf(t, row{
				"owner": n.name, "name": fmt.Sprint("mail", i), "displayName": unique, "email": unique + "@example.com",
			}))
		}},
		{"organization name", "already exists", `SELECT name FROM "organization" WHERE name=?`, func(int) error {
			return n.service.Organizations().Add(t.Context(), global, jsonOf(t, row{"owner": "admin", "name": unique}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			assertOneWins(t, makers, c.refusal, c.add)
			assert.Len(t, n.rows(t, c.query, unique), 1)
		})
	}
}

// testUseAtOnce has applications come that name what is deleted at that moment: either they come or it goes.
func testUseAtOnce(t *testing.T, n *tenant) {
	const rounds, makers = 6, 3
	global := builtInAdmin()
	for what, c := range map[string]struct {
		name   func(row, string) // has an application name it
		add    func(name string) error
		delete func(name string) (bool, error)
	}{
		"cert": {
			func(app row, name string) { app["cert"] = name },
			func(name string) error {
				return n.service.Certs().Add(t.Context(), global, jsonOf(t, row{
					"owner": "admin", "name": name, "cryptoAlgorithm": "ES256",
				}))
			},
			func(name string) (bool, error) { return n.service.Certs().Delete(t.Context(), global, "admin", name) },
		},
		"provider": {
			func(app row, name string) { app["providers"] = []row{{"name": name}} },
			func(name string) error {
				return n.service.Providers().Add(t.Context(), global, jsonOf(t, row{
					"owner": "admin", "name": name, "type": "WeChatMiniProgram", "clientSecret": "s",
				}))
			},
			func(name string) (bool, error) {
				return n.service.Providers().Delete(t.Context(), global, "admin", name)
			},
		},
		"organization": {
			func(app row, name string) { app["organization"] = name },
			func(name string) error {
				return n.service.Organizations().Add(t.Context(), global, jsonOf(t, row{"owner": "admin", "name": name}))
			},
			func(name string) (bool, error) {
				return n.service.Organizations().Delete(t.Context(), global, "admin", name)
			},
		},
	} {
		for round := range rounds {
			name := fmt.Sprint(what, "-", n.name, "-", round)
			require.NoError(t, c.add(name))
			errs, gone := make([]error, makers+1), false
			concurrently(makers+1, func(i int) {
				if i == makers {
					gone, errs[i] = c.delete(name)
					return
				}
				app := row{"owner": "admin", "name": fmt.Sprint(name, i), "organization": n.name, "cert": fastCert}
				c.name(app, name)
				errs[i] = n.service.Applications().Add(t.Context(), global, jsonOf(t, app))
			})
			came := 0
			for _, err := range errs[:makers] {
				if err == nil {
					came++
				} else {
					assertRefused(t, err, object.InvalidRequest, "does not exist")
				}
			}
			assert.Equal(t, !gone, came > 0, "%s: %d applications came, gone: %t, %v", name, came, gone, errs[makers])
		}
	}
}

// assertOneWins calls n times at once and checks that all calls but one are refused as invalid, with the words.
func assertOneWins(t *testing.T, n int, words string, call func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	concurrently(n, func(i int) { errs[i] = call(i) })
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		assertRefused(t, err, object.InvalidRequest, words)
	}
	assert.Equal(t, 1, won)
}

// testOptionsAtOnce has options set of providers that are being deleted: none stay behind, for a next one of the name.
func testOptionsAtOnce(t *testing.T, n *tenant) {
	const rounds, setters = 6, 3
	global := builtInAdmin()
	for round := range rounds {
		name := fmt.Sprint("options-", n.name, "-", round)
		require.NoError(t, n.service.Providers().Add(t.Context(), global, jsonOf(t, row{"owner": "admin", "name": name})))
		concurrently(setters+1, func(i int) {
			if i == setters {
				_, err := n.service.Providers().Delete(t.Context(), global, "admin", name)
				assert.NoError(t, err)
				return
			}
			err := n.service.SetProviderOptions(t.Context(), global, object.ProviderOptions{Owner: "admin", Name: name})
			assert.True(t, err == nil || errors.Is(err, object.ErrNotFound), "%v", err)
		})
		assert.Empty(t, n.rows(t, "SELECT * FROM mini_program_provider WHERE name=?", name))
	}
}
