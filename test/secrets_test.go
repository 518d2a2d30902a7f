package test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/fakewechat"
	"github.com/minidoor/minidoor/test/harness"
)

// recording keeps all that a server replied.
type recording struct {
	mu      sync.Mutex
	replies []string // status, header and body
	issued  []string // the body, where it issues tokens; else empty
}

func (rec *recording) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept := httptest.NewRecorder()
		next.ServeHTTP(kept, r)
		rec.add(kept.Code, kept.Header(), kept.Body.String())
		for name, values := range kept.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(kept.Code)
		_, _ = w.Write(kept.Body.Bytes()) // the client may have left
	})
}

func (rec *recording) add(status int, header http.Header, body string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.replies = append(rec.replies, fmt.Sprintf("%d %v\n%s", status, header, body))
	issued := ""
	if status == http.StatusOK && strings.HasPrefix(body, `{"access_token":"`) {
		issued = body
	}
	rec.issued = append(rec.issued, issued)
}

// search is what must be found nowhere.
type search struct {
	secrets map[string]string // what it is, by its text
	tokens  map[string]int    // the reply that each token was issued in
}

func newSearch(rec *recording) *search {
	q := &search{map[string]string{}, map[string]int{}}
	for i, body := range rec.issued {
		var tokens harness.Tokens
		if body == "" || json.Unmarshal([]byte(body), &tokens) != nil {
			continue
		}
		for _, token := range []string{tokens.AccessToken, tokens.RefreshToken} {
			if token != "" {
				q.tokens[token] = i
			}
		}
	}
	return q
}

// add adds a secret in all its guises.
func (q *search) add(name, secret string) {
	guises := []string{secret}
	if raw, err := base64.StdEncoding.DecodeString(secret); err == nil && strings.HasSuffix(secret, "=") {
		guises = append(guises, string(raw), fmt.Sprintf("%x", raw))
	}
	for _, guise := range guises {
		for _, text := range []string{
			guise, url.QueryEscape(guise), url.PathEscape(guise), inJSON(guise),
			base64.StdEncoding.EncodeToString([]byte(guise)),
		} {
			q.secrets[text] = name
		}
	}
}

func inJSON(s string) string {
	text, _ := json.Marshal(s) // a string never fails
	return string(text[1 : len(text)-1])
}

// leaks names the secrets that a text holds. In reply number i its own tokens are no leak; -1 is no reply.
func (q *search) leaks(text string, i int) []string {
	var found []string
	for secret, name := range q.secrets {
		if strings.Contains(text, secret) {
			found = append(found, name)
		}
	}
	for token, issuedIn := range q.tokens {
		if issuedIn != i && strings.Contains(text, token) {
			found = append(found, "token "+token)
		}
	}
	return found
}

func (q *search) check(t *testing.T, log *harness.Log, rec *recording) {
	t.Helper()
	for _, line := range log.Lines() {
		if found := q.leaks(line, -1); found != nil {
			t.Errorf("logged: %q holds %q", line, found)
		}
	}
	for i, reply := range rec.replies {
		if found := q.leaks(reply, i); found != nil {
			t.Errorf("replied: %q holds %q", reply, found)
		}
	}
}

func TestNoSecretIsLoggedOrReplied(t *testing.T) {
	t.Parallel()
	for name, jwt := range map[string]bool{"opaque refresh tokens": false, "JWT refresh tokens": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const initPassword, newPassword = "password-of-init-data", "password-of-the-user"
			rec := &recording{}
			s := harness.Start(t, harness.Options{
				Push: fakewechat.PushSettings{Token: pushToken, EncodingAESKey: pushAESKey},
				Wrap: rec.wrap, RefreshTokenJWT: jwt, UpstreamTimeout: patience,
				Application: harness.Row{"enablePassword": true},
				Organization: harness.Row{"masterPassword": "master-of-the-organization",
					"defaultPassword": "default-of-it"},
				Rows: harness.Rows{"users": {{
					"owner": harness.Organization, "name": "protected", "password": initPassword,
					"totpSecret":  "totp-of-somebody",
					"accessToken": "foreign-access-token", "recoveryCodes": []string{"recovery-code-1"},
				}}},
			})
			hurried := harness.Start(t, harness.Options{Wrap: rec.wrap, UpstreamTimeout: 500 * time.Millisecond})
			t.Run("everything", func(t *testing.T) { everything(t, s, newPassword) })
			t.Run("everything that hangs", func(t *testing.T) { everyHang(t, hurried) })
			lastCode := s.NewCode("oSecret")

			q := newSearch(rec)
			require.Greater(t, len(q.tokens), 50)
			require.Greater(t, len(s.Fake.Secrets()), 50)
			for i, secret := range append(s.Fake.Secrets(), hurried.Fake.Secrets()...) {
				q.add("WeChat's secret "+strconv.Itoa(i), secret)
			}
			q.add("AppSecret", harness.AppSecret)
			for name, secret := range map[string]string{
				"push token": pushToken, "push key": pushAESKey, "push key, decoded": string(decodeAESKey(t)),
				"client secret": harness.ClientSecret, "seal key": s.SealKey,
				"admin's password":     s.FirstStart.AdminPassword,
				"init data's password": initPassword, "user's password": newPassword,
				"master":  "master-of-the-organization",
				"default": "default-of-it", "totp": "totp-of-somebody", "foreign token": "foreign-access-token",
				"recovery code":   "recovery-code-1",
				"built-in secret": s.Value(t, "SELECT client_secret FROM application WHERE name='app-built-in'"),
				"admin's hash":    s.Value(t, "SELECT password FROM user WHERE name='admin'"),
				"protected hash":  s.Value(t, "SELECT password FROM user WHERE name='protected'"),
				"user's hash":     s.Value(t, "SELECT password FROM user WHERE name='wechat-oSecret'"),
				"private key":     s.Value(t, "SELECT private_key FROM cert WHERE name='cert-built-in'"),
			} {
				require.NotEmpty(t, secret, name)
				q.add(name, secret)
			}
			checkFiles(t, s, q)

			shown := s.Call(t, "GET", harness.PathMetrics, harness.MetricsToken, nil)
			assert.Equal(t, http.StatusOK, shown.Status)
			assert.NotContains(t, shown.Body, "oSecret", "nor whom it is about")
			q.add("metrics token", harness.MetricsToken)
			s.Store.Close()
			last := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(lastCode))
			assert.Equal(t, http.StatusServiceUnavailable, last.Status)
			q.check(t, s.Log, rec)
			q.check(t, hurried.Log, &recording{})
			assert.NotContains(t, s.Log.String(), decrypted)
			assert.NotContains(t, s.Log.String(), "13800000000")
		})
	}
}

// everything is what clients and WeChat can do to a server.
func everything(t *testing.T, s *harness.Server, password string) {
	for name, signIn := range map[string]func(*testing.T, url.Values) harness.Reply{
		"form": func(t *testing.T, f url.Values) harness.Reply { return s.Call(t, "POST", harness.PathToken, "", f) },
		"query": func(t *testing.T, f url.Values) harness.Reply {
			return s.Call(t, "POST", harness.PathToken+"?"+f.Encode(), "", nil)
		},
	} {
		flow{s, "oSecret_" + name, signIn}.run(t)
	}
	u := newSelf(t, s, "oSecret")
	assert.Equal(t, "Affected", u.update(t, "", fieldsOf{"password": password}))
	u.update(t, "", fieldsOf{"password": password, "score": 1})
	tokens := s.SignIn(t, "oSDK")
	checkReads(t, s, tokens)
	checkRefresh(t, s, tokens)
	for _, name := range []string{"protected", "wechat-oSecret", harness.AdminName} {
		_, err := s.SDK().GetUser(name)
		require.NoError(t, err)
	}
	for _, path := range []string{"/api/health", "/.well-known/jwks", "/.well-known/openid-configuration", "/nope"} {
		s.Call(t, "GET", path, u.token, nil)
	}
	everyManagement(t, s)
	everyPassword(t, s, password)
	everyCapability(t, s, u.token)
	everyMistake(t, s, u.token)
	everyFault(t, s)
}

// everyManagement reads and changes all that a back end may, with the secret in the header and in the query. What it is
// given, its own client secret and the key that it signs with, it is not asked for here.
func everyManagement(t *testing.T, s *harness.Server) {
	secret := "clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret
	for _, action := range []string{
		"organizations", "providers", "applications", "organization-applications", "certs", "global-certs", "users",
		"global-users", "tokens", "records", "resources", "organization-names", "user-count",
		"provider?id=admin/" + harness.Provider, "organization?id=admin/shop", "user?id=shop/protected",
		"default-application?id=admin/shop", "app-login?type=code&responseType=code", "users?field=passwordSalt&value=x",
		"user-application?id=shop/boss", "sorted-users?sorter=score&limit=5",
	} {
		path := "/api/get-" + action
		s.Call(t, "GET", path, "", nil)
		if !strings.Contains(action, "application?") { // which tell an application its own secret
			path += map[bool]string{true: "&", false: "?"}[strings.Contains(action, "?")] + secret
		}
		assert.Less(t, s.Call(t, "GET", path, "", nil).Status, 400, path)
	}
	for _, body := range []fieldsOf{
		{"owner": "shop", "name": "managed", "password": "password-of-the-user"},
		{"owner": "shop", "name": "managed", "password": "password-of-the-user", "email": "password-of-the-user"},
		{"owner": "admin", "name": harness.Provider, "clientSecret": harness.AppSecret},
		{"owner": "shop", "name": "p2", "clientSecret": harness.AppSecret, "type": "WeChatMiniProgram"},
		{"owner": "admin", "name": "a2", "organization": "shop", "clientSecret": harness.ClientSecret, "clientId": harness.ClientID},
		{"owner": "shop", "name": "c2", "privateKey": harness.AppSecret, "certificate": harness.AppSecret},
	} {
		for _, family := range []string{"user", "provider", "application", "cert", "token", "record"} {
			for _, verb := range []string{"add", "update", "delete"} {
				id := fmt.Sprintf("/api/%s-%s?id=%s/%s&%s", verb, family, body["owner"], body["name"], secret)
				s.Call(t, "POST", id, "", body)
				s.Call(t, "POST", id, "", harness.Text{ContentType: "text/plain", Body: harness.ClientSecret})
			}
		}
	}
}

// everyPassword signs in with a password, rightly and wrongly, and uses the session.
func everyPassword(t *testing.T, s *harness.Server, password string) {
	t.Helper()
	login := fieldsOf{"type": "login", "application": harness.Application, "organization": harness.Organization}
	for _, typed := range [][2]string{{"wechat-oSecret", password + "x"}, {password, "x"}, {"wechat-oSecret", password}} {
		login["username"], login["password"] = typed[0], typed[1]
		s.Call(t, "POST", "/api/login?password="+typed[1], "", login)
	}
	cookies := (&http.Response{Header: s.Call(t, "POST", "/api/login", "", login).Header}).Cookies()
	require.Len(t, cookies, 2)
	for _, form := range []url.Values{
		{"oldPassword": {password}, "newPassword": {"x"}}, {"oldPassword": {"x"}, "newPassword": {password}}, {"id": {password}},
	} {
		form.Set("userOwner", harness.Organization)
		form.Set("userName", "wechat-oSecret")
		for _, path := range []string{"/api/set-password", "/api/check-user-password", "/api/get-users", "/api/logout"} {
			asBrowser(t, s, cookies[0], path, form)
		}
	}
	for _, cookie := range cookies {
		assert.NotContains(t, s.Log.String(), cookie.Value)
	}
}

func decodeAESKey(t *testing.T) []byte {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(pushAESKey + "=")
	require.NoError(t, err)
	return key
}

// decrypted is what a user's encrypted data hold: the user may read it, and the log may not.
const decrypted = "decrypted-nickname"

// everyCapability asks for all that a mini program can, rightly and wrongly.
func everyCapability(t *testing.T, s *harness.Server, token string) {
	phone := func() string { return s.Fake.NewPhoneCode("oSecret", chinese("13800000000")) }
	spent := phone()
	for _, path := range []string{harness.PathPhone, harness.PathDelete, harness.PathDecrypt} {
		for _, code := range []string{spent, spent, spent + "\n", s.Fake.NewPhoneCode("oOther", chinese("1"))} {
			s.Call(t, "POST", path, token, fieldsOf{"code": code})
			s.Call(t, "POST", path+"?code="+url.QueryEscape(code), token, nil)
			s.Call(t, "POST", path, spent, harness.Text{ContentType: "application/json", Body: `{"code":"` + code})
		}
	}
	e := encrypted(s.Fake.Encrypt("oSecret", map[string]any{"openId": "oSecret", "nickName": decrypted}))
	assert.Contains(t, s.Call(t, "POST", harness.PathDecrypt, token, e).Body, decrypted)
	e["signature"] += "0"
	s.Call(t, "POST", harness.PathDecrypt, token, e)
	s.Call(t, "GET", harness.PathSession, token, nil)
	s.Call(t, "GET", harness.PathExport, token, nil)
	everyPush(t, s)
	for _, path := range []string{fakewechat.PathPhone, fakewechat.PathCheckSession, fakewechat.PathStableToken} {
		for _, name := range slices.Sorted(maps.Keys(upstreamFaults())) {
			if hangs(name) {
				continue
			}
			s.Fake.ExpireTokens()
			s.Fake.Inject(path, upstreamFaults()[name], 1)
			s.Call(t, "POST", harness.PathPhone, token, fieldsOf{"code": phone()})
			s.Fake.Heal(path)
			s.Call(t, "POST", harness.PathPhone, token, fieldsOf{"code": phone()})
		}
	}
}

// everyHang has WeChat answer never, or begin to, wherever it is asked.
func everyHang(t *testing.T, s *harness.Server) {
	token := s.SignIn(t, "oSecret").AccessToken
	for _, name := range slices.Sorted(maps.Keys(upstreamFaults())) {
		if !hangs(name) {
			continue
		}
		s.Fake.Inject(fakewechat.PathCode2Session, upstreamFaults()[name], 1)
		unavailable(t, s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oFault"))), true)
		for _, path := range []string{fakewechat.PathPhone, fakewechat.PathCheckSession, fakewechat.PathStableToken} {
			s.Fake.ExpireTokens()
			s.Fake.Inject(path, upstreamFaults()[name], 1)
			code := s.Fake.NewPhoneCode("oSecret", chinese("13800000000"))
			s.Call(t, "POST", harness.PathPhone, token, fieldsOf{"code": code})
			s.Call(t, "GET", harness.PathSession, token, nil)
			s.Fake.Heal(path)
		}
	}
}

// everyPush delivers right and wrong messages, and asks for the settings that are sent with them.
func everyPush(t *testing.T, s *harness.Server) {
	for mode := range fakewechat.PushSafe + 1 {
		settings := fakewechat.PushSettings{Token: pushToken, EncodingAESKey: pushAESKey, Mode: mode}
		push := s.Fake.NewPush(settings, s.Fake.NewEvent("user_info_modified", "oNobody"))
		s.Deliver(t, push)
		push.Query.Set("msg_signature", pushToken)
		s.Deliver(t, push)
		push.Body = []byte(pushAESKey)
		s.Deliver(t, push)
	}
	s.Call(t, "GET", harness.PathPush+"?signature="+pushToken+"&echostr="+pushAESKey, "", nil)
	bad := harness.Rows{"miniProgramProviders": {{
		"owner": "admin", "name": harness.Provider, "pushToken": pushToken + "!", "pushEncodingAESKey": pushAESKey + "!",
	}}}
	text, err := json.Marshal(bad)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "init_data.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	err = s.Store.ApplyInitData(t.Context(), file, false)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), pushToken)
	assert.NotContains(t, err.Error(), pushAESKey)
}

// everyMistake sends secrets to where they do not belong.
func everyMistake(t *testing.T, s *harness.Server, token string) {
	code, spent := s.NewCode("oMistake"), s.NewCode("oMistake")
	s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(spent))
	for _, path := range []string{harness.PathToken, harness.PathRefresh, harness.PathIntrospect, harness.PathProfile} {
		for _, form := range []url.Values{
			harness.SignInForm(spent), harness.SignInForm(code + "\n"), harness.SignInForm(strings.Repeat(code, 10)),
			harness.SignInForm(code + "\xff"), {"code": {code, code}}, {"tag": {code},
				"client_id": {harness.ClientSecret}},
			{"grant_type": {token}}, {"grant_type": {"refresh_token"}, "refresh_token": {token},
				"client_id": {harness.ClientID}},
			{"client_id": {harness.ClientID}, "client_secret": {token}, "grant_type": {"client_credentials"}},
			{"client_id": {token[:200]}, "client_secret": {harness.ClientSecret}, "token": {token}},
		} {
			s.Call(t, "POST", path, "", form)
			s.Call(t, "POST", path, token, jsonBody(form))
			s.Call(t, "POST", path+"?"+form.Encode(), "", nil)
			s.Call(t, "GET", path+"?"+form.Encode(), "", nil)
		}
		s.Call(t, "POST", path, token, harness.Text{ContentType: "application/json", Body: `{"code":"` + code})
		s.Call(t, "POST", path, token, harness.Text{ContentType: "text/xml", Body: code})
	}
	for _, bearer := range []string{token + "x", token[:len(token)-5], harness.ClientSecret, code, "a.b.c"} {
		for _, path := range []string{harness.PathAccount, "/api/userinfo", "/api/get-user?id=shop/boss"} {
			s.Call(t, "GET", path, bearer, nil)
		}
	}
	s.Call(t, "GET", "/api/get-user?id=shop/boss&clientId=x&clientSecret="+harness.ClientSecret, "", nil)
	s.Call(t, "GET", "/api/get-account?accessToken="+token, "", nil)
}

// everyFault lets WeChat fail in every way, some of which tell secrets.
func everyFault(t *testing.T, s *harness.Server) {
	faults := upstreamFaults()
	for _, errcode := range []int{40029, 40163, 40226, 45011, 45009, 40013, 40125, 41002, 41004, 41008, 40164, 40243} {
		faults[strconv.Itoa(errcode)] = fakewechat.Errcode(errcode)
	}
	telling := func(say func(r *http.Request) fakewechat.Fault) fakewechat.Fault {
		return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) { say(r)(w, r, answer) }
	}
	for name, tell := range map[string]func(r *http.Request) string{
		"URL":    func(r *http.Request) string { return "bad request: http://api.weixin.qq.com" + r.URL.String() },
		"secret": func(r *http.Request) string { return "wrong secret " + r.URL.Query().Get("secret") },
		"code":   func(r *http.Request) string { return "used: " + r.URL.Query().Get("js_code") + ", rid: 1" },
	} {
		faults[name+" in errmsg"] = telling(func(r *http.Request) fakewechat.Fault {
			return fakewechat.ErrcodeMessage(40125, tell(r))
		})
		faults[name+" in a page"] = telling(func(r *http.Request) fakewechat.Fault {
			return fakewechat.Body(500, "text/html", tell(r))
		})
		faults[name+" in the header"] = func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Location", "http://127.0.0.1:1/"+url.PathEscape(tell(r)))
			w.WriteHeader(http.StatusFound)
		}
	}
	maps.DeleteFunc(faults, func(name string, _ fakewechat.Fault) bool { return hangs(name) })
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		s.Fake.Inject(fakewechat.PathCode2Session, faults[name], 1)
		reply := s.Call(t, "POST", harness.PathToken, "", harness.SignInForm(s.NewCode("oFault")))
		assert.GreaterOrEqual(t, reply.Status, 400, name)
		s.SignIn(t, "oFault") // a success in between keeps the breaker closed
	}
}

// checkFiles looks for what the database must not hold in clear: codes, SessionKeys and tokens. Casdoor keeps its
// settings as they are, and hashes.
func checkFiles(t *testing.T, s *harness.Server, q *search) {
	t.Helper()
	inClear := []string{
		"AppSecret", "client secret", "built-in secret", "private key", "admin's hash", "protected hash", "user's hash",
		"master", "default", "totp", "foreign token", "recovery code", "push token", "push key",
	}
	file := s.Value(t, "SELECT file FROM pragma_database_list")
	for _, name := range []string{file, file + "-wal"} {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, found := range q.leaks(string(content), -1) {
			assert.Contains(t, inClear, found)
		}
	}
}

// The search must be able to fail.
func TestSecretSearchFinds(t *testing.T) {
	t.Parallel()
	const secret, key = "s3cret+/=&?", "HyVFkGl5F5OQWJZZaNzBBg=="
	raw, err := base64.StdEncoding.DecodeString(key)
	require.NoError(t, err)
	rec := &recording{}
	tokens := `{"access_token":"access-1","id_token":"access-1","refresh_token":"refresh-1"}`
	rec.add(200, http.Header{}, tokens)
	rec.add(200, http.Header{"X-Token": {"refresh-1"}}, "")
	q := newSearch(rec)
	q.add("secret", secret)
	q.add("key", key)

	assert.Empty(t, q.leaks(rec.replies[0], 0), "the tokens' own reply")
	assert.Len(t, q.leaks(rec.replies[1], 1), 1, "a header of another reply")
	assert.Len(t, q.leaks(rec.replies[0], -1), 2, "the log")
	assert.Empty(t, q.leaks("s3cre", -1))
	for _, text := range []string{
		secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), inJSON(secret),
		key, string(raw), fmt.Sprintf("%x", raw), url.QueryEscape(key), inJSON(string(raw)),
	} {
		assert.NotEmpty(t, q.leaks("before "+text+" after", -1), text)
	}

	log, fails := &harness.Log{}, &testing.T{}
	_, err = fmt.Fprintf(log, "fine\nurl=/sns/jscode2session?secret=%s\n", url.QueryEscape(secret))
	require.NoError(t, err)
	q.check(fails, log, &recording{})
	assert.True(t, fails.Failed())
}
