package controllers_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/test/harness"
)

func TestGetUser(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Rows: harness.Rows{
		"organizations": {{"owner": "admin", "name": "bank"}},
		"users":         {{"owner": "bank", "name": "teller", "id": "teller-id"}},
	}})
	token := s.SignIn(t, "oReader").AccessToken
	id := s.Account(t, token)["id"].(string)
	client := basic(harness.ClientID, harness.ClientSecret)
	query := "&clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret
	user, nobody := []string{`"status":"ok"`, `"name":"wechat-oReader"`}, []string{`"status":"ok"`, `"data":null`}
	denied := []string{casdoor("Unauthorized operation")}
	scenarios := []scenario{
		{name: "client", path: "?id=shop/wechat-oReader", header: client, has: user},
		{name: "client by query", path: "?id=shop/wechat-oReader" + query, has: user},
		{name: "client by user id", path: "?owner=shop&userId=" + id, header: client, has: user},
		{name: "client by user id, no organization", path: "?userId=" + id, header: client, has: user},
		{name: "other organization by id, no organization", path: "?userId=teller-id", header: client, has: nobody},
		{name: "anonymous, no organization", path: "?userId=" + id, has: denied},
		{name: "oneself by user id, no organization", path: "?userId=" + id, header: bearer(token), has: user},
		{name: "nobody", path: "?id=shop/nobody", header: client, has: nobody},
		{name: "nobody by user id", path: "?owner=shop&userId=x", header: client, has: nobody},
		{name: "nobody at all", path: "?owner=shop", header: client, has: nobody},
		{name: "other organization", path: "?id=bank/teller", header: client, has: denied},
		{name: "no organization", path: "?id=teller", header: client, has: denied},
		{name: "wrong secret", path: "?id=shop/wechat-oReader", header: basic(harness.ClientID, "x"), has: denied},
		{name: "wrong client", path: "?id=shop/wechat-oReader", header: basic("x", "x"), has: denied},
		{name: "empty client", path: "?id=shop/wechat-oReader", header: basic("", ""), has: denied},
		{name: "anonymous", path: "?id=shop/wechat-oReader", has: denied},
		{name: "oneself", path: "?id=shop/wechat-oReader", header: bearer(token), has: user},
		{name: "oneself by user id", path: "?owner=shop&userId=" + id, header: bearer(token), has: user},
		{name: "somebody else", path: "?id=shop/" + harness.AdminName, header: bearer(token), has: denied},
		{name: "somebody else in another organization", path: "?id=bank/teller", header: bearer(token), has: denied},
		{name: "made-up token beside a client", path: "?id=shop/wechat-oReader" + query, header: bearer("x"),
			has: []string{casdoor("the token is invalid")}},
	}
	for range 20 { // each time the same
		scenarios = append(scenarios, scenario{
			name: "nobody by e-mail address", path: "?userId=" + id + "&email=nobody@example.com", header: client, has: nobody,
		})
	}
	for i := range scenarios {
		scenarios[i].method, scenarios[i].status = "GET", http.StatusOK
		scenarios[i].path = "/api/get-user" + scenarios[i].path
	}
	runAll(t, s.Handler, scenarios)
}

// casdoor-java-sdk shows its application's secret in the header and sends the user's token in the query.
func TestAccountByTokenInQuery(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oJava").AccessToken
	client := basic(harness.ClientID, harness.ClientSecret)
	me, login := []string{`"status":"ok"`, `"name":"wechat-oJava"`}, []string{casdoor("Please login first")}
	runAll(t, s.Handler, []scenario{
		{name: "beside a client", method: "GET", path: harness.PathAccount + "?access_token=" + token, header: client,
			status: 200, has: me},
		{name: "alone", method: "GET", path: harness.PathAccount + "?access_token=" + token, status: 200, has: me},
		{name: "made up", method: "GET", path: harness.PathAccount + "?access_token=x", header: client, status: 200,
			has: []string{casdoor("the token is invalid")}},
		{name: "client alone", method: "GET", path: harness.PathAccount, header: client, status: 200, has: login},
		{name: "no other path", method: "GET", path: "/api/userinfo?access_token=" + token, status: 200, has: login},
	})
}

func TestUserByLaravelsNames(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oLaravel").AccessToken
	s.Exec(t, "UPDATE user SET email='a@example.com' WHERE name='wechat-oLaravel'")
	account := s.Account(t, token)
	want := map[string]any{
		"id": account["id"], "name": "wechat-oLaravel", "email": "a@example.com", "email_verified_at": "",
		"created_at": account["createdTime"], "updated_at": account["updatedTime"],
		"sub": account["id"], "iss": s.URL, "aud": harness.ClientID,
	}
	assert.Equal(t, want, s.Call(t, "GET", "/api/user", token, nil).Map(t))
	s.Exec(t, "UPDATE user SET email_verified=? WHERE name='wechat-oLaravel'", true)
	want["email_verified_at"] = account["createdTime"]
	assert.Equal(t, want, s.Call(t, "GET", "/api/user", token, nil).Map(t))
}

// Nobody reads another organization's tokens by introspection, or spends another application's.
func TestTokensOfOthers(t *testing.T) {
	t.Parallel()
	bank := harness.App("app-bank", "bankclient", harness.Provider)
	bank["organization"] = "bank"
	s := harness.Start(t, harness.Options{Rows: harness.Rows{
		"organizations": {{"owner": "admin", "name": "bank"}},
		"applications":  {bank, harness.App("app-sister", "sisterclient", harness.Provider)},
	}})
	tokens := s.SignIn(t, "oMine")
	runAll(t, s.Handler, []scenario{
		{name: "another organization introspects", path: harness.PathIntrospect,
			body:   fields("token", tokens.AccessToken),
			header: basic("bankclient", harness.ClientSecret), status: 200, has: []string{`{"active":false}`}},
		{name: "a sister application introspects", path: harness.PathIntrospect,
			body:   fields("token", tokens.AccessToken),
			header: basic("sisterclient", harness.ClientSecret), status: 200,
			has: []string{`"active":true`, `"client_id":"` + harness.ClientID + `"`, `"username":"wechat-oMine"`}},
		{name: "a sister application refreshes", status: 400, has: []string{oauth("invalid_grant")},
			body: fields("grant_type", "refresh_token", "client_id", "sisterclient", "refresh_token",
				tokens.RefreshToken)},
		{name: "another organization refreshes", status: 400, has: []string{oauth("invalid_grant")},
			body: fields("grant_type", "refresh_token", "client_id", "bankclient", "refresh_token",
				tokens.RefreshToken)},
	})
	assert.Equal(t, "wechat-oMine", s.Account(t, tokens.AccessToken)["name"], "the attempts ended nothing")
}

// testClientTokenUpdates has an application change users by its own token: those of its organization, and nobody into
// or out of it.
func testClientTokenUpdates(t *testing.T, s *harness.Server, client map[string]string) {
	t.Helper()
	id := s.Value(t, "SELECT id FROM user WHERE name='wechat-oBearer'")
	teller := s.Value(t, "SELECT id FROM user WHERE name='teller'")
	update := func(query, body, answer string) scenario {
		return scenario{
			name: query + body, path: harness.PathUpdateUser + query, header: client, body: body, status: 200, has: []string{answer},
		}
	}
	const score, notAllowed = `{"score":8}`, "Unauthorized operation"
	runAll(t, s.Handler, []scenario{
		update("?owner=shop&userId="+id, `{"title":"by id"}`, `"data":"Affected"`),
		update("?id=shop/nobody", score, `"data":"Unaffected"`),
		update("?id=bank/teller", score, casdoor(notAllowed)),
		update("?id=bank/nobody", score, casdoor(notAllowed)),
		update("?owner=bank&userId="+teller, score, casdoor(notAllowed)),
		update("?id=built-in/admin", score, casdoor(notAllowed)),
		update("?id=shop/wechat-oBearer", `{"owner":"bank"}`, `"status":"error"`),
		update("?id=shop/wechat-oBearer", `{"totpSecret":"known-to-me"}`, "can be set by an administrator of built-in only"),
		update("", `{"owner":"bank","name":"teller","score":8}`, `"data":"Unaffected"`), // nobody is named
	})
	assert.Equal(t, "by id", s.Value(t, "SELECT title FROM user WHERE owner='shop' AND name='wechat-oBearer'"))
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM user WHERE score=8"))
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM user WHERE totp_secret='known-to-me'"))
}

// An application's own token speaks for no user, and for the application as its secret does.
func TestClientTokenIsNoUser(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Rows: harness.Rows{
		"organizations": {{"owner": "admin", "name": "bank"}},
		"users":         {{"owner": "bank", "name": "teller"}},
	}})
	form := harness.Text{ContentType: formType, Body: fields("grant_type", "client_credentials",
		"client_id", harness.ClientID, "client_secret", harness.ClientSecret)}
	token := s.Call(t, "POST", harness.PathToken, "", form).Tokens(t)
	assert.Empty(t, token.RefreshToken)
	s.SignIn(t, "oBearer")
	client := bearer(token.AccessToken)
	none := []string{casdoor("the user of the token doesn't exist")}
	runAll(t, s.Handler, []scenario{
		{method: "GET", path: harness.PathAccount, header: client, status: 200, has: none},
		{method: "GET", path: "/api/userinfo", header: client, status: 200, has: none},
		{method: "POST", path: "/api/logout", header: client, status: 200, has: none},
		{method: "POST", path: harness.PathUpdateUser + "?id=shop/wechat-oBearer&columns=score", header: client,
			body: `{"score":7}`, status: 200, has: []string{`"data":"Affected"`}},
		{method: "POST", path: "/api/upload-resource?owner=shop&user=boss&tag=banner", header: client, status: 200,
			has: []string{`"status":"error"`}, hasNot: []string{"the user of the token"}},
		{method: "POST", path: harness.PathProfile, header: client, body: `{"nickName":"n"}`, status: 401,
			has: []string{"the user of the token doesn't exist"}},
		{method: "GET", path: "/api/get-user?id=shop/wechat-oBearer", header: client, status: 200,
			has: []string{`"name":"wechat-oBearer"`}},
		{method: "GET", path: "/api/get-users?owner=shop", header: client, status: 200, has: []string{`"wechat-oBearer"`}},
		{method: "GET", path: "/api/get-user?id=bank/teller", header: client, status: 200,
			has: []string{casdoor("Unauthorized operation")}},
	})
	testClientTokenUpdates(t, s, client)
	// Whoever may write a row and sign with a cert of their own does not become another application.
	s.Exec(t, "UPDATE token SET application='app-built-in' WHERE grant_type='client_credentials'")
	scenario{
		method: "GET", path: "/api/get-users?owner=shop", header: client, status: 200,
		has: []string{casdoor("the application of the token doesn't exist")},
	}.run(t, s.Handler)
	s.Exec(t, "UPDATE token SET application='app-shop' WHERE grant_type='client_credentials'")
	scenario{
		path: harness.PathIntrospect, body: fields("token", token.AccessToken), status: 200,
		header: basic(harness.ClientID, harness.ClientSecret), has: []string{`"active":true`, `"username":"app-shop"`},
	}.run(t, s.Handler)
}
