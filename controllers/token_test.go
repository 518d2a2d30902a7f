package controllers_test

import (
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/test/harness"
)

func basic(id, secret string) map[string]string {
	return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
}

// fields is a form.
func fields(pairs ...string) string {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return form.Encode()
}

func TestGrants(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Rows: harness.Rows{"applications": {
		harness.App("app-bare", "bareclient", harness.Provider), harness.App("app-odd", "odd-client", harness.Provider),
	}}})
	s.Exec(t, "UPDATE application SET grant_types=NULL WHERE name='app-bare'")
	const oddSecret = "p+w/=100%: ü"
	s.Exec(t, "UPDATE application SET client_secret=? WHERE name='app-odd'", oddSecret)
	challenge := `Basic realm="minidoor"`
	client := []string{"client_id", harness.ClientID, "client_secret", harness.ClientSecret}
	with := func(pairs ...string) string { return fields(append(pairs, client...)...) }
	runAll(t, s.Handler, []scenario{
		{name: "unknown tag", body: with("tag", "alipay", "code", "c"), status: 400,
			has: []string{oauth("invalid_request"), "tag is not supported"}},
		{name: "unknown grant", body: with("grant_type", "magic"), status: 400,
			has: []string{oauth("unsupported_grant_type")}},
		{name: "password grant", body: with("grant_type", "password", "username", "boss", "password", "x"),
			status: 400, has: []string{oauth("unsupported_grant_type")}},
		{name: "other grant at refresh_token", path: harness.PathRefresh,
			body:   with("grant_type", "client_credentials"),
			status: 400, has: []string{oauth("unsupported_grant_type")}},
		{name: "no grant at refresh_token", path: harness.PathRefresh, body: with("refresh_token", "x"), status: 400,
			has: []string{oauth("unsupported_grant_type")}},
		{name: "grant that the application lacks", status: 400, has: []string{oauth("unsupported_grant_type")},
			body: fields("grant_type", "client_credentials", "client_id", "bareclient", "client_secret",
				harness.ClientSecret)},
		{name: "unknown client", body: fields("grant_type", "refresh_token", "client_id", "x", "refresh_token", "y"),
			status: 401, has: []string{oauth("invalid_client"), "client_id is invalid"},
			reply: map[string]string{"WWW-Authenticate": challenge}},
		{name: "client of another case", status: 401, has: []string{oauth("invalid_client")},
			body: fields("tag", "wechat_miniprogram", "client_id", "SHOPCLIENT0000000000", "code", "c")},
		{name: "unknown client signs in", body: fields("tag", "wechat_miniprogram", "client_id", "x", "code", "y"),
			status: 401,
			has:    []string{oauth("invalid_client")}},
		{name: "organization of an application that is not shared", status: 401, has: []string{oauth("invalid_client")},
			body: fields("tag", "wechat_miniprogram", "client_id", harness.ClientID+"-org-built-in", "code", "y")},

		{name: "no refresh_token", body: with("grant_type", "refresh_token"), status: 400,
			has: []string{oauth("invalid_request"), "refresh_token is missing"}},
		{name: "made-up refresh_token", body: with("grant_type", "refresh_token", "refresh_token", "nope"), status: 400,
			has: []string{oauth("invalid_grant"), "refresh token is invalid or revoked"}},
		{name: "no token to introspect", path: harness.PathIntrospect, body: with(), status: 400,
			has: []string{oauth("invalid_request"), "token is missing"}},
		{name: "introspect made-up token", path: harness.PathIntrospect, body: with("token", "nope"), status: 200,
			has: []string{`{"active":false}`}},
		{name: "client_credentials", body: with("grant_type", "client_credentials"), status: 200,
			has: []string{`"access_token":"ey`}, hasNot: []string{"refresh_token"}},
		{name: "escaped secret by Basic", body: fields("grant_type", "client_credentials"), status: 200,
			header: basic("odd-client", url.QueryEscape(oddSecret)), has: []string{`"access_token":"ey`}},
		{name: "escaped secret by Basic, as casdoor-dotnet-sdk manages", method: "GET", path: "/api/get-users?owner=shop",
			status: 200, header: basic("odd-client", url.QueryEscape(oddSecret)), has: []string{`{"status":"ok"`}},
		{name: "escaped id by Basic", body: fields("grant_type", "client_credentials"), status: 200,
			header: basic("odd%2Dclient", url.QueryEscape(oddSecret)), has: []string{`"access_token":"ey`}},
		{name: "escaped id that nobody has", body: fields("grant_type", "client_credentials"), status: 401,
			header: basic("no%2Dclient", "x"), has: []string{oauth("invalid_client"), "client_id is invalid"}},
		{name: "the same as it is", body: fields("grant_type", "client_credentials"), status: 200,
			header: basic("odd-client", oddSecret), has: []string{`"access_token":"ey`}},
		{name: "client_credentials by Basic", body: fields("grant_type", "client_credentials"), status: 200,
			header: basic(harness.ClientID, harness.ClientSecret), has: []string{`"access_token":"ey`}},
	})
}

func TestBadClientSecrets(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Rows: harness.Rows{"applications": {
		harness.App("app-open", "openclient", harness.Provider),
	}}})
	s.Exec(t, "UPDATE application SET client_secret='' WHERE name='app-open'")
	refused := []string{oauth("invalid_client"), "client_secret is invalid"}
	challenge := map[string]string{"WWW-Authenticate": `Basic realm="minidoor"`}
	requests := map[string]scenario{
		"sign-in": {body: fields("tag", "wechat_miniprogram", "code", "c")},
		"refresh": {body: fields("grant_type", "refresh_token", "refresh_token", "x")},
		"refresh_token": {path: harness.PathRefresh,
			body: fields("grant_type", "refresh_token", "refresh_token", "x")},
		"introspect":         {path: harness.PathIntrospect, body: fields("token", "x")},
		"client_credentials": {body: fields("grant_type", "client_credentials")},
	}
	var scenarios []scenario
	for name, c := range requests {
		c.status, c.has, c.reply = 401, refused, challenge
		for way, header := range map[string]map[string]string{
			"form":  nil,
			"Basic": basic(harness.ClientID, "wrong"),
			"case":  basic(harness.ClientID, "SHOPSECRET000000000000000000000000000000"),
			"long":  basic(harness.ClientID, harness.ClientSecret+"0"),
			"short": basic(harness.ClientID, harness.ClientSecret[1:]),
			"none":  basic("openclient", "anything"),
		} {
			c := c
			c.name, c.header = name+" "+way, header
			if header == nil {
				c.body += "&" + fields("client_id", harness.ClientID, "client_secret", "wrong")
			}
			scenarios = append(scenarios, c)
		}
	}
	for _, c := range []scenario{requests["introspect"], requests["client_credentials"]} {
		for _, id := range []string{harness.ClientID, "openclient"} {
			c := c
			c.name, c.status, c.has = c.path+" without, "+id, 401, refused
			c.body += "&" + fields("client_id", id)
			scenarios = append(scenarios, c)
			c.name += ", empty"
			c.body += "&client_secret="
			scenarios = append(scenarios, c)
		}
	}
	runAll(t, s.Handler, scenarios)
}

func TestApplicationSettings(t *testing.T) {
	t.Parallel()
	apps := harness.Rows{
		"organizations": {{"owner": "admin", "name": "closed", "disableSignin": true}},
		"providers": {
			{"owner": "admin", "name": "sms", "category": "SMS", "type": "Twilio SMS"},
			{"owner": "admin", "name": "web", "category": "OAuth", "type": "WeChat", "clientId": "wxweb",
				"clientSecret": "s"},
			{"owner": "admin", "name": "no-secret", "category": "OAuth", "type": idp.TypeWeChatMiniProgram,
				"clientId": harness.AppID},
			{"owner": "admin", "name": "no-app-id", "category": "OAuth", "type": idp.TypeWeChatMiniProgram,
				"clientSecret": "s"},
		},
	}
	app := func(change harness.Row, name string, providers ...string) {
		row := harness.App(name, name, providers...)
		for key, value := range change {
			row[key] = value
		}
		apps["applications"] = append(apps["applications"], row)
	}
	item := func(signUp, signIn bool) harness.Row {
		return harness.Row{"providers": []harness.Row{{
			"owner": "admin", "name": harness.Provider, "canSignUp": signUp, "canSignIn": signIn,
		}}}
	}
	app(nil, "none")
	app(nil, "others", "sms", "web")
	app(nil, "deleted", "gone")
	app(nil, "no-secret", "no-secret")
	app(nil, "no-app-id", "no-app-id")
	app(item(true, false), "no-signin-item")
	app(item(false, true), "no-signup-item")
	app(harness.Row{"enableSignUp": false}, "no-signup", harness.Provider)
	app(harness.Row{"disableSignin": true}, "disabled", harness.Provider)
	app(harness.Row{"organization": "closed"}, "closed", harness.Provider)
	app(harness.Row{"cert": "gone"}, "no-cert", harness.Provider)
	app(harness.Row{"organization": "gone"}, "no-organization", harness.Provider)
	app(harness.Row{"tokenFormat": "JWE"}, "bad-format", harness.Provider)
	app(harness.Row{"tokenSigningMethod": "ES256"}, "bad-method", harness.Provider)
	s := harness.Start(t, harness.Options{Rows: apps})

	denied := oauth("access_denied")
	misconfigured := []string{oauth("temporarily_unavailable"), "the administrator finds the reason"}
	var scenarios []scenario
	for client, want := range map[string]scenario{
		"none": {status: 400,
			has: []string{oauth("unauthorized_client"), "no provider of type WeChatMiniProgram"}},
		"others":          {status: 400, has: []string{oauth("unauthorized_client")}},
		"deleted":         {status: 400, has: []string{oauth("unauthorized_client")}},
		"no-secret":       {status: 503, has: misconfigured},
		"no-app-id":       {status: 503, has: misconfigured},
		"no-signin-item":  {status: 400, has: []string{denied, "disabled"}},
		"no-signup-item":  {status: 400, has: []string{denied, "sign up"}},
		"no-signup":       {status: 400, has: []string{denied, "sign up"}},
		"disabled":        {status: 400, has: []string{denied, "disabled"}},
		"closed":          {status: 400, has: []string{denied, "disabled"}},
		"no-cert":         {status: 503, has: misconfigured, hasNot: []string{"gone"}},
		"no-organization": {status: 503, has: misconfigured, hasNot: []string{"gone"}},
		"bad-format":      {status: 503, has: misconfigured, hasNot: []string{"JWE"}},
		"bad-method":      {status: 503, has: misconfigured, hasNot: []string{"ES256"}},
	} {
		want.name = client
		want.body = fields("tag", idp.TagWeChatMiniProgram, "client_id", client, "code", s.NewCode("oSettings"))
		scenarios = append(scenarios, want)
	}
	runAll(t, s.Handler, scenarios)
	assert.NotEmpty(t, s.Log.Lines(`"application":"no-secret"`, "AppSecret as the provider's client secret"))
	assert.NotEmpty(t, s.Log.Lines(`"application":"no-app-id"`, "AppID as the provider's client id"))
	for _, cause := range []string{
		`application no-cert: cert \"gone\" does not exist`, `application no-organization: organization \"gone\" does not exist`,
		`application bad-format: unknown tokenFormat \"JWE\"`, `application bad-method: cert `,
	} {
		assert.NotEmpty(t, s.Log.Lines(`"level":"ERROR"`, cause, `"kind":"misconfigured"`), cause)
	}
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM user WHERE name LIKE 'wechat-%'"), "nobody was let in")
}

// A user who exists may sign in where new ones may not sign up.
func TestSignUpOff(t *testing.T) {
	t.Parallel()
	closed := harness.App("app-closed", "closedclient", harness.Provider)
	closed["enableSignUp"] = false
	s := harness.Start(t, harness.Options{Rows: harness.Rows{"applications": {closed}}})
	s.SignIn(t, "oOld")
	form := harness.SignInForm(s.NewCode("oOld"))
	form.Set("client_id", "closedclient")
	tokens := s.Call(t, "POST", harness.PathToken, "", form).Tokens(t)
	require.NotNil(t, tokens.NewUser)
	assert.False(t, *tokens.NewUser)
}

func TestTwoProviders(t *testing.T) {
	t.Parallel()
	const otherAppID = "wxother0000000000"
	s := harness.Start(t, harness.Options{Rows: harness.Rows{
		"providers": {{"owner": "admin", "name": "other", "category": "OAuth", "type": idp.TypeWeChatMiniProgram,
			"clientId": otherAppID, "clientSecret": "s"}},
		"applications": {
			harness.App("right-first", "rightfirst", harness.Provider, "other"),
			harness.App("wrong-first", "wrongfirst", "other", harness.Provider),
		},
	}})
	body := func(client, appID string) string {
		form := harness.SignInForm(s.NewCode("oTwo"))
		form.Set("client_id", client)
		if appID != "" {
			form.Set("app_id", appID)
		}
		return form.Encode()
	}
	// The fake WeChat knows one of the two mini programs: so one can tell which was taken.
	taken, other := []string{`"access_token":"`}, []string{oauth("temporarily_unavailable")}
	runAll(t, s.Handler, []scenario{
		{name: "the first", body: body("rightfirst", ""), status: 200, has: taken},
		{name: "the first, which is the other", body: body("wrongfirst", ""), status: 503, has: other},
		{name: "the second by app_id", body: body("wrongfirst", harness.AppID), status: 200, has: taken},
		{name: "the other by app_id", body: body("rightfirst", otherAppID), status: 503, has: other},
		{name: "wrong app_id", body: body("rightfirst", "wxnobody"), status: 400,
			has: []string{oauth("invalid_request"), "app_id is none of the application's mini programs"}},
		{name: "the one of a single-provider application", status: 400, has: []string{oauth("invalid_request")},
			body: body(harness.ClientID, otherAppID)},
	})
}
