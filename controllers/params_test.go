package controllers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// signIn is the form of a sign-in with more fields.
func signIn(code string, more ...string) string {
	form := harness.SignInForm(code)
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return form.Encode()
}

// without is the form of a sign-in that lacks a field.
func without(field string) string {
	form := harness.SignInForm("c")
	form.Del(field)
	return form.Encode()
}

const boundary = "XX"

// parts is a multipart body.
func parts(fields ...string) string {
	var b strings.Builder
	for i := 0; i < len(fields); i += 2 {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + fields[i] + "\"\r\n\r\n" +
			fields[i+1] + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}

func TestBadParameters(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	long := strings.Repeat("x", 256)
	multipart := typed("multipart/form-data; boundary=" + boundary)
	twice := `" is there more than once"}`
	scenarios := []scenario{
		{name: "nothing", has: []string{"grant_type is missing"}},
		{name: "no client_id", body: without("client_id"), has: []string{"client_id is missing"}},
		{name: "no code", body: without("code"), has: []string{"code is missing"}},
		{name: "no tag", body: without("tag"), has: []string{"grant_type is missing"}},
		{name: "empty client_id", body: without("client_id") + "&client_id=", has: []string{"client_id is missing"}},
		{name: "empty code", body: signIn(""), has: []string{"code is missing"}},
		{name: "empty in JSON", header: typed(jsonType),
			body: `{"tag":"wechat_miniprogram","client_id":"","code":"c"}`, has: []string{"client_id is missing"}},
		{name: "null in JSON", header: typed(jsonType),
			body: `{"tag":"wechat_miniprogram","client_id":"c","code":null}`, status: 401,
			has: []string{oauth("invalid_client")}},

		{name: "long code", body: signIn(long), has: []string{`parameter \"code\" is longer than 255 bytes`}},
		{name: "long app_id", body: signIn("c", "app_id", long), has: []string{"longer than 255"}},
		{name: "long tag", body: "tag=" + long, has: []string{"longer than 255"}},
		{name: "long unknown", body: signIn("c", "zzz", long), has: []string{"longer than 255"}},
		{name: "long in query", path: harness.PathToken + "?code=" + long, has: []string{"longer than 255"}},
		{name: "long in JSON", header: typed(jsonType), body: `{"code":"` + long + `"}`,
			has: []string{"longer than 255"}},
		{name: "long in multipart", header: multipart, body: parts("code", long), has: []string{"longer than 255"}},
		{name: "long refresh_token", body: "refresh_token=" + strings.Repeat("x", 16<<10+1),
			has: []string{"longer than"}},

		{name: "twice in form", body: signIn("c", "code", "d"), has: []string{`parameter \"code\` + twice}},
		{name: "twice the same", body: signIn("c", "code", "c"), has: []string{`parameter \"code\` + twice}},
		{name: "twice in query", path: harness.PathToken + "?code=c&code=d",
			has: []string{`parameter \"code\` + twice}},
		{name: "in query and form", path: harness.PathToken + "?code=c", body: signIn("c"),
			has: []string{`"code\` + twice}},
		{name: "in query and JSON", path: harness.PathToken + "?code=c", header: typed(jsonType), body: `{"code":"c"}`,
			has: []string{`"code\` + twice}},
		{name: "twice in JSON", header: typed(jsonType), body: `{"code":"c","code":"d"}`,
			has: []string{`field \"code\` + twice}},
		{name: "twice in JSON, escaped", header: typed(jsonType), body: `{"code":"c","\u0063ode":"d"}`,
			has: []string{`field \"code\` + twice}},
		{name: "twice in multipart", header: multipart, body: parts("code", "c", "code", "d"),
			has: []string{`"code\` + twice}},
		{name: "in query and multipart", path: harness.PathToken + "?code=c", header: multipart,
			body: parts("code", "c"),
			has:  []string{`"code\` + twice}},

		{name: "not UTF-8 in form", body: signIn("\xff\xfe"), has: []string{"is not UTF-8"}},
		{name: "not UTF-8 in query", path: harness.PathToken + "?code=%ff", has: []string{"is not UTF-8"}},
		{name: "not UTF-8 in JSON", header: typed(jsonType), body: "{\"code\":\"\xff\"}",
			has: []string{"is not UTF-8"}},
		{name: "not UTF-8 in multipart", header: multipart, body: parts("code", "\xff"), has: []string{"is not UTF-8"}},
		{name: "name not UTF-8", body: "%ff=1", has: []string{"is not UTF-8"}},
		{name: "control character", body: signIn("a\x00b"), has: []string{"has control characters"}},
		{name: "line break in tag", body: "tag=" + url.QueryEscape("a\nb"), has: []string{"has control characters"}},

		{name: "malformed form", body: "code=%zz", has: []string{"the form is malformed"}},
		{name: "malformed query", path: harness.PathToken + "?code=%zz", has: []string{"the query is malformed"}},
		{name: "semicolon in query", path: harness.PathToken + "?code=c;tag=t",
			has: []string{"the query is malformed"}},
		{name: "malformed multipart", header: multipart, body: "--" + boundary + "\r\nnope",
			has: []string{"malformed"}},
		{name: "multipart without boundary", header: typed("multipart/form-data"), body: parts("code", "c"),
			has: []string{"malformed"}},
		{name: "other content type", header: typed("application/xml"), body: "<code/>",
			has: []string{"a form or JSON"}},
	}
	for i := range scenarios {
		if scenarios[i].status == 0 {
			scenarios[i].status = http.StatusBadRequest
			scenarios[i].has = append(scenarios[i].has, oauth("invalid_request"))
		}
	}
	runAll(t, s.Handler, scenarios)
	assert.Zero(t, s.Fake.Calls(fakewechat.PathCode2Session), "none of these is WeChat's business")
}

func TestBadJSON(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oJSON").AccessToken
	paths := map[string]scenario{
		harness.PathToken:      {status: 400, has: []string{oauth("invalid_request")}},
		harness.PathProfile:    {status: 400, has: []string{`"status":"error"`}},
		harness.PathUpdateUser: {status: 200, has: []string{`"status":"error"`}},
	}
	bodies := map[string]string{
		"[]": "must be a JSON object", `"text"`: "must be a JSON object", "1": "must be a JSON object",
		"null": "must be a JSON object", "{": "malformed JSON", `{"a"`: "malformed JSON", `{"a":}`: "malformed JSON",
		`{"a":1,}`: "malformed JSON", `{a:1}`: "malformed JSON", `{"a":1}}`: "behind the JSON object",
		`{"a":1} {"b":2}`: "behind the JSON object", `{"a":1,"a":2}`: "more than once",
		"{\"a\":\"\xff\"}": "not UTF-8", strings.Repeat(`{"a":`, 20_000): "malformed JSON",
	}
	var scenarios []scenario
	for path, c := range paths {
		for body, message := range bodies {
			scenarios = append(scenarios, scenario{
				name: path + " " + body[:min(len(body), 20)], path: path, body: body, status: c.status,
				header: map[string]string{"Content-Type": jsonType, "Authorization": "Bearer " + token},
				has:    append([]string{message}, c.has...),
			})
		}
	}
	for _, value := range []string{`{"x":1}`, `["x"]`} {
		scenarios = append(scenarios, scenario{
			name: "code " + value, header: typed(jsonType), body: `{"code":` + value + `}`, status: 400,
			has: []string{oauth("invalid_request"), "must be a text"},
		})
	}
	runAll(t, s.Handler, scenarios)
}

// A value that is no text is not taken for one, but for a number, and not in Casdoor's update-user.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oTypes").AccessToken
	withToken := map[string]string{"Content-Type": jsonType, "Authorization": "Bearer " + token}
	var scenarios []scenario
	for _, value := range []string{"true", "false", `["x"]`, "[]", `{"a":1}`, "{}"} {
		for _, field := range []string{"code", "username", "avatar"} {
			scenarios = append(scenarios, scenario{
				name: field + " " + value, header: typed(jsonType), status: 400,
				has:  []string{oauth("invalid_request"), field, "must be a text"},
				body: `{"tag":"wechat_miniprogram","client_id":"` + harness.ClientID + `","` + field + `":` + value + `}`,
			})
		}
		for _, field := range []string{"nickName", "avatarUrl"} {
			scenarios = append(scenarios, scenario{
				name: field + " " + value, path: harness.PathProfile, header: withToken, body: `{"` + field + `":` + value + `}`,
				status: 400, has: []string{casdoor(`parameter \"` + field + `\" must be a text`)},
			})
		}
	}
	for _, value := range []string{"5", "0", "true", "false", `["x"]`, "[]", `{"a":1}`, "{}"} {
		for _, field := range []string{"displayName", "bio"} {
			scenarios = append(scenarios, scenario{
				name: field + " " + value, path: harness.PathUpdateUser, header: withToken, body: `{"` + field + `":` + value + `}`,
				status: 200, has: []string{casdoor(field + " must be a text")},
			})
		}
	}
	runAll(t, s.Handler, scenarios)
	assert.Empty(t, s.Account(t, token)["displayName"])
	assert.EqualValues(t, 1, s.Fake.Calls(fakewechat.PathCode2Session), "only the sign-in was WeChat's business")
	runAll(t, s.Handler, []scenario{
		{name: "nickName 5", path: harness.PathProfile, header: withToken, status: 200, has: []string{`"displayName":"5"`},
			body: `{"nickName":5,"gender":0,"is_demote":true}`},
		{name: "code 5", header: typed(jsonType), status: 400, has: []string{oauth("invalid_grant")},
			body: `{"tag":"wechat_miniprogram","client_id":"` + harness.ClientID + `","code":5}`},
	})
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oLarge").AccessToken
	large := strings.Repeat("x", 1<<20)
	withToken := func(kind string) map[string]string {
		return map[string]string{"Content-Type": kind, "Authorization": "Bearer " + token}
	}
	runAll(t, s.Handler, []scenario{
		{name: "form", body: "username=" + large, status: 413, has: []string{oauth("invalid_request"), "1 MB"}},
		{name: "JSON", header: typed(jsonType), body: `{"username":"` + large + `"}`, status: 413,
			has: []string{oauth("invalid_request")}},
		{name: "multipart", header: typed("multipart/form-data; boundary=" + boundary), body: parts("username", large),
			status: 413, has: []string{oauth("invalid_request")}},
		{name: "refresh", path: harness.PathRefresh, body: "refresh_token=" + large, status: 413,
			has: []string{oauth("invalid_request")}},
		{name: "introspect", path: harness.PathIntrospect, body: "token=" + large, status: 413,
			has: []string{oauth("invalid_request")}},
		{name: "profile", path: harness.PathProfile, header: withToken(jsonType), body: `{"nickName":"` + large + `"}`,
			status: 413, has: []string{casdoor("the body is larger than 1 MB")}},
		{name: "update-user", path: harness.PathUpdateUser, header: withToken(jsonType),
			body:   `{"bio":"` + large + `"}`,
			status: 413, has: []string{casdoor("the body is larger than 1 MB")}},
	})
}

// A body of 1 MB that is all fields would take tens of times that in memory.
func TestManyFields(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oFields").AccessToken
	fields := func(n int) (json, form string, multipart []string) {
		for i := range n {
			json += fmt.Sprintf(`,"f%d":1`, i)
			form += fmt.Sprintf("&f%d=1", i)
			multipart = append(multipart, fmt.Sprintf("f%d", i), "1")
		}
		return "{" + json[1:] + "}", form[1:], multipart
	}
	const tooMany = "there are more than 1000 fields"
	json, form, multipart := fields(1001)
	withToken := map[string]string{"Content-Type": jsonType, "Authorization": "Bearer " + token}
	scenarios := []scenario{
		{name: "JSON", header: typed(jsonType), body: json, status: 400, has: []string{tooMany}},
		{name: "form", body: form, status: 400, has: []string{tooMany}},
		{name: "multipart", header: typed("multipart/form-data; boundary=" + boundary), body: parts(multipart...), status: 400,
			has: []string{tooMany}},
		{name: "login", path: "/api/login", header: typed(jsonType), body: json, status: 200, has: []string{casdoor(tooMany)}},
		{name: "update-user", path: harness.PathUpdateUser, header: withToken, body: json, status: 200,
			has: []string{casdoor(tooMany)}},
		{name: "add-user", path: "/api/add-user", header: typed(jsonType), body: json, status: 200,
			has: []string{casdoor(tooMany)}},
	}
	json, form, multipart = fields(1000)
	scenarios = append(scenarios,
		scenario{name: "as many as may, JSON", header: typed(jsonType), body: json, status: 400, has: []string{"grant_type"}},
		scenario{name: "as many as may, form", body: form, status: 400, has: []string{"grant_type"}},
		scenario{name: "as many as may, multipart", header: typed("multipart/form-data; boundary=" + boundary),
			body: parts(multipart...), status: 400, has: []string{"grant_type"}},
	)
	runAll(t, s.Handler, scenarios)
}

// Casdoor takes the parameters of a token request from wherever they stand.
func TestWhereParametersStand(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	form := func() url.Values { return harness.SignInForm(s.NewCode("oStand")) }
	jsonBody := func() string {
		return `{"tag":"wechat_miniprogram","client_id":"` + harness.ClientID + `","code":"` + s.NewCode("oStand") + `"}`
	}
	ok := []string{`"access_token":"`, `"token_type":"Bearer"`}
	multipart := "multipart/form-data; boundary=" + boundary
	runAll(t, s.Handler, []scenario{
		{name: "form", body: form().Encode(), status: 200, has: ok},
		{name: "form with charset", header: typed(formType + "; charset=UTF-8"), body: form().Encode(), status: 200,
			has: ok},
		{name: "query", path: harness.PathToken + "?" + form().Encode(), status: 200, has: ok},
		{name: "query without content type", path: harness.PathToken + "?" + form().Encode(), header: typed(""),
			status: 200,
			has:    ok},
		{name: "JSON", header: typed(jsonType), body: jsonBody(), status: 200, has: ok},
		{name: "JSON with charset", header: typed("application/json;charset=utf-8"), body: jsonBody(), status: 200,
			has: ok},
		{name: "JSON called text", header: typed("text/plain;charset=UTF-8"), body: jsonBody(), status: 200, has: ok},
		{name: "JSON called form", body: jsonBody(), status: 200, has: ok},
		{name: "JSON called nothing", header: typed(""), body: " \n" + jsonBody(), status: 200, has: ok},
		{name: "multipart", header: typed(multipart), status: 200, has: ok, body: parts("tag", "wechat_miniprogram",
			"client_id", harness.ClientID, "code", s.NewCode("oStand"))},
		{name: "query and form", path: harness.PathToken + "?tag=wechat_miniprogram",
			body: url.Values{"client_id": {harness.ClientID},
				"code": {s.NewCode("oStand")}}.Encode(), status: 200, has: ok},
		{name: "unknown ones", body: signIn(s.NewCode("oStand"), "zzz", "1", "scene", "1001"), status: 200, has: ok},
		{name: "as long as may", body: signIn(s.NewCode("oStand"), "zzz", strings.Repeat("x", 255)), status: 200, has: ok},
		{name: "nickname of two lines", body: signIn(s.NewCode("oStand"), "username", "a\nb"), status: 200, has: ok},
		{name: "beside a file", header: typed(multipart), status: 200, has: ok, body: parts("tag", "wechat_miniprogram",
			"client_id", harness.ClientID, "code", s.NewCode("oStand"), `code"; filename="code.txt`, "x")},
	})
}
