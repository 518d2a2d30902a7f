package test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/shared"
)

// testdata/casdoor.json holds the names and JSON types of what Casdoor v3.158 answers; the values are taken out. What a
// client of Casdoor reads must be there in our answers, with the same type.
func TestAnswersHaveCasdoorsNames(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/casdoor.json")
	require.NoError(t, err)
	var casdoor map[string]any
	require.NoError(t, json.Unmarshal(text, &casdoor))
	s := harness.Start(t, harness.Options{
		Organization: harness.Row{"languages": []string{"en", "zh"}, "tags": []string{}}, // as Casdoor's had
	})
	ours := answers(t, s)
	allowed := missingOnPurpose()
	for name, theirs := range casdoor {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, ours, name)
			used := map[string]bool{}
			for path, problem := range shared.Differences(theirs, ours[name].Map(t)) {
				if reason := allowed[name+path]; assert.NotEmpty(t, reason, "%s: %s", path, problem) {
					used[path] = true
				}
			}
			for entry := range allowed {
				if path, ok := strings.CutPrefix(entry, name+"."); ok {
					assert.True(t, used["."+path], "%s is no difference any more", entry)
				}
			}
		})
	}
}

// answers are ours to the requests that Casdoor was asked.
func answers(t *testing.T, s *harness.Server) map[string]harness.Reply {
	t.Helper()
	tokens, spent := s.SignIn(t, "oNames"), s.SignIn(t, "oNames")
	s.Call(t, "POST", harness.PathRefresh, "", refreshForm(spent.RefreshToken)).Tokens(t)
	renewed := s.Call(t, "POST", harness.PathRefresh, "", refreshForm(s.SignIn(t, "oNames").RefreshToken))
	client := "clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret
	get := func(path, token string) harness.Reply { return s.Call(t, "GET", path, token, nil) }
	post := func(path string, form ...string) harness.Reply {
		values := url.Values{"client_id": {harness.ClientID}, "client_secret": {harness.ClientSecret}}
		for i := 0; i < len(form); i += 2 {
			values.Set(form[i], form[i+1])
		}
		return s.Call(t, "POST", path, "", values)
	}
	update := func(id string) harness.Reply {
		return s.Call(t, "POST", harness.PathUpdateUser+"?columns=displayName&id="+id, tokens.AccessToken,
			map[string]string{"displayName": "小明"})
	}
	signIn := func(clientID, code string) harness.Reply {
		form := harness.SignInForm(code)
		form.Set("client_id", clientID)
		return s.Call(t, "POST", harness.PathToken, "", form)
	}
	return map[string]harness.Reply{
		"get-account":              get(harness.PathAccount, tokens.AccessToken),
		"get-user":                 get("/api/get-user?id=shop/wechat-oNames&"+client, ""),
		"introspect":               post(harness.PathIntrospect, "token", tokens.AccessToken),
		"introspect unknown":       post(harness.PathIntrospect, "token", "nope"),
		"userinfo":                 get("/api/userinfo", tokens.AccessToken),
		"refresh (no secret)":      renewed,
		"client_credentials":       post(harness.PathToken, "grant_type", "client_credentials"),
		"unsupported grant":        post(harness.PathToken, "grant_type", "magic"),
		"login: unknown client":    signIn("x", "c"),
		"login: bad code":          signIn(harness.ClientID, "bad"),
		"update-user self columns": update("shop/wechat-oNames"),
		"update-user someone else": update("shop/boss"),
		"get-account bad token":    get(harness.PathAccount, "x"),
		"health":                   get("/api/health", ""),
		"version":                  get("/api/get-version-info", ""),
		"openid configuration":     get("/.well-known/openid-configuration", ""),
		"jwks":                     get("/.well-known/jwks", ""),
		"client_credentials bad secret": post(harness.PathToken, "grant_type", "client_credentials", "client_secret",
			"x"),
		"refresh again with the used refresh token": s.Call(t, "POST", harness.PathRefresh, "",
			refreshForm(spent.RefreshToken)),
		"logout": s.Call(t, http.MethodPost, "/api/logout", tokens.AccessToken, nil),
	}
}

// missingOnPurpose are the differences that we chose, each with the reason.
func missingOnPurpose() map[string]string {
	const (
		web       = "nobody signs in on a web page here yet"
		factor    = "second factors belong to signing in with a password; casdoor-go-sdk does not know the field"
		ldap      = "LDAP's number of a user; casdoor-go-sdk does not know the field"
		nobodyYet = "not offered"
		noToken   = "there is none, and openid-client takes an empty one for a broken answer"
	)
	return map[string]string{
		"client_credentials.refresh_token": noToken,

		"get-account.data.uidNumber":        ldap,
		"get-account.data.multiFactorAuths": factor,
		"get-user.data.uidNumber":           ldap,
		"get-user.data.multiFactorAuths":    factor,

		"openid configuration.authorization_endpoint":                      web,
		"openid configuration.device_authorization_endpoint":               web,
		"openid configuration.response_modes_supported":                    web,
		"openid configuration.code_challenge_methods_supported":            web,
		"openid configuration.request_parameter_supported":                 web,
		"openid configuration.request_object_signing_alg_values_supported": web,
		"openid configuration.registration_endpoint":                       nobodyYet,
		"openid configuration.dpop_signing_alg_values_supported":           nobodyYet,
		"openid configuration.backchannel_logout_supported":                nobodyYet,
		"openid configuration.backchannel_logout_session_supported":        nobodyYet,
	}
}
